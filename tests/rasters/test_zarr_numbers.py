"""Which numbers of a Zarr are missing, and what the others mean: training and prediction agree."""

import base64
import math
import struct

import numpy as np
import pytest
import zarr

from normwise.data import open_dataset
from normwise.data.pixels import marks_of, missing_in
from normwise.data.sources import Source
from normwise.errors import RasterError
from normwise.rasters import open_raster, raster_info, read_raster, write_raster
from normwise.workflows.prediction_images import Image

AXES = ["y", "x", "band"]
STORED = np.arange(60, dtype=np.int16).reshape(4, 5, 3) * 7 - 40
STORED[0, 0], STORED[1, 1, 0] = -99, -98


def write(path, pixels=STORED, version=3, named=True, fill_value=None, **attributes):
    """A Zarr as xarray keeps dimensions: as names of version 3, or an attribute of version 2."""
    old = {"_ARRAY_DIMENSIONS": AXES} if named and version == 2 else {}
    made = zarr.create_array(
        path, shape=pixels.shape, dtype=pixels.dtype, chunks=(2, 3, 3), zarr_format=version,
        dimension_names=AXES if named and version == 3 else None, fill_value=fill_value,
        attributes={**old, **attributes}, overwrite=True,
    )  # fmt: skip
    made[...] = pixels
    return path


def packed(number):
    """As xarray keeps floats in attributes of version 3."""
    return base64.standard_b64encode(struct.pack("<d", number)).decode()


@pytest.mark.parametrize(
    ("attributes", "nodata"),
    [
        ({"_FillValue": -99}, -99),
        ({"missing_value": -99}, -99),
        ({"missing_value": [-99]}, -99),
        ({"_FillValue": -99, "missing_value": -99.0}, -99),
        ({"_FillValue": "-99"}, -99),
        ({"_FillValue": packed(-99)}, -99),
        ({"_FillValue": packed(math.nan)}, math.nan),
        ({"_FillValue": "NaN"}, math.nan),
        ({"_FillValue": packed(math.nan), "missing_value": -99}, -99),
        ({"_FillValue": None}, None),
        ({"version": 2, "fill_value": -99}, -99),
        ({"version": 2, "fill_value": -99, "_FillValue": -98}, -98),
        # What stands in chunks that nobody wrote says nothing of others.
        ({}, None),
        ({"fill_value": -99}, None),
        ({"version": 2}, None),
        ({"version": 2, "fill_value": 0}, None),
        ({"version": 2, "fill_value": -99, "named": False}, None),
    ],
)
def test_what_attributes_call_missing_is_nodata(tmp_path, attributes, nodata):
    path = write(tmp_path / "a.zarr", **attributes)
    info = raster_info(path)
    assert str(info.nodata) == str(None if nodata is None else float(nodata))
    assert info.dtype == np.int16 and not info.masked
    np.testing.assert_array_equal(read_raster(path), STORED)


def test_floats_of_xarray_in_version_2_are_missing_where_their_fill_value_stands(tmp_path):
    pixels = STORED.astype(np.float32)
    for fill in (-99.0, math.nan):
        path = write(tmp_path / "a.zarr", pixels, version=2, fill_value=fill)
        assert str(raster_info(path).nodata) == str(fill)


def test_pixels_that_one_of_several_values_marks_are_nan(tmp_path):
    path = write(tmp_path / "a.zarr", _FillValue=-99, missing_value=[-98, -1000])
    info, found = raster_info(path), read_raster(path)
    assert info.masked and math.isnan(info.nodata) and info.dtype == np.float32
    wanted = STORED.astype(np.float32)
    wanted[STORED < -90] = np.nan
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(missing_in(found, marks_of(info.nodata)), STORED < -90)


