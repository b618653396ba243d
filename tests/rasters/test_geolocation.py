"""Control points, and RPCs with or without a transform, are read, and kept by what is made."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import IDENTITY, from_origin

from normwise.rasters import RasterInfo, cog, raster_info, write_raster
from normwise.rasters.cog import write_cog

SIZE = (600, 700)
WGS84 = CRS.from_epsg(4326)
POINTS = [
    GroundControlPoint(row, col, 8 + col / 1e4, 46 - row / 1e4 + row * col / 1e9, 100 + row / 10)
    for row in (0, 300, 600)
    for col in (0, 350.5, 700)
]
RPCS = RPC(
    height_off=300.0, height_scale=500.0, lat_off=46.0, lat_scale=0.1, long_off=8.0,
    long_scale=0.12, line_off=299.5, line_scale=300.0, samp_off=349.5, samp_scale=350.0,
    line_num_coeff=[0.001, 0.02, -1.0, 0.003, *[1e-7] * 16], line_den_coeff=[1.0, *[2e-6] * 19],
    samp_num_coeff=[-0.002, 1.0, 0.01, 0.004, *[3e-7] * 16], samp_den_coeff=[1.0, *[4e-6] * 19],
    err_bias=0.5, err_rand=0.25,
)  # fmt: skip
ROUGH = {"crs": WGS84, "transform": from_origin(8, 46, 1e-4, 1e-4)}
TOLD = {
    "points": {"gcps": POINTS, "crs": WGS84},
    "polynomials": {"rpcs": RPCS},
    "both": {"gcps": POINTS, "crs": WGS84, "rpcs": RPCS},
    "a transform, too": {**ROUGH, "rpcs": RPCS},
}
NOWHERE = [], None, None, IDENTITY


def place(path):
    """What a file tells, as rasterio reads it: points and their system, RPCs, transform."""
    with rasterio.open(path) as file:
        points, crs = file.gcps
        told = [(point.row, point.col, point.x, point.y, point.z) for point in points]
        return told, crs or file.crs, file.rpcs, file.transform


@pytest.fixture(params=TOLD)
def scene(request, tmp_path):
    size = {"height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8"}
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", **size, **TOLD[request.param]) as file:
        file.write(np.ones((1, *SIZE), np.uint8))
    assert place(path) != NOWHERE
    return path


@pytest.mark.parametrize("way", ["cog", "without its driver", "plain"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_what_is_made_of_an_image_lies_where_it_lies(scene, tmp_path, monkeypatch, way, dtype):
    pixels, out, like = np.ones((*SIZE, 2), dtype), tmp_path / "out.tif", raster_info(scene)
    if way == "without its driver":
        monkeypatch.setattr(cog, "has_cog", lambda: False)
    if way == "plain":
        write_raster(out, pixels, like)
    else:
        write_cog(out, lambda *area: pixels[area], pixels.shape, pixels.dtype, like)
    assert place(out) == place(scene)
    assert raster_info(out).geolocation == like.geolocation
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "scene.tif"]


def test_another_size_has_another_place(scene, tmp_path):
    pixels, like = np.ones((300, 350, 1), np.uint8), raster_info(scene)
    write_raster(tmp_path / "plain.tif", pixels, like)
    write_cog(tmp_path / "cog.tif", lambda *area: pixels[area], pixels.shape, np.uint8, like)
    for name in ("plain.tif", "cog.tif"):
        found = place(tmp_path / name)
        # A transform tells where the first pixel lies, and how large it is.
        assert found == (NOWHERE if like.transform is None else ([], WGS84, None, like.transform))


def test_a_stack_lies_where_its_volume_lies(scene, tmp_path):
    like, out = replace(raster_info(scene), depth=3), tmp_path / "out.tif"
    write_raster(out, np.ones((3, *SIZE, 2), np.uint8), like)
    found = raster_info(out)
    assert found.shape == (3, *SIZE) and found.geolocation == like.geolocation
    for page in (out, f"GTIFF_DIR:6:{out}"):
        assert place(page) == place(scene)
    write_raster(out, np.ones((2, *SIZE, 2), np.uint8), like, overwrite=True)
    # A transform tells where the first pixel lies, and how large it is.
    assert place(out) == (NOWHERE if like.transform is None else ([], WGS84, None, like.transform))


def test_a_stack_keeps_coordinate_system_and_transform(tmp_path):
    place = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 20)}
    like = RasterInfo(tmp_path / "x", 6, 8, 1, np.dtype(np.uint8), depth=3, **place)
    for name, own in (("placed", like), ("nowhere", replace(like, crs=None, transform=None))):
        out = tmp_path / f"{name}.tif"
        write_raster(out, np.ones((3, 6, 8, 2), np.uint8), own, nodata=9)
        found = raster_info(out)
        assert (found.crs, found.transform) == (own.crs, own.transform)
        assert found.shape == (3, 6, 8) and found.nodata == 9


def test_bands_of_several_files_lie_where_the_first_one_does(scene):
    assert raster_info([scene, scene]).geolocation == raster_info(scene).geolocation


def vrt_of(path, points, transform=""):
    """A VRT without pixels of its own."""
    band = '<VRTRasterBand dataType="Byte" band="1"/>'
    path.write_text(
        f'<VRTDataset rasterXSize="8" rasterYSize="6">{transform}{points}{band}</VRTDataset>'
    )
    return path


@pytest.mark.parametrize("crs", ["EPSG:4326", None])
def test_a_vrt_tells_points_with_or_without_a_coordinate_system(tmp_path, crs):
    projection = f' Projection="{crs}"' if crs else ""
    points = "".join(
        f'<GCP Id="{index}" Pixel="{col}" Line="{row}" X="{8 + col}" Y="{46 - row}" Z="3"/>'
        for index, (row, col) in enumerate(((0, 0), (0, 8), (6, 0), (6, 8)))
    )
    text = f"<GCPList{projection}>{points}</GCPList>"
    path = vrt_of(tmp_path / "a.vrt", text)
    like = raster_info(path)
    assert like.transform is None and len(like.geolocation.points) == 4
    assert like.geolocation.crs == (CRS.from_string(crs) if crs else None)
    write_raster(tmp_path / "a.tif", np.ones((6, 8), np.uint8), like)
    assert place(tmp_path / "a.tif") == place(path)
    # The control: beside a transform they tell nothing.
    affine = "<SRS>EPSG:32632</SRS><GeoTransform>5e5, 10, 0, 5e6, 0, -10</GeoTransform>"
    both = raster_info(vrt_of(tmp_path / "both.vrt", text, affine))
    assert both.transform is not None and both.geolocation is None
