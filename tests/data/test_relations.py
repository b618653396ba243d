"""Covariances of channels and labels equal NumPy's over all pixels at once."""

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.relations import Relations, relations
from normwise.errors import DataError


def write(folder, rng):
    """Targets that are a linear function of two of three channels, with noise; some are missing."""
    pixels, labels = [], []
    for name in "abc":
        image = rng.normal([5e4, -3, 0], [10, 1e-2, 100], (30, 41, 3))
        noise = rng.normal(0, [0.5, 2], (30, 41, 2))
        target = image @ np.array([[2.0, 0.0], [50.0, 0.0], [0.0, 1.0]]) + [7, -1] + noise
        image[:2, :, 1], target[5:7, :, 0] = np.nan, np.nan
        folder.image(f"images/{name}.npy", image)
        folder.target(f"targets/{name}.npy", target)
        kept = ~(np.isnan(image).any(-1) | np.isnan(target).any(-1))
        pixels.append(image[kept])
        labels.append(target[kept])
    folder.text("split.csv", "name,split\na,train\nb,train\nc,val\n")
    folder.text("dataset.yaml", "nodata: .nan\n")
    return np.concatenate(pixels[:2]), np.concatenate(labels[:2])


def test_relations_and_fit_are_those_of_all_pixels(folder, monkeypatch):
    monkeypatch.setattr("normwise.data.relations.WINDOW_VALUES", 500)
    x, y = write(folder, folder.rng)
    found = relations(open_dataset(folder.root))
    joined = np.concatenate([x, y], axis=1)
    assert found.count == len(joined)
    np.testing.assert_allclose(found.mean, joined.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(joined.T, bias=True), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.correlation, np.corrcoef(joined.T), rtol=0, atol=1e-7)
    design = np.c_[x, np.ones(len(x))]
    best, *_ = np.linalg.lstsq(design - np.r_[x.mean(0), 0], y, rcond=None)
    fit = found.linear_fit()
    np.testing.assert_allclose(fit.weights, best[:3], rtol=1e-6, atol=1e-6)
    left = y - (x @ fit.weights + fit.offset)
    np.testing.assert_allclose(left.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(fit.residual_std, left.std(0), rtol=1e-6)
    np.testing.assert_allclose(fit.r2, 1 - left.var(0) / y.var(0), rtol=1e-9)
    assert not np.allclose(fit.r2, 1, rtol=0, atol=1e-6)


def test_classes_are_indicators_and_copies_of_a_channel_do_no_harm(folder):
    for name in "abc":
        mask = folder.rng.integers(0, 3, (20, 20)).astype(np.uint8)
        bright = (mask == 2) * 100 + folder.rng.normal(0, 1, (20, 20))
        folder.image(f"images/{name}.npy", np.stack([bright, bright, np.ones((20, 20))], -1))
        mask[:3] = 255
        folder.mask(f"masks/{name}.png", mask)
    found = relations(open_dataset(folder.root))
    assert found.count == 2 * 17 * 20
    assert found.correlation[0, 3 + 2] > 0.99
    assert found.correlation[2, 3] == 0  # a constant channel goes with nothing
    fit = found.linear_fit()
    assert fit.r2[2] > 0.99
    assert np.abs(fit.weights).max() < 1


def test_no_pixel_with_everything_is_an_error(folder):
    folder.image("images/a.npy", np.array([[[np.nan, 1.0], [1.0, np.nan]]] * 30))
    folder.target("targets/a.npy", np.ones((30, 2)))
    folder.text("dataset.yaml", "nodata: .nan\n")
    with pytest.raises(DataError, match="has both all channels and a label"):
        relations(open_dataset(folder.root))


def test_what_channels_explain_of_noise_is_nothing_however_many_there_are():
    rng = np.random.default_rng(0)
    for pixels, channels in ((20, 13), (100, 100), (200, 13)):
        x, y = rng.normal(size=(pixels, channels)), rng.normal(size=(pixels, 1))
        found = Relations.of(x, y)
        assert found.tells == (pixels == 200)
        assert found.adjusted_r2()[0] < (0.08 if found.tells else 1e-9)
        if not found.tells:
            assert found.linear_fit().r2[0] > 0.5  # why it is adjusted
    y = x[:, :1] + rng.normal(size=(pixels, 1))
    design = np.c_[x, np.ones(pixels)]
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    unbiased = (left**2).sum() / (pixels - 13 - 1) / y.var(ddof=1)
    assert Relations.of(x, y).adjusted_r2()[0] == pytest.approx(1 - unbiased, rel=1e-9)
    assert Relations.of(x, x[:, :1]).adjusted_r2()[0] == pytest.approx(1, abs=1e-9)


def test_a_constant_whose_mean_is_rounded_is_constant():
    x = np.c_[np.full(100_003, 0.1), np.random.default_rng(1).normal(size=100_003)]
    assert x.mean(0)[0] != 0.1
    found = Relations.of(x, x[:, 1:])
    assert found.std[0] == 0 and found.std[1] > 0
    np.testing.assert_array_equal(found.correlation[0], 0)
