"""Pictures lie where the files beside them say; those files are files of the image."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine

from normwise.rasters import pictures, raster_info, read_raster, write_raster
from normwise.rasters.beside import all_files

SIZE = (6, 8)
# A turned one; a world file tells the middle of the first pixel, in lines of its own order.
TRANSFORM = Affine(3.0, 0.5, 500000.0, 0.25, -2.0, 5000000.0)
WORLD = "3.0\n0.25\n0.5\n-2.0\n500001.75\n4999999.125\n"
TABLE = """!table
!version 300
Definition Table
  File "a.tif"
  Type "RASTER"
  (100,200) (0,0) Label "a",
  (164,200) (64,0) Label "b",
  (164,136) (64,64) Label "c"
"""
SYSTEM = "<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>"
UTM = CRS.from_epsg(32632)


def picture(path, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 200, (*SIZE, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def place(path):
    """What rasterio reads: coordinate system, transform, and control points as numbers."""
    with rasterio.open(path) as file:
        points, crs = file.gcps
        told = [(point.row, point.col, point.x, point.y) for point in points]
        return crs or file.crs, file.transform, told


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("a.png", "a.pgw"), ("a.png", "a.PGW"), ("a.png", "a.pngw"), ("a.png", "a.wld"),
        ("a.jpg", "a.jgw"), ("a.jpg", "a.jpgw"), ("a.JPG", "a.JGW"), ("a.jpeg", "a.jpegw"),
        ("a.jpeg", "a.WLD"),
    ],
)  # fmt: skip
def test_a_world_file_places_a_picture_and_what_is_made_of_it(tmp_path, name, side):
    path = picture(tmp_path / name)
    plain = read_raster(path)
    (tmp_path / side).write_text(WORLD)
    info = raster_info(path)
    assert (info.crs, info.transform) == (None, TRANSFORM)
    np.testing.assert_array_equal(read_raster(path), plain)
    (tmp_path / f"{name}.aux.xml").write_text(SYSTEM)
    assert raster_info(path).crs == UTM
    write_raster(tmp_path / "out.tif", np.ones(SIZE, np.uint8), like=raster_info(path))
    assert place(tmp_path / "out.tif") == (UTM, TRANSFORM, [])
    assert {file.name for file in all_files(path)} == {name, side, f"{name}.aux.xml"}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_control_points_place_a_picture(tmp_path, name):
    corners = [(0, 0), (0, 8), (6, 0), (6, 8)]
    wanted = [(row, col, 8 + col / 7, 46 - row / 9) for row, col in corners]
    points = "".join(
        f'<GCP Id="{index}" Pixel="{col}" Line="{row}" X="{x!r}" Y="{y!r}"/>'
        for index, (row, col, x, y) in enumerate(wanted)
    )
    told = f'<GCPList Projection="EPSG:4326">{points}</GCPList>'
    path = picture(tmp_path / name)
    (tmp_path / f"{name}.aux.xml").write_text(f"<PAMDataset>{told}</PAMDataset>")
    info = raster_info(path)
    assert info.transform is None and len(info.geolocation.points) == 4
    write_raster(tmp_path / "out.tif", np.ones(SIZE, np.uint8), like=info)
    crs, transform, found = place(tmp_path / "out.tif")
    assert crs == CRS.from_epsg(4326) and transform.is_identity
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0)


def test_pixels_and_their_meaning_stay_pillows(tmp_path):
    for mode in ("P", "L", "LA", "RGBA", "1"):
        path = picture(tmp_path / f"{mode}.png", mode)
        before, plain = raster_info(path), read_raster(path)
        (tmp_path / f"{mode}.pgw").write_text(WORLD)
        after = raster_info(path)
        assert after.transform == TRANSFORM
        for name in ("channels", "dtype", "band_names", "alpha", "nodata", "masked"):
            assert getattr(after, name) == getattr(before, name)
        np.testing.assert_array_equal(read_raster(path), plain)


def test_a_picture_alone_is_opened_by_pillow_alone(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(pictures, "open_with_gdal", lambda *_: pytest.fail("GDAL was asked"))
    for name, other in (("a.png", "a.jgw"), ("b.jpg", "b.pgw"), ("c.jpeg", "c.jpgw")):
        path = picture(tmp_path / name)
        (tmp_path / other).write_text(WORLD)  # of another format
        info = raster_info(path)
        assert (info.crs, info.transform, info.geolocation) == (None, None, None)
        assert list(all_files(path)) == [path]
    assert not recwarn.list


def test_statistics_beside_a_picture_are_no_place(tmp_path):
    path = picture(tmp_path / "a.png")
    (tmp_path / "a.png.aux.xml").write_text(
        '<PAMDataset><Metadata><MDI key="a">1</MDI></Metadata></PAMDataset>'
    )
    info = raster_info(path)
    assert (info.crs, info.transform, info.geolocation) == (None, None, None)


@pytest.mark.parametrize(
    "side",
    ["a.tfw", "a.TFW", "a.tifw", "a.wld", "a_RPC.TXT", "a_rpc.txt", "a.RPB", "a.tab", "a.TAB"],
)
def test_what_gdal_reads_beside_a_geotiff_are_files_of_the_image(tmp_path, side):
    path = tmp_path / "a.tif"
    write_raster(path, np.ones(SIZE, np.uint8))
    (tmp_path / side).write_text(TABLE if side.lower() == "a.tab" else WORLD)
    with rasterio.open(path) as file:
        assert {tmp_path / side} == {tmp_path / name for name in map(str, file.files)} - {path}
    assert list(all_files(path)) == [path, tmp_path / side]
