"""What a written Zarr tells beside its pixels, as zarr, GDAL and xarray's own form have it."""

import base64
import math
import struct

import numpy as np
import pytest
import rasterio
import zarr

from normwise.errors import RasterError
from normwise.rasters import raster_info, read_raster, write_raster
from normwise.rasters.class_map import Classes
from normwise.rasters.writing import write_by_windows

CLASSES = Classes(("bare land", "water"), ((16, 32, 48), (64, 80, 96)))


@pytest.fixture(params=[2, 3])
def like(request, tmp_path):
    """The header of an image that is a Zarr of that version."""
    zarr.create_array(tmp_path / "like.zarr", shape=(4, 5), dtype="u1", zarr_format=request.param)
    return raster_info(tmp_path / "like.zarr")


def fill_of(array):
    """What xarray takes for `_FillValue`."""
    if array.metadata.zarr_format == 2:
        return array.fill_value
    told = array.attrs.get("_FillValue")
    return struct.unpack("<d", base64.b64decode(told))[0] if isinstance(told, str) else told


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("float32", math.nan), ("float64", -9999.5), ("uint8", 255), ("int16", -1), ("uint8", None)],
)
def test_missing_pixels_are_told(tmp_path, like, dtype, nodata):
    pixels = np.arange(60).reshape(4, 5, 3).astype(dtype)
    pixels[0] = 0 if nodata is None else np.dtype(dtype).type(nodata)
    path = tmp_path / "out.zarr"
    write_raster(path, pixels, like, nodata)
    found = fill_of(zarr.open_array(path, mode="r"))
    np.testing.assert_equal(found, nodata)
    assert str(raster_info(path).nodata) == str(None if nodata is None else float(nodata))
    np.testing.assert_array_equal(read_raster(path), pixels)
    for name in (".zattrs", "zarr.json"):
        if (path / name).exists():
            assert "NaN" not in (path / name).read_text().replace('"NaN"', "")  # which is no JSON


@pytest.mark.parametrize("like", [2], indirect=True)  # GDAL 3.10 reads no other
def test_gdal_reads_missing_pixels(tmp_path, like):
    for dtype, nodata in (("uint8", 255.0), ("float32", math.nan), ("uint8", None)):
        path = tmp_path / f"{dtype}{nodata}.zarr"
        write_raster(path, np.ones((4, 5, 1), dtype), like, nodata)
        with rasterio.open(path) as file:
            np.testing.assert_equal(file.nodata, nodata)


def test_the_legend_of_a_class_map_stands_in_the_flags_of_cf(tmp_path, like):
    ids = np.random.default_rng(0).integers(0, 2, (30, 20, 1)).astype(np.uint8)
    path = tmp_path / "out.zarr"
    assert write_by_windows(path, lambda *a: ids[a], ids.shape, ids.dtype, like, 255, bands=CLASSES)
    array = zarr.open_array(path, mode="r")
    np.testing.assert_array_equal(array[...], ids)
    told = dict(array.attrs)
    assert told["flag_values"] == [0, 1] and told["flag_meanings"] == "bare_land water"
    assert told["flag_colors"] == "#102030 #405060" and told["classes"] == ["bare land", "water"]
    assert told["bands"] == ["class"] and fill_of(array) == 255


def test_a_value_that_pixels_can_not_have_is_refused(tmp_path):
    for nodata in (math.nan, -1, 256):
        with pytest.raises(RasterError, match="can't be written"):
            write_raster(tmp_path / "a.zarr", np.ones((4, 5), np.uint8), nodata=nodata)
    assert list(tmp_path.iterdir()) == []
