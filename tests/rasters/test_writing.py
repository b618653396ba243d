"""Images are written losslessly, whole or not at all."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import rasterio

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster

from .formats import image

PLACE = RasterInfo(
    path=Path("scene.tif"),
    height=300,
    width=270,
    channels=2,
    dtype=np.dtype("int16"),
    crs=rasterio.CRS.from_epsg(32633),
    transform=rasterio.Affine(10, 0, 5e5, 0, -10, 6e6),
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]
)
def test_tiffs_hold_every_type_and_place(tmp_path: Path, dtype: str) -> None:
    array = image(dtype, 5, height=300, width=270)
    path = tmp_path / "out.tif"
    write_raster(path, array, like=PLACE, nodata=7)
    read = read_raster(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    info = raster_info(path)
    assert (info.crs, info.transform, info.nodata) == (PLACE.crs, PLACE.transform, 7)
    with rasterio.open(path) as file:
        assert file.profile["compress"] == "deflate"
        assert file.block_shapes[0] == (256, 256)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pngs_come_back_equal(tmp_path: Path, dtype: str, channels: int) -> None:
    array = image(dtype, channels)
    write_raster(tmp_path / "out.png", array)
    np.testing.assert_array_equal(read_raster(tmp_path / "out.png"), array)
    assert names(tmp_path) == ["out.png"]


def test_npy_and_two_dimensions(tmp_path: Path) -> None:
    array = image("float32", 1)[..., 0]
    for name in ("a.npy", "a.tif"):
        write_raster(tmp_path / name, array)
        np.testing.assert_array_equal(read_raster(tmp_path / name)[..., 0], array)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "png", "npy", "nii", "nii.gz", "zarr"])
def test_suffixes_count_in_capitals_too(tmp_path: Path, suffix: str) -> None:
    array = image("uint8", 1)
    for name in (f"small.{suffix}", f"LARGE.{suffix.upper()}"):
        write_raster(tmp_path / name, array)
        np.testing.assert_array_equal(np.squeeze(read_raster(tmp_path / name)), array[..., 0])
    assert sorted(names(tmp_path)) == [f"LARGE.{suffix.upper()}", f"small.{suffix}"]
    if suffix != "zarr":
        one, other = sorted(tmp_path.iterdir())
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("a.png", np.zeros((4, 5, 2), np.uint8), "a PNG can't hold 2 channels of uint8"),
        ("a.png", np.zeros((4, 5), np.float32), r"a PNG can't hold .* write a \.tif or \.npy"),
        ("a.jpg", np.zeros((4, 5), np.uint8), r"can't be written as \.jpg"),
        ("a", np.zeros((4, 5), np.uint8), "can't be written as a file without suffix"),
        ("a.tif", np.zeros(4), "is no image"),
        ("a.tif", np.zeros((4, 5), np.complex64), "complex64"),
    ],
)
def test_what_a_format_can_not_hold_is_refused(tmp_path: Path, name, array, message) -> None:
    with pytest.raises(RasterError, match=message):
        write_raster(tmp_path / name, array)
    assert not names(tmp_path)


def test_an_existing_file_stays_unless_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_raster(path, np.zeros((4, 5), np.uint8))
    with pytest.raises(OutputExistsError, match=r"a\.tif exists already"):
        write_raster(path, np.ones((4, 5), np.uint8))
    assert not read_raster(path).any()
    write_raster(path, np.ones((4, 5), np.uint8), overwrite=True)
    assert read_raster(path).all()


def test_a_folder_that_is_no_zarr_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for value in (0, 1):
        write_raster(path, np.full((4, 5), value, np.uint8), overwrite=True)
        assert (read_raster(path) == value).all()
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "mine.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match=r"b\.zarr holds something else \(mine\.txt\)"):
        write_raster(tmp_path / "b.zarr", np.zeros((4, 5), np.uint8), overwrite=True)
    assert names(tmp_path / "b.zarr") == ["mine.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.npy"
    write_raster(path, np.zeros((4, 5), np.uint8))

    def full_disk(file: BinaryIO, *_: object, **__: object) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(RasterError, match=r"a\.npy: can't be written \(No space left"):
        write_raster(path, np.ones((4, 5), np.uint8), overwrite=True)
    assert not read_raster(path).any()
    assert names(tmp_path) == ["a.npy"]


@pytest.mark.parametrize("suffix", ["tif", "png", "npy"])
@pytest.mark.parametrize("size", [40, 500])
@pytest.mark.parametrize("limit", [100, 1500])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, suffix, size, limit) -> None:
    resource = pytest.importorskip("resource")
    array = image("uint16", 3, size, size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RasterError, match="can't be written"):
            write_raster(tmp_path / f"a.{suffix}", array)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []
