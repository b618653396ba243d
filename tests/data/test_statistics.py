"""Statistics equal those of numpy over all pixels at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.data import channel_statistics, class_counts, open_dataset
from normwise.data.statistics import ChannelStatistics, _of_window
from normwise.errors import DataError

RTOL = 1e-9


def train_pixels(dataset, reader) -> np.ndarray:
    return np.concatenate([reader(item).reshape(-1, 3) for item in dataset.split("train")])


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_equal_to_two_passes_beside_a_large_offset(folder, suffix: str, monkeypatch) -> None:
    arrays = {}
    for name in "abcd":
        height, width = folder.rng.integers(100, 700, 2)
        array = folder.rng.normal([1e4, -1e4, 0], [1, 1e-2, 1e3], (height, width, 3))
        arrays[name] = array.astype(np.float64)
        folder.image(f"images/{name}.{suffix}", arrays[name])
        folder.mask(
            f"masks/{name}.png",
            (np.arange(height * width) % 2).astype(np.uint8).reshape(height, width),
        )
    dataset = open_dataset(folder.root)
    monkeypatch.setattr("normwise.data.statistics.WINDOW_VALUES", 20_000)
    found = channel_statistics(dataset)
    pixels = train_pixels(dataset, lambda item: arrays[item.name])
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=RTOL, atol=1e-9)
    np.testing.assert_allclose(found.variance, pixels.var(axis=0), rtol=RTOL)
    np.testing.assert_array_equal(found.minimum, pixels.min(axis=0))
    np.testing.assert_array_equal(found.maximum, pixels.max(axis=0))
    assert found.count.tolist() == [len(pixels)] * 3
    assert found.std == pytest.approx(np.sqrt(found.variance))
    # Negative control: sums of squares in one pass lose the small variance.
    naive = (pixels**2).mean(axis=0) - pixels.mean(axis=0) ** 2
    assert abs(naive[1] / pixels[:, 1].var() - 1) > RTOL


def test_nodata_and_nan_are_left_out_in_each_channel_alone(folder) -> None:
    arrays = {}
    for name in "abc":
        array = folder.rng.normal(0, 10, (40, 50, 3)).astype(np.float32)
        array[:5, :, 0], array[3:9, :, 2] = np.nan, -9999
        arrays[name] = array
        folder.image(f"images/{name}.tif", array, nodata=-9999)
        folder.mask(f"masks/{name}.png")
    folder.text("dataset.yaml", "nodata: .nan\n")
    with_nan = open_dataset(folder.root)
    dataset = replace(with_nan, nodata=-9999.0)
    found = channel_statistics(dataset)
    pixels = train_pixels(dataset, lambda item: arrays[item.name]).astype(np.float64)
    pixels[pixels == -9999] = np.nan
    np.testing.assert_allclose(found.mean, np.nanmean(pixels, axis=0), rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(found.variance, np.nanvar(pixels, axis=0), rtol=RTOL)
    np.testing.assert_array_equal(found.count, (~np.isnan(pixels)).sum(axis=0))
    np.testing.assert_array_equal(found.minimum, np.nanmin(pixels, axis=0))
    # What the files say holds beside what the folder says.
    np.testing.assert_array_equal(channel_statistics(with_nan).mean, found.mean)
    # Negative control: as a number, -9999 is far off.
    for name in "abc":
        folder.image(f"images/{name}.tif", arrays[name], overwrite=True)
    assert channel_statistics(with_nan).mean[2] < -100


def test_chosen_channels_and_labels(folder) -> None:
    values = {}
    for name in "ab":
        values[name] = folder.rng.integers(0, 100, (40, 50, 2)).astype(np.float32)
        values[name][0] = -1
        folder.image(f"images/{name}.tif")
        folder.target(f"targets/{name}.tif", values[name], nodata=-1)
    dataset = open_dataset(folder.root, bands=[2], targets=[1], validation=0)
    assert channel_statistics(dataset).mean.shape == (1,)
    found = channel_statistics(dataset, of="labels")
    labelled = np.concatenate([values[name][1:, :, 1].ravel() for name in "ab"])
    np.testing.assert_allclose(found.mean, [labelled.mean(dtype=np.float64)], rtol=RTOL)
    assert found.count.tolist() == [labelled.size]


def test_a_channel_without_measurement_is_an_error(folder) -> None:
    image = np.ones((40, 50, 2), np.float32)
    image[..., 1] = 0
    folder.image("images/a.tif", image, nodata=0)
    folder.mask("masks/a.png")
    folder.text("dataset.yaml", "bands: [red, nir]\n")
    with pytest.raises(DataError, match="no valid pixel in nir of the images of the split train"):
        channel_statistics(open_dataset(folder.root))


def test_class_counts_leave_out_ignored_pixels(folder) -> None:
    mask = np.array([[0, 0, 1], [255, 3, 3]], np.uint8)
    for name in "ab":
        folder.image(f"images/{name}.npy", folder.rng.random((2, 3)))
        folder.mask(f"masks/{name}.png", mask)
    folder.text("dataset.yaml", "classes: [a, b, c, d, e]\n")
    dataset = open_dataset(folder.root, validation=0)
    assert class_counts(dataset).tolist() == [4, 2, 0, 4, 0]
    assert class_counts(dataset).dtype == np.int64


def test_what_does_not_fit_the_task_is_explained(folder, tmp_path) -> None:
    dataset = open_dataset(folder.fill(2).root)
    with pytest.raises(DataError, match="count them with class_counts"):
        channel_statistics(dataset, of="labels")
    with pytest.raises(DataError, match="the split test is empty"):
        channel_statistics(dataset, "test")
    with pytest.raises(DataError, match="no classes to count"):
        class_counts(replace(dataset, task="regression"))


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.integers(0, 2**31))
def test_merging_does_not_depend_on_the_pieces(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(1e4, 1, (size, 1, 2)) for size in sizes]
    missing = [rng.random(part.shape) < 0.3 for part in parts]
    merged: ChannelStatistics | None = None
    for part, gone in zip(parts, missing, strict=True):
        found = _of_window(part, gone)
        merged = found if merged is None else merged.merge(found)
    assert merged is not None
    valid = [
        np.concatenate([p[..., c][~m[..., c]] for p, m in zip(parts, missing, strict=True)])
        for c in (0, 1)
    ]
    for channel, pixels in enumerate(valid):
        assert merged.count[channel] == len(pixels)
        if len(pixels):
            np.testing.assert_allclose(merged.mean[channel], pixels.mean(), rtol=RTOL)
            np.testing.assert_allclose(merged.variance[channel], pixels.var(), rtol=1e-6, atol=1e-9)


def test_every_run_gives_the_same_bits(folder) -> None:
    dataset = open_dataset(folder.fill(8).root)
    first, second = channel_statistics(dataset), channel_statistics(dataset)
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.variance.tobytes() == second.variance.tobytes()
