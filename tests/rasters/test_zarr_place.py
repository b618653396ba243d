"""Where a Zarr lies is written as GDAL and rioxarray read it, and read as they write it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from normwise.errors import RasterError
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster

UTM, WGS84 = CRS.from_epsg(32632), CRS.from_epsg(4326)
NORTH_UP = from_origin(5e5, 5e6, 10, 20)
PIXELS = np.random.default_rng(0).normal(size=(30, 40, 2)).astype(np.float32)
LIKE = RasterInfo(Path("scene.tif"), 30, 40, 2, PIXELS.dtype, crs=UTM, transform=NORTH_UP)
PLACES = {
    "north up": (UTM, NORTH_UP),
    "degrees": (WGS84, from_origin(8.1, 46.3, 1 / 3600, 1 / 7200)),
    "turned": (UTM, Affine(3.0, 0.5, 5e5, 0.25, -2.0, 5e6)),
    "no system": (None, NORTH_UP),
    "no transform": (UTM, None),
}


@pytest.fixture(params=[2, 3])
def version(request):
    return request.param


@pytest.fixture
def like(version, tmp_path):
    """An image of that version of Zarr that lies somewhere."""
    zarr.create_array(tmp_path / "like.zarr", shape=(4, 5), dtype="u1", zarr_format=version)
    return replace(LIKE, path=tmp_path / "like.zarr")


@pytest.mark.parametrize("name", PLACES)
def test_a_place_that_is_written_is_read_again_and_goes_into_a_geotiff(tmp_path, like, name):
    crs, transform = PLACES[name]
    out = tmp_path / "out.zarr"
    write_raster(
        out, PIXELS, replace(like, crs=crs, transform=transform), np.nan, False, ("a", "b")
    )
    info = raster_info(out)
    assert (info.crs, info.transform, info.channels) == (crs, transform, 2)
    assert np.isnan(info.nodata)
    np.testing.assert_array_equal(read_raster(out), PIXELS)
    write_raster(tmp_path / "out.tif", PIXELS, info)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.crs == crs
        assert file.transform == (transform or Affine.identity())


@pytest.mark.parametrize("name", ["north up", "degrees"])
def test_gdal_reads_the_place_and_the_bands(tmp_path, name):
    zarr.create_array(tmp_path / "like.zarr", shape=(4, 5), dtype="u1", zarr_format=2)
    crs, transform = PLACES[name]
    like = replace(LIKE, path=tmp_path / "like.zarr", crs=crs, transform=transform)
    write_raster(tmp_path / "out.zarr", PIXELS, like, np.nan)
    with rasterio.open(f'ZARR:"{tmp_path / "out.zarr"}":/image') as file:
        assert file.crs == crs and np.isnan(file.nodata)
        np.testing.assert_allclose(file.transform, transform, rtol=1e-12, atol=0)
        np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1), PIXELS)


def test_what_xarray_looks_for_is_there(tmp_path, like, version):
    write_raster(tmp_path / "out.zarr", PIXELS, like, np.nan, False, ("a", "b"))
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    image, told = group["image"], group["spatial_ref"].attrs
    assert image.attrs["grid_mapping"] == "spatial_ref" and image.attrs["bands"] == ["a", "b"]
    assert CRS.from_wkt(told["crs_wkt"]) == UTM == CRS.from_wkt(told["spatial_ref"])
    assert [float(part) for part in told["GeoTransform"].split()] == [5e5, 10, 0, 5e6, 0, -20]
    old = version == 2
    names = {
        name: tuple(
            array.attrs["_ARRAY_DIMENSIONS"] if old else array.metadata.dimension_names or ()
        )
        for name, array in group.arrays()
    }
    assert names == {"image": ("c", "y", "x"), "spatial_ref": (), "y": ("y",), "x": ("x",)}
    np.testing.assert_array_equal(group["x"][...], 5e5 + 10 * (np.arange(40) + 0.5))
    np.testing.assert_array_equal(group["y"][...], 5e6 - 20 * (np.arange(30) + 0.5))
    assert group["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert group["x"].fill_value is None or not old  # which would make one missing


def test_a_volume_and_a_turned_image_have_a_place_too(tmp_path, like):
    volume = np.random.default_rng(1).normal(size=(70, 5, 6, 1)).astype(np.float32)
    write_raster(tmp_path / "a.zarr", volume, replace(like, depth=70, height=5, width=6))
    assert raster_info(tmp_path / "a.zarr").transform == NORTH_UP
    np.testing.assert_array_equal(read_raster(tmp_path / "a.zarr"), volume)
    write_raster(tmp_path / "b.zarr", PIXELS, replace(like, transform=PLACES["turned"][1]))
    assert {name for name, _ in zarr.open_group(tmp_path / "b.zarr").arrays()} == {
        "image", "spatial_ref",
    }  # fmt: skip


def test_an_image_that_lies_nowhere_is_a_plain_array(tmp_path, like):
    nowhere = replace(like, crs=None, transform=Affine.identity())
    write_raster(tmp_path / "out.zarr", PIXELS, nowhere)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[...], PIXELS)
    info = raster_info(tmp_path / "out.zarr")
    assert (info.crs, info.transform) == (None, None)


@pytest.mark.parametrize("bands", [1, 3])
def test_the_place_of_a_zarr_of_gdal(tmp_path, bands):
    size = {"height": 30, "width": 40, "count": bands, "dtype": "int16"}
    nodata = {"nodata": -99} if bands == 1 else {}
    path = tmp_path / "a.zarr"
    pixels = np.arange(bands * 1200, dtype=np.int16).reshape(bands, 30, 40)
    options = {"interleave": "band", "format": "ZARR_V2"}
    with rasterio.open(
        path, "w", driver="Zarr", crs=UTM, transform=NORTH_UP, **size, **nodata, **options
    ) as file:
        file.write(pixels)
    info = raster_info(path)
    with rasterio.open(path) as file:  # GDAL 3.10 itself loses the system of several bands
        assert (info.crs, info.nodata) == (file.crs, file.nodata)
    np.testing.assert_allclose(info.transform, NORTH_UP, rtol=1e-12, atol=0)
    np.testing.assert_array_equal(read_raster(path), np.moveaxis(pixels, 0, -1))


def by_hand(path, x=None, y=None, **attributes):
    """A group as xarray writes it; `attributes` of the array that tells the system."""
    group = zarr.open_group(path, mode="w")
    for name, values in (("x", x), ("y", y)):
        if values is not None:
            group.create_array(name, shape=values.shape, dtype=values.dtype, dimension_names=[name])
            group[name][...] = values
    image = group.create_array("cover", shape=(3, 4), dtype="u1", dimension_names=["y", "x"])
    image.attrs["grid_mapping"] = "crs: x y"
    group.create_array("crs", shape=(), dtype="i8").attrs.update(attributes)
    return path


WKT = {"spatial_ref": UTM.to_wkt()}


def test_coordinates_of_rows_and_columns_tell_the_transform(tmp_path):
    x, y = 5e5 + 10 * (np.arange(4) + 0.5), 5e6 - 20 * (np.arange(3) + 0.5)
    for dtype in (np.float64, np.float32, np.int32):
        path = by_hand(tmp_path / "a.zarr", x.astype(dtype), y.astype(dtype), **WKT)
        assert raster_info(path).transform == NORTH_UP
    info = raster_info(by_hand(tmp_path / "a.zarr", x, y))
    assert (info.crs, info.transform) == (None, NORTH_UP)
    # Those that are not evenly spaced, are of another length or only count pixels tell none.
    uneven = np.array([0, 1, 3, 9])
    for left, top in (
        (uneven, y), (x[:3], y), (x, None), (x * np.nan, y), (x * 0, y),
        (np.arange(4), np.arange(3)), (np.arange(1, 5), np.arange(3, 0, -1)),
    ):  # fmt: skip
        info = raster_info(by_hand(tmp_path / "a.zarr", left, top, **WKT))
        assert (info.crs, info.transform) == (UTM, None)


def test_axes_of_length_1_are_none_of_rows_and_columns(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    names = ["time", "level", "y", "x"]
    group.create_array("cover", shape=(1, 1, 3, 4), dtype="u1", dimension_names=names)
    for name, values in (("x", 5 + np.arange(4)), ("y", 9.5 - np.arange(3) / 2)):
        group.create_array(name, shape=values.shape, dtype=values.dtype)[...] = values
    assert raster_info(tmp_path / "a.zarr").transform == Affine(1, 0, 4.5, 0, -0.5, 9.75)


def test_a_transform_beside_other_coordinates(tmp_path):
    text = "500000 10 0 5000000 0 -20"
    for told in (text, [float(part) for part in text.split()]):
        path = by_hand(tmp_path / "a.zarr", np.arange(4), np.arange(3), GeoTransform=told, **WKT)
        assert raster_info(path).transform == NORTH_UP
    array = zarr.create_array(tmp_path / "b.zarr", shape=(3, 4), dtype="u1")
    array.attrs["spatial_ref"] = {"crs_wkt": UTM.to_wkt(), "GeoTransform": text}
    info = raster_info(tmp_path / "b.zarr")
    assert (info.crs, info.transform) == (UTM, NORTH_UP)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"crs_wkt": "somewhere"}, "crs_wkt is 'somewhere', which is not a coordinate system"),
        ({"crs_wkt": 32632}, "crs_wkt is 32632"),
        ({"crs_wkt": ["EPSG"]}, "crs_wkt is"),
        ({"GeoTransform": "1 2 3"}, "GeoTransform is '1 2 3', which is not six numbers"),
        ({"GeoTransform": {"a": 1}}, "GeoTransform is"),
        ({"GeoTransform": 7}, "GeoTransform is"),
        ({"GeoTransform": "0 1 0 0 nan 1"}, ".* which is not an affine map"),
        ({"GeoTransform": "0 0 0 0 0 1"}, ".* which is not an affine map"),
    ],
)
def test_what_is_no_place_is_an_error_that_names_it(tmp_path, attributes, told):
    path = by_hand(tmp_path / "a.zarr", **attributes)
    with pytest.raises(RasterError, match=rf"a\.zarr: its attribute {told}"):
        raster_info(path)


def test_coordinates_are_not_unpacked_by_what_may_do_harm(tmp_path):
    import json

    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    image = group.create_array("cover", shape=(3, 4), dtype="u1")
    wkt = {"crs_wkt": UTM.to_wkt()}
    image.attrs.update({"_ARRAY_DIMENSIONS": ["y", "x"], "spatial_ref": wkt})
    for name, size in (("x", 4), ("y", 3)):
        group.create_array(name, data=np.arange(size))
    metadata = json.loads((path / "x" / ".zarray").read_text())
    metadata["filters"] = [{"id": "pickle", "protocol": 5}]
    (path / "x" / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(RasterError, match="pickle"):
        raster_info(path)
