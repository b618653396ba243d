"""Units and scales of an OME-Zarr stand in what is made of it, in the words of NGFF."""

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from rasterio.crs import CRS
from rasterio.transform import from_origin

from normwise.rasters import raster_info, read_raster, write_raster
from normwise.rasters.class_map import Classes
from normwise.rasters.writing import write_by_windows

UNITS = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
TYPES = {"c": "channel", "t": "time"}
SCALE = {"t": 3.0, "c": 1.0, "z": 2.5, "y": 0.5, "x": 0.25}
START = {"t": 0.0, "c": 0.0, "z": 10.0, "y": -4.0, "x": 0.0}


def ome_zarr(path, axes, version, *, start=False, whole=()):
    """An image of two levels; `whole`: steps that hold for all of them."""
    lengths = {"t": 1, "c": 2, "z": 4, "y": 6, "x": 8}
    shape = tuple(lengths[axis] for axis in axes)
    pixels = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint16)
    group = zarr.open_group(path, mode="w", zarr_format=version)
    levels = []
    for name, step in (("s0", 1), ("s1", 2)):
        part = pixels[..., ::step, ::step]
        names = {"dimension_names": list(axes)} if version == 3 else {}
        group.create_array(name, data=part, chunks=part.shape, **names)
        steps = [{"type": "scale", "scale": [SCALE[axis] for axis in axes]}]
        if start:
            steps.append({"type": "translation", "translation": [START[axis] for axis in axes]})
        levels.append({"path": name, "coordinateTransformations": steps})
    named = [
        {"name": axis, "type": TYPES.get(axis, "space")}
        | ({"unit": UNITS[axis]} if axis in UNITS else {})
        for axis in axes
    ]
    told = {"axes": named, "datasets": levels}
    if whole:
        told["coordinateTransformations"] = list(whole)
    if version == 2:
        group.attrs["multiscales"] = [{"version": "0.4", **told}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [told]}
    return path


def told_by(path, version):
    """The axes and transformations of a single level, held against the rules of NGFF."""
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == version
    ome = dict(group.attrs) if version == 2 else group.attrs["ome"]
    (multiscale,) = ome["multiscales"]
    assert (multiscale if version == 2 else ome)["version"] == {2: "0.4", 3: "0.5"}[version]
    (level,) = multiscale["datasets"]
    array, axes = group[level["path"]], multiscale["axes"]
    names = [axis["name"] for axis in axes]
    assert len(axes) == array.ndim and len(set(names)) == len(names)
    order = [("time", "channel", "space").index(axis["type"]) for axis in axes]
    assert order == sorted(order) and 2 <= order.count(2) <= 3
    if version == 3:
        assert list(array.metadata.dimension_names) == names
    else:
        assert array.metadata.dimension_separator == "/"
    scale, *translation = level["coordinateTransformations"]
    assert scale["type"] == "scale" and len(scale["scale"]) == array.ndim
    assert all(step["type"] == "translation" for step in translation) and len(translation) < 2
    start = translation[0]["translation"] if translation else [0.0] * array.ndim
    return {
        axis["name"]: (axis.get("unit"), *numbers)
        for axis, *numbers in zip(axes, scale["scale"], start, strict=True)
    }, array


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["czyx", "tczyx", "zyx", "cyx", "yx"])
@pytest.mark.parametrize("start", [False, True])
def test_units_and_scales_are_kept(tmp_path, version, axes, start):
    info = raster_info(ome_zarr(tmp_path / "a.zarr", axes, version, start=start))
    pixels = np.random.default_rng(1).normal(size=(*info.shape, 3)).astype(np.float32)
    write_raster(tmp_path / "out.zarr", pixels, info, np.nan, band_names=("a", "b", "c"))
    told, array = told_by(tmp_path / "out.zarr", version)
    space = [axis for axis in axes if axis in "zyx"]
    assert told == {
        "c": (None, 1.0, 0.0),
        **{axis: ("micrometer", SCALE[axis], START[axis] * start) for axis in space},
    }
    np.testing.assert_array_equal(np.moveaxis(array[...], 0, -1), pixels)
    assert array.attrs["bands"] == ["a", "b", "c"]
    again = raster_info(tmp_path / "out.zarr")
    assert dict(again.ome)["Y"] == dict(info.ome)["Y"] and np.isnan(again.nodata)
    assert again.spacing == info.spacing == ((2.5, 0.5, 0.25) if "z" in axes else None)
    np.testing.assert_array_equal(read_raster(tmp_path / "out.zarr"), pixels)


def test_steps_for_all_levels_come_after_those_of_one(tmp_path):
    whole = [
        {"type": "scale", "scale": [1, 2, 2, 4]},
        {"type": "translation", "translation": [0, 1, 0, 0]},
    ]
    path = ome_zarr(tmp_path / "a.zarr", "czyx", 3, start=True, whole=whole)
    write_raster(tmp_path / "out.zarr", np.ones((4, 6, 8, 1), np.uint8), raster_info(path))
    told, _ = told_by(tmp_path / "out.zarr", 3)
    assert [told[axis][1:] for axis in "zyx"] == [(5.0, 21.0), (1.0, -8.0), (1.0, 0.0)]


def test_other_formats_take_the_distance_of_voxels(tmp_path):
    info = raster_info(ome_zarr(tmp_path / "a.zarr", "czyx", 3))
    voxels = np.ones((4, 6, 8, 1), np.uint8)
    write_raster(tmp_path / "out.nii", voxels, info)
    assert nibabel.load(tmp_path / "out.nii").header.get_zooms() == (0.25, 0.5, 2.5)
    write_raster(tmp_path / "out.tif", voxels, info)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.shaped_metadata[0]["spacing"] == 2.5


def test_what_is_no_scale_leaves_a_plain_zarr(tmp_path):
    plain = np.ones((4, 6, 8, 1), np.uint8)
    for step in (
        {"type": "scale", "scale": [1, 2]}, {"type": "scale", "path": "s"}, {}, None,
        {"type": "scale", "scale": [1, 1, 1e999, 1]},
    ):  # fmt: skip
        path = ome_zarr(tmp_path / "a.zarr", "czyx", 3, whole=[step])
        info = raster_info(path)
        assert info.ome is None and info.spacing is None and info.shape == (4, 6, 8)
        write_raster(tmp_path / "out.zarr", plain, info, overwrite=True)
        assert isinstance(zarr.open(tmp_path / "out.zarr", mode="r"), zarr.Array)


def test_a_class_map_of_an_ome_zarr_with_a_place(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", "cyx", 2)
    array = zarr.open_group(path)["s0"]
    crs, transform = CRS.from_epsg(32632), from_origin(5e5, 5e6, 10, 20)
    numbers = " ".join(map(repr, transform.to_gdal()))
    array.attrs["spatial_ref"] = {"crs_wkt": crs.to_wkt(), "GeoTransform": numbers}
    info, ids = raster_info(path), np.ones((6, 8, 1), np.uint8)
    classes = Classes(("land", "water"), ((1, 2, 3), (4, 5, 6)))
    write_by_windows(
        tmp_path / "out.zarr", lambda *a: ids[a], ids.shape, ids.dtype, info, 255, bands=classes
    )
    told, made = told_by(tmp_path / "out.zarr", 2)
    assert told["y"] == ("micrometer", 0.5, 0.0) and made.attrs["flag_meanings"] == "land water"
    again = raster_info(tmp_path / "out.zarr")
    assert (again.crs, again.transform, again.nodata) == (crs, transform, 255)
