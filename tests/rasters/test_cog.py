"""Cloud-optimized GeoTIFFs: what stands in them, and that they are whole or not there."""

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import RasterInfo, cog, raster_info, read_raster
from normwise.rasters.cog import write_cog
from normwise.rasters.outputs import Naming

RNG = np.random.default_rng(0)


def write(path, pixels, **options):
    write_cog(path, lambda *area: pixels[area], pixels.shape, pixels.dtype, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_pixels_place_nodata_and_names_come_back(tmp_path, dtype):
    pixels = RNG.integers(0, 250, (700, 1300, 2)).astype(dtype)
    nodata = 255 if dtype == np.uint8 else np.nan
    pixels[:30] = nodata
    place = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 10)}
    like = RasterInfo(tmp_path / "x", 700, 1300, 3, np.dtype(np.uint16), **place)
    write(tmp_path / "a.tif", pixels, like=like, nodata=nodata, bands=("mean", "std"))
    np.testing.assert_array_equal(read_raster(tmp_path / "a.tif"), pixels)
    info = raster_info(tmp_path / "a.tif")
    assert info.crs == like.crs and info.transform == like.transform
    assert info.band_names == ("mean", "std")
    assert info.nodata == nodata or np.isnan(info.nodata)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1) == [2, 4] and file.block_shapes[0] == (512, 512)
        assert file.compression.name == "deflate"
        small = file.read(1, out_shape=(350, 650))
    whole = pixels[:, :, 0]
    if dtype == np.uint8:
        assert set(np.unique(small)) <= set(np.unique(whole))
    else:
        means = whole[40:].reshape(330, 2, 650, 2).mean((1, 3))
        np.testing.assert_allclose(small[20:], means, rtol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif"]


@pytest.mark.parametrize("cogs", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_bands_of_class_ids_are_no_colours(tmp_path, monkeypatch, count, cogs):
    if not cogs:
        monkeypatch.setattr(cog, "has_cog", lambda: False)
    pixels = RNG.integers(0, 3, (40, 50, count)).astype(np.uint8)
    write(tmp_path / "a.tif", pixels, nodata=255, bands=[f"output {i}" for i in range(count)])
    with rasterio.open(tmp_path / "a.tif") as file:
        found = {band.name for band in file.colorinterp}
        assert found <= {"gray", "undefined"} and file.nodata == 255
        assert (file.read_masks() == 255).all()
    np.testing.assert_array_equal(read_raster(tmp_path / "a.tif"), pixels)


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "a.tif").write_text("mine")
    with pytest.raises(OutputExistsError):
        write(tmp_path / "a.tif", np.zeros((4, 4, 1), np.uint8))
    write(tmp_path / "a.tif", np.zeros((4, 4, 1), np.uint8), naming=Naming(overwrite=True))
    assert raster_info(tmp_path / "a.tif").height == 4


@pytest.mark.parametrize("where", ["_copy", "_check"])
def test_what_fails_leaves_nothing(tmp_path, monkeypatch, where):
    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(cog, where, fail)
    with pytest.raises(RasterError, match="no room"):
        write(tmp_path / "a.tif", np.zeros((4, 4, 1), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_copy_is_noticed(tmp_path, monkeypatch):
    def other(plain, target, dtype):
        with rasterio.open(plain) as file:
            profile, pixels = file.profile, file.read()
        with rasterio.open(target, "w", **profile) as file:
            file.write(pixels + 1)

    monkeypatch.setattr(cog, "_copy", other)
    with pytest.raises(RasterError, match="not what was written"):
        write(tmp_path / "a.tif", np.zeros((40, 40, 1), np.uint8))


def test_without_the_driver_it_is_a_tiled_geotiff(tmp_path, monkeypatch):
    monkeypatch.setattr(cog, "has_cog", lambda: False)
    pixels = RNG.normal(size=(40, 50, 1)).astype(np.float32)
    write(tmp_path / "a.tif", pixels, nodata=np.nan)
    np.testing.assert_array_equal(read_raster(tmp_path / "a.tif"), pixels)
