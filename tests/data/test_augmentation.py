"""Geometry is shared by image, label and weight; intensity belongs to the image alone."""

from dataclasses import replace

import numpy as np
import pytest

from normwise.data import Augmentation


def sample(rows: int = 6, columns: int = 6, channels: int = 3):
    numbers = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    image = np.stack([numbers + 1000 * channel for channel in range(channels)], axis=-1)
    return image, numbers.astype(np.int32), (numbers % 2).astype(np.float32)


GEOMETRY = Augmentation(intensity=0)


def test_all_eight_positions_of_a_square_occur_with_the_label_in_step() -> None:
    image, label, weight = sample()
    seen = set()
    for seed in range(200):
        x, y, w = GEOMETRY.apply(image, label, weight, np.random.default_rng(seed))
        assert x.shape == image.shape
        np.testing.assert_array_equal(x[..., 0], y)
        np.testing.assert_array_equal(y % 2, w)
        np.testing.assert_array_equal(x[..., 2], x[..., 0] + 2000)
        seen.add(y.tobytes())
    assert len(seen) == 8


def test_patches_that_are_not_square_keep_their_shape() -> None:
    image, label, weight = sample(4, 7)
    seen = set()
    for seed in range(100):
        x, y, w = GEOMETRY.apply(image, label, weight, np.random.default_rng(seed))
        assert (x.shape, y.shape, w.shape) == (image.shape, label.shape, weight.shape)
        np.testing.assert_array_equal(x[..., 0], y)
        seen.add(y.tobytes())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("flips", "rotations", "count"), [(False, False, 1), (True, False, 4), (False, True, 4)]
)
def test_each_option_alone(flips: bool, rotations: bool, count: int) -> None:
    augmentation = Augmentation(flips, rotations, intensity=0)
    results = {
        augmentation.apply(*sample(), np.random.default_rng(seed))[1].tobytes()
        for seed in range(100)
    }
    assert len(results) == count


def test_intensity_is_in_units_of_the_channel_and_leaves_labels_alone() -> None:
    rng = np.random.default_rng(0)
    mean, std = np.array([1e4, -3.0, 0.5]), np.array([1.0, 10.0, 1e-3])
    image = rng.normal(mean, std, (64, 64, 3)).astype(np.float32)
    label, weight = image[..., 0].copy(), np.ones((64, 64), np.float32)
    augmentation = Augmentation(False, False, intensity=0.1)
    gains, offsets = [], []
    for seed in range(400):
        x, y, w = augmentation.apply(
            image, label, weight, np.random.default_rng(seed), mean=mean, std=std
        )
        np.testing.assert_array_equal(y, label)
        np.testing.assert_array_equal(w, weight)
        gains.append(
            x.std(axis=(0, 1), dtype=np.float64) / image.std(axis=(0, 1), dtype=np.float64)
        )
        offsets.append((x.mean(axis=(0, 1), dtype=np.float64) - mean) / std)
    assert np.std(gains, axis=0) == pytest.approx([0.1] * 3, rel=0.2)
    assert np.mean(gains, axis=0) == pytest.approx([1] * 3, abs=0.03)
    assert np.std(offsets, axis=0) == pytest.approx([0.1] * 3, rel=0.2)
    # The channels change on their own.
    assert abs(np.corrcoef(np.array(gains).T)[0, 1]) < 0.2


def test_the_input_is_not_modified_and_missing_pixels_stay_missing() -> None:
    image, label, weight = sample()
    image[0, 0] = np.nan
    before = image.copy()
    one = np.ones(3)
    for seed in range(20):
        x, _, _ = Augmentation().apply(
            image, label, weight, np.random.default_rng(seed), mean=one, std=one
        )
        assert x.dtype == np.float32
        assert np.isnan(x).sum() == 3
    np.testing.assert_array_equal(image, before)


def test_seeded_and_options_do_not_disturb_each_other() -> None:
    one = np.ones(3)

    def run(augmentation: Augmentation, seed: int):
        return augmentation.apply(*sample(), np.random.default_rng(seed), mean=one, std=one)

    np.testing.assert_array_equal(run(Augmentation(), 1)[0], run(Augmentation(), 1)[0])
    assert not np.array_equal(run(Augmentation(), 1)[0], run(Augmentation(), 2)[0])
    plain = replace(Augmentation(), intensity=0)
    np.testing.assert_array_equal(run(Augmentation(), 1)[1], run(plain, 1)[1])


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="intensity=-1: expected 0 or more"):
        Augmentation(intensity=-1)
    with pytest.raises(ValueError, match=r"offset\[1\]=-2: expected 0 or more"):
        Augmentation(offset=(0, -2))
    with pytest.raises(ValueError, match="offset: received 7 numbers; expected one for each of"):
        Augmentation(offset=(1.0,) * 7).apply(*sample(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs the mean and std"):
        Augmentation().apply(*sample(), np.random.default_rng(0))
