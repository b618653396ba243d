"""Values change by what was asked for, on any number of channels; NaN stays where it was."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from normwise.data.intensity import Intensity

MEAN, STD = np.array([100.0, -5, 0.5], np.float32), np.array([10.0, 2, 0.1], np.float32)


def patch(shape: tuple[int, ...] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(0).normal(MEAN, STD, (*shape, 3)).astype(np.float32)


def changed(image: np.ndarray, seed: int = 0, **options: float) -> np.ndarray:
    draws = np.random.default_rng(seed).standard_normal((2, image.shape[-1]))
    rng = np.random.default_rng(seed)
    return Intensity(**options).changed(image, draws, rng, MEAN, STD)


@pytest.mark.parametrize("shape", [(32, 32), (4, 16, 16)])
def test_noise_is_in_standard_deviations_of_the_channel(shape: tuple[int, ...]) -> None:
    image = patch(shape)
    change = changed(image, noise=0.2) - image
    assert change.std(axis=tuple(range(len(shape)))) == pytest.approx(0.2 * STD, rel=0.1)
    assert np.abs(np.corrcoef(change.reshape(-1, 3).T)[0, 1]) < 0.15


def test_gamma_keeps_the_order_and_bends_all_channels_alike() -> None:
    image = patch()
    made = [changed(image, seed, gamma=0.3) for seed in range(30)]
    shares = []
    for values in made:
        for channel in range(3):
            order = np.argsort(image[..., channel].ravel())
            assert (np.diff(values[..., channel].ravel()[order]) >= -1e-4 * STD[channel]).all()
        share = (values - (MEAN - 3 * STD)) / (6 * STD)
        old = (image - (MEAN - 3 * STD)) / (6 * STD)
        inside = (old > 0.05) & (old < 0.95)
        exponent = np.log(share[inside]) / np.log(old[inside])
        np.testing.assert_allclose(exponent, exponent[0], rtol=0, atol=2e-3)
        shares.append(np.log(exponent[0]))
    assert np.std(shares) == pytest.approx(0.3, rel=0.4)


def test_blur_is_that_of_scipy_in_each_plane() -> None:
    image = patch((3, 16, 16))
    sigma = 2.0 * _uniform_after_exponent(1)
    made = changed(image, 1, blur=2.0)
    for plane in range(3):
        for channel in range(3):
            expected = gaussian_filter(
                image[plane, ..., channel], sigma, mode="nearest", truncate=3.0
            )
            np.testing.assert_allclose(made[plane, ..., channel], expected, rtol=1e-4, atol=1e-4)


def test_an_offset_moves_its_channel_as_a_whole() -> None:
    image = patch()
    moves = np.array([changed(image, seed, offset=(0, 0.5, 2)) - image for seed in range(300)])
    assert (np.ptp(moves, axis=(1, 2)) < 1e-4 * STD).all()
    assert (moves[..., 0] == 0).all()
    spread = moves.mean(axis=(1, 2)).std(axis=0)
    np.testing.assert_allclose(spread / STD, [0, 0.5, 2], rtol=0.15, atol=1e-6)
    gained = [changed(image, seed, gain=0.3, offset=(0, 0.4, 0)) for seed in range(300)]
    ends = np.array([one.mean(axis=(0, 1)) for one in gained]) - image.mean(axis=(0, 1))
    np.testing.assert_allclose(ends.std(axis=0) / STD, [0.3, 0.5, 0.3], rtol=0.15)


def _uniform_after_exponent(seed: int) -> float:
    rng = np.random.default_rng(seed)
    rng.standard_normal()
    return float(rng.uniform())


def test_channels_are_dropped_at_their_rate_and_one_always_stays() -> None:
    image = patch((4, 4))
    gone = np.array(
        [
            [(changed(image, seed, channel_dropout=0.3)[..., c] == MEAN[c]).all() for c in range(3)]
            for seed in range(400)
        ]
    )
    assert gone.mean(axis=0) == pytest.approx([0.3] * 3, abs=0.08)
    for seed in range(20):
        kept = changed(image, seed, channel_dropout=1.0)
        assert (kept == image).all(axis=(0, 1)).sum() == 1


@pytest.mark.parametrize("option", ["gain", "gamma", "blur", "noise", "channel_dropout"])
def test_missing_pixels_stay_and_spread_nowhere(option: str) -> None:
    image = patch()
    image[3:6, 4] = np.nan
    image[9, 9, 1] = np.nan
    before = image.copy()
    made = changed(image, 2, **{option: 2.0 if option == "blur" else 0.5})
    assert made.dtype == np.float32 and made.shape == image.shape
    np.testing.assert_array_equal(np.isnan(made), np.isnan(image))
    np.testing.assert_array_equal(image, before)
    assert not np.array_equal(made, image, equal_nan=True)


def test_options_do_not_disturb_each_other() -> None:
    image = patch()
    alone, both = changed(image, 5, blur=1.0), changed(image, 5, blur=1.0, channel_dropout=0.9)
    kept = [c for c in range(3) if not (both[..., c] == MEAN[c]).all()]
    assert len(kept) < 3
    np.testing.assert_array_equal(both[..., kept], alone[..., kept])


def test_a_constant_channel_survives_gamma() -> None:
    image = np.full((4, 4, 1), 7.0, np.float32)
    made = Intensity(gamma=0.5).changed(
        image, np.zeros((2, 1)), np.random.default_rng(0),
        np.array([7.0], np.float32), np.zeros(1, np.float32),
    )  # fmt: skip
    np.testing.assert_allclose(made, image, rtol=1e-6, atol=0)