@pytest.mark.parametrize(
    ("stored", "read"),
    [("int16", "float32"), ("uint8", "float32"), ("int32", "float64"), ("float32", "float32"),
     (">i2", "float32"), ("float64", "float64")],
)  # fmt: skip
def test_scale_and_offset_are_applied_to_what_is_not_missing(tmp_path, stored, read):
    pixels = (STORED % 120).astype(stored)
    told = {"scale_factor": 0.01, "add_offset": 250.0, "_FillValue": 23}
    path = write(tmp_path / "a.zarr", pixels, **told)
    with open_raster(path) as raster:
        info, found = raster.info, raster.read()
        part = raster.read(slice(1, 3), slice(2, 5), channels=[2, 0])
    assert (pixels == 23).any() and info.dtype == read == found.dtype
    assert math.isnan(info.nodata) and not info.masked
    wanted = np.where(pixels == 23, np.nan, pixels.astype(np.float64) * 0.01 + 250)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(part, found[1:3, 2:5, [2, 0]])


@pytest.mark.parametrize(("version", "told"), [(3, {}), (2, {"add_offset": 0, "scale_factor": 1})])
def test_a_factor_of_1_leaves_numbers_as_they_are(tmp_path, version, told):
    path = write(tmp_path / "a.zarr", version=version, **told)
    assert raster_info(path).dtype == np.int16 and raster_info(path).nodata is None
    np.testing.assert_array_equal(read_raster(path), STORED)
    scaled = raster_info(write(tmp_path / "b.zarr", scale_factor=2))
    assert scaled.dtype == np.float32 and scaled.nodata is None  # nothing is missing


@pytest.mark.parametrize("fill", [-1, 255])
def test_signed_bytes_may_stand_for_unsigned_ones(tmp_path, fill):
    pixels = np.array([[0, 127, 128, 255]], np.uint8)[..., None]
    path = write(tmp_path / "a.zarr", pixels.view(np.int8), _Unsigned="true", _FillValue=fill)
    assert raster_info(path).dtype == np.uint8 and raster_info(path).nodata == 255
    np.testing.assert_array_equal(read_raster(path), pixels)
    path = write(
        tmp_path / "b.zarr", pixels.view(np.int8), _Unsigned="true", _FillValue=fill, add_offset=1
    )
    np.testing.assert_array_equal(read_raster(path).ravel(), [1, 128, 129, np.nan])
    back = write(tmp_path / "c.zarr", pixels, _Unsigned="false", _FillValue=fill)
    assert raster_info(back).nodata == -1 and read_raster(back).min() == -128
    # The control: without it a byte that can't be there marks nothing.
    plain = write(tmp_path / "d.zarr", pixels, _FillValue=-1)
    assert raster_info(plain).nodata == -1
    assert missing_in(read_raster(plain), raster_info(plain).nodata) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"scale_factor": 0}, {"scale_factor": [0.1, 0.2]}, {"add_offset": "NaN"},
        {"scale_factor": "0,1"}, {"_FillValue": "none"}, {"_FillValue": {"value": 1}},
        {"missing_value": "AAAA"}, {"missing_value": 10**400},
    ],
)  # fmt: skip
def test_what_is_no_number_is_an_error_that_names_it(tmp_path, attributes):
    path = write(tmp_path / "a.zarr", **attributes)
    with pytest.raises(RasterError, match=rf"a\.zarr: its attribute {next(iter(attributes))} is"):
        raster_info(path)


def test_training_and_prediction_read_the_same(tmp_path):
    told = {"scale_factor": 0.5, "add_offset": 3, "_FillValue": -99}
    for index, name in enumerate("bca"):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        write(tmp_path / "images" / f"{name}.zarr", np.roll(STORED, index, 1), **told)
        write_raster(tmp_path / "masks" / f"{name}.png", (STORED[..., :1] % 2).astype(np.uint8))
    (tmp_path / "split.csv").write_text("name,split\na,train\nc,train\nb,val\n")
    dataset = open_dataset(tmp_path)
    assert dataset.dtype == np.float32
    item = dataset.split("val")[0]
    with Source(dataset, dataset.items) as source:
        pixels, missing = source.image(item, slice(0, 4), slice(0, 5))
    np.testing.assert_array_equal(missing, STORED == -99)
    np.testing.assert_array_equal(pixels[~missing], STORED[~missing] / 2 + 3)
    with open_raster(item.image) as raster:
        image = Image(raster, marks_of(raster.info.nodata))
        np.testing.assert_array_equal(image.read((slice(0, 4), slice(0, 5)), None), pixels)
