"""Class maps with names and colours in GeoTIFF and PNG, and images written piece by piece."""

import numpy as np
import pytest
import rasterio
from PIL import Image

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import read_raster
from normwise.rasters.class_map import Classes, rgb_of
from normwise.rasters.cog import write_cog
from normwise.rasters.writing import write_by_windows

COLOURS = rgb_of(["#e6e6e6", "#0072b2", "#009e73"])
CLASSES = Classes(("land", "water", "Gräser"), COLOURS)


@pytest.fixture(scope="module")
def ids():
    found = np.random.default_rng(0).integers(0, 3, (700, 1030, 1)).astype(np.uint8)
    found[:50, :60] = 255
    return found


def test_a_geotiff_names_and_colours_its_classes(tmp_path, ids):
    path = tmp_path / "a.tif"
    write_cog(path, lambda *area: ids[area], ids.shape, ids.dtype, nodata=255, bands=CLASSES)
    np.testing.assert_array_equal(read_raster(path), ids)
    with rasterio.open(path) as file:
        assert [file.colormap(1)[index][:3] for index in range(3)] == list(COLOURS)
        assert file.tags(1)["CLASS_2"] == "Gräser" and file.nodata == 255
        assert file.overviews(1) and set(np.unique(file.read(1, out_shape=(175, 257)))) <= {
            0, 1, 2, 255,
        }  # fmt: skip
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_a_png_has_ids_for_programs_and_colours_for_eyes(tmp_path, ids):
    path = tmp_path / "a.png"
    asked = []

    def read(rows, columns):
        asked.append(rows)
        return ids[rows, columns]

    assert write_by_windows(path, read, ids.shape, np.uint8, bands=CLASSES)
    np.testing.assert_array_equal(read_raster(path), ids)
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGBA"))
        assert picture.info["class 2"] == "Gräser"
    np.testing.assert_array_equal(shown[100, :, :3], np.array(COLOURS)[ids[100, :, 0]])
    assert (shown[:50, :60, 3] == 0).all() and (shown[60:, :, 3] == 255).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]
    with pytest.raises(OutputExistsError):
        write_by_windows(path, read, ids.shape, np.uint8, bands=CLASSES)


def test_a_large_png_is_written_strip_by_strip(tmp_path):
    asked = []

    def read(rows, columns):
        asked.append(rows.stop - rows.start)
        return np.broadcast_to(np.uint8(1), (asked[-1], columns.stop, 1))

    write_by_windows(tmp_path / "a.png", read, (3, 2**22, 1), np.uint8, bands=CLASSES)
    assert asked == [1, 1, 1]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (2**22, 3)


@pytest.mark.parametrize("shape", [(300, 270, 2), (70, 90, 66, 1)])
def test_a_zarr_is_written_chunk_by_chunk(tmp_path, shape):
    import zarr

    pixels = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    largest = []

    def read(*area):
        largest.append(pixels[area].size)
        return pixels[area]

    path = tmp_path / "a.zarr"
    names = ("mean", "std")[: shape[-1]]
    assert write_by_windows(path, read, shape, np.float32, bands=names)
    np.testing.assert_array_equal(read_raster(path), pixels)
    assert max(largest) < pixels.size and sum(largest) == pixels.size
    assert zarr.open(path, mode="r").attrs["bands"] == list(names)


def test_other_formats_are_left_to_write_raster(tmp_path, ids):
    assert not write_by_windows(tmp_path / "a.npy", lambda *a: ids[a], ids.shape, np.uint8)
    assert not write_by_windows(tmp_path / "a.png", lambda *a: ids[a], ids.shape, np.uint8)


def test_what_fails_leaves_nothing(tmp_path):
    def read(*_):
        raise OSError("no room")

    for name in ("a.png", "a.zarr"):
        with pytest.raises(RasterError, match="no room"):
            write_by_windows(tmp_path / name, read, (4, 4, 1), np.uint8, bands=CLASSES)
    assert list(tmp_path.iterdir()) == []
