"""Each image scaled by percentiles of its own, whole, however it is cut."""

import os
from dataclasses import replace

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.scaling import Percentiles, streamed_percentiles
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.rasters import write_raster


def reference(pixels, shares, missing=None):
    """NumPy's own, channel by channel, of the pixels that count."""
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float32)
    kept = np.isfinite(flat)
    if missing is not None:
        kept &= ~missing.reshape(kept.shape)
    columns = [values[inside] for values, inside in zip(flat.T, kept.T, strict=True)]
    return np.stack([np.percentile(c, shares, method="inverted_cdf") for c in columns], axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_percentiles_are_numpys_for_every_type(dtype):
    rng = np.random.default_rng(3)
    pixels = (rng.normal(0, 100, (37, 23, 3)) * [1, 10, 0.1]).astype(dtype)
    missing = rng.random(pixels.shape) < 0.2
    shares = (0.0, 0.3, 1.0, 50.0, 99.8, 100.0)
    found = streamed_percentiles(lambda: [(pixels, missing)], shares)
    np.testing.assert_array_equal(found, reference(pixels, shares, missing))
    assert not np.array_equal(found, reference(pixels, shares))  # what is missing does matter


def test_percentiles_do_not_depend_on_the_windows_or_on_infinities():
    rng = np.random.default_rng(4)
    pixels = np.exp(rng.normal(0, 8, (64, 5, 2))).astype(np.float32)
    pixels[:9] *= -1
    pixels[3, :, 0] = np.inf
    pixels[4, :, 1] = np.nan
    parts = [(pixels[i : i + 7], None) for i in range(0, 64, 7)]
    shares = (1.0, 99.8)
    np.testing.assert_array_equal(
        streamed_percentiles(lambda: parts, shares), reference(pixels, shares)
    )


def test_volumes_are_scaled_like_images():
    pixels = np.random.default_rng(5).integers(0, 5000, (4, 6, 7, 2))
    flat = Percentiles().scaled(pixels.reshape(24, 7, 2))
    np.testing.assert_array_equal(Percentiles().scaled(pixels), flat.reshape(pixels.shape))


def test_low_becomes_0_and_high_1_and_a_constant_channel_0():
    pixels = np.zeros((10, 101, 2))
    pixels[..., 0] = np.arange(101) + 1000
    pixels[..., 1] = 7
    scaled = Percentiles(10, 90).scaled(pixels)
    low, high = np.percentile(pixels[..., 0], [10, 90], method="inverted_cdf")
    np.testing.assert_allclose(scaled[..., 0], (pixels[..., 0] - low) / (high - low), atol=1e-6)
    assert scaled[..., 0].max() > 1  # not clipped
    assert (scaled[..., 1] == 0).all()


def test_nodata_does_not_count_and_an_empty_image_stays():
    pixels = np.full((8, 8, 1), -9999, np.int16)
    pixels[0] = np.arange(8)[:, None] * 10
    scaled = Percentiles(0, 100).scaled(pixels, nodata=-9999)
    np.testing.assert_allclose(scaled[0, :, 0], np.arange(8) / 7, atol=1e-7)
    empty = np.full((8, 8, 1), np.nan, np.float32)
    assert np.isnan(Percentiles().scaled(empty)).all()


@pytest.mark.parametrize(("low", "high"), [(1, 99.8), (0, 100), (0.5, 99.95)])
def test_the_name_of_an_input_says_the_scaling(low, high):
    scaling = Percentiles(low, high)
    assert Percentiles.of_input(scaling.input_name) == scaling
    assert Percentiles.of_input("input") is None


@pytest.mark.parametrize(("low", "high"), [(50, 50), (-1, 99), (1, 101), (99, 1)])
def test_impossible_percentiles_are_refused(low, high):
    with pytest.raises(DataError, match="the lower one first"):
        Percentiles(low, high)


def test_a_window_of_a_file_is_scaled_by_the_whole_file(folder):
    rng = np.random.default_rng(6)
    pixels = rng.integers(0, 4000, (90, 70, 3)).astype(np.uint16)
    pixels[:40] //= 10
    pixels[60:, 60:] = 65535
    for name in "abc":
        folder.image(f"images/{name}.tif", pixels - "abc".index(name))
        folder.mask(f"masks/{name}.png", rng.integers(0, 3, (90, 70)).astype(np.uint8))
    folder.text("dataset.yaml", "nodata: 65535\nclasses: [a, b, c]\n")
    folder.text("split.csv", "name,split\na,train\nb,val\nc,test\n")
    opened = open_dataset(folder.root, bands=(2, 0))
    dataset = replace(opened, scaling=Percentiles(2, 98))
    item = dataset.split("train")[0]
    with Source(dataset, dataset.items) as source:
        window, missing = source.image(item, slice(50, 80), slice(40, 70))
    whole = Percentiles(2, 98).scaled(pixels[..., [2, 0]], nodata=65535)
    np.testing.assert_array_equal(window, whole[50:80, 40:70])
    assert missing is not None and missing[10:, 20:].all()
    assert not np.allclose(window, Percentiles(2, 98).scaled(pixels[50:80, 40:70][..., [2, 0]]))


def test_percentiles_are_found_anew_when_a_file_deep_in_a_zarr_changes(tmp_path):
    path, other, pixels = tmp_path / "a.zarr", tmp_path / "b.zarr", np.full((8, 8, 1), 9, np.uint8)
    write_raster(path, pixels)
    pixels[0] = 200
    write_raster(other, pixels)
    scaling, before = Percentiles(0, 100), path.stat().st_mtime_ns
    assert scaling.bounds_of_file(path, None, None).ravel().tolist() == [9, 9]
    for file in (file for file in other.rglob("*") if file.is_file()):
        mine = path / file.relative_to(other)
        later = mine.stat().st_mtime_ns + 10**9
        mine.write_bytes(file.read_bytes())
        os.utime(mine, ns=(later, later))
    assert path.stat().st_mtime_ns == before  # the folder itself tells nothing
    assert scaling.bounds_of_file(path, None, None).ravel().tolist() == [9, 200]


def test_a_source_looks_once_whether_a_file_has_changed(folder, monkeypatch):
    folder.fill(3)
    dataset = replace(open_dataset(folder.root), scaling=Percentiles())
    asked, before = [], Percentiles.bounds_of_file
    monkeypatch.setattr(
        Percentiles, "bounds_of_file", lambda *given: (asked.append(given[1]), before(*given))[1]
    )
    item = dataset.items[0]
    with Source(dataset, dataset.items) as source:
        once, again = (source.image(item, slice(0, 9), slice(0, 9))[0] for _ in range(2))
    assert asked == [item.image]
    np.testing.assert_array_equal(once, again)
