"""Every format is read as written, by windows as well as whole."""

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from normwise.errors import RasterError
from normwise.rasters import open_raster, raster_info, read_raster
from normwise.rasters.arrays import NpyRaster
from normwise.rasters.tiff import GdalRaster

from .formats import FORMATS, gdal, image, imagej_single_header, pages, pillow, write


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    folder = tmp_path_factory.mktemp("formats")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: write(folder, name) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_and_header_are_those_written(written, name: str) -> None:
    path, array = written[name]
    read = read_raster(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)
    info = raster_info(path)
    assert (info.height, info.width, info.channels) == array.shape
    assert info.dtype == array.dtype
    assert info.path == path


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_window_equals_the_slice_of_the_whole(written, name: str, data: st.DataObject) -> None:
    path, array = written[name]
    height, width, channels = array.shape

    def span(size: int) -> slice:
        ends = data.draw(st.lists(st.integers(0, size + 3), min_size=2, max_size=2))
        return data.draw(st.sampled_from([slice(*sorted(ends)), slice(None), slice(-5, None)]))

    rows, columns = span(height), span(width)
    some = st.lists(st.integers(0, channels - 1), min_size=1, max_size=channels)
    chosen = data.draw(st.none() | some)
    with open_raster(path) as raster:
        window = raster.read(rows, columns, channels=chosen)
        again = raster.read(rows, columns, channels=chosen)
    expected = array[rows, columns] if chosen is None else array[rows, columns][..., chosen]
    np.testing.assert_array_equal(window, expected)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("name", FORMATS)
def test_windows_cover_the_image_once_in_whole_blocks(written, name: str) -> None:
    path, array = written[name]
    covered = np.zeros(array.shape[:2], int)
    with open_raster(path) as raster:
        for rows, columns in raster.windows(pixels=200):
            covered[rows, columns] += 1
            assert rows.start % raster.block[0] == 0
            assert columns.start % raster.block[1] == 0
    assert (covered == 1).all()


def test_what_is_done_to_a_window_does_not_reach_the_next(tmp_path: Path) -> None:
    pillow(tmp_path / "a.png", image("uint8", 3))
    with open_raster(tmp_path / "a.png") as raster:
        raster.read()[:] = 0
        assert raster.read().any()


def test_a_geotiff_tells_its_place_nodata_and_bands(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    transform = rasterio.Affine(10, 0, 5e5, 0, -10, 6e6)
    gdal(path, image("int16", 2), crs="EPSG:32633", transform=transform, nodata=-9999)
    with rasterio.open(path, "r+") as file:
        file.set_band_description(1, "red")
    info = raster_info(path)
    assert info.crs.to_epsg() == 32633
    assert info.transform == transform
    assert info.nodata == -9999
    assert info.band_names == ("red", "band 2")


def test_an_image_without_a_place_has_none_and_gives_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gdal(tmp_path / "a.tif", image("uint8", 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info = raster_info(tmp_path / "a.tif")
    assert (info.crs, info.transform, info.nodata, info.band_names) == (None, None, None, ())
    # Negative control: without us, rasterio does warn.
    with warnings.catch_warnings(), pytest.warns(NotGeoreferencedWarning):
        warnings.simplefilter("always")
        rasterio.open(tmp_path / "a.tif").close()


def test_truth_values_are_zero_and_one(tmp_path: Path) -> None:
    mask = image("uint8", 1)[..., 0] > 100
    Image.fromarray(mask).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", mask)
    for name in ("a.png", "a.npy"):
        read = read_raster(tmp_path / name)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read[..., 0], mask)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_keeps_its_values(tmp_path: Path, bits: int) -> None:
    ids = np.arange(2**bits, dtype=np.uint8).repeat(3).reshape(-1, 3)
    # Pillow writes stretched values, as a grey image has them.
    stretched = ids * np.uint8(255 // (2**bits - 1))
    Image.fromarray(stretched).save(tmp_path / "a.png", bits=bits)
    if np.asarray(Image.open(tmp_path / "a.png")).max() != 255:
        Image.fromarray(ids).save(tmp_path / "a.png", bits=bits)
    read = read_raster(tmp_path / "a.png")
    assert read.max() == 2**bits - 1


def test_a_jpeg_is_read_as_stored(tmp_path: Path) -> None:
    smooth = np.linspace(0, 200, 40 * 60).reshape(40, 60, 1).repeat(3, axis=2).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    pillow(tmp_path / "a.jpg", smooth, quality=95, exif=turned)
    read = read_raster(tmp_path / "a.jpg")
    assert read.shape == (40, 60, 3)
    assert np.abs(read.astype(int) - smooth).max() <= 4
    assert np.abs(read[::-1].astype(int) - smooth).max() > 100


def test_palette_images_say_so(written) -> None:
    assert raster_info(written["png-palette"][0]).band_names == ("palette-index",)
    assert raster_info(written["png-grey"][0]).band_names == ()


@pytest.mark.parametrize(
    ("name", "share"),
    [(name, share) for name in FORMATS for share in (0.0, 0.02, 0.5, 0.9)],
)
def test_a_truncated_file_is_an_error_and_never_zeros(
    written, tmp_path: Path, name: str, share: float
) -> None:
    path, _ = written[name]
    content = path.read_bytes()
    cut = tmp_path / path.name
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RasterError) as caught:
        read_raster(cut)
    assert str(cut) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_bigtiff_of_more_entries_than_there_can_be_is_an_error(written, tmp_path: Path) -> None:
    path, _ = written["tif-big"]
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<Q", content, 8)
    struct.pack_into("<Q", content, start, 2**60)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(RasterError, match=r"a\.tif: is no TIFF, or is truncated"):
        read_raster(tmp_path / "a.tif")


def test_a_png_whose_check_sum_is_wrong_is_an_error(written, tmp_path: Path) -> None:
    path, _ = written["png-rgb"]
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 40
    content[place] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RasterError, match=r"a\.png: .*check sum of IDAT is wrong"):
        read_raster(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(path.read_bytes()[:-12])
    with pytest.raises(RasterError, match=r"b\.png: .*its end is missing"):
        read_raster(tmp_path / "b.png")


def test_missing_files_folders_and_suffixes_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "a.bmp").write_bytes(b"")
    for name, message in {
        "none.tif": "does not exist",
        "folder.tif": "is a folder",
        "a.bmp": r"suffix \.bmp is not supported\. Expected one of \.png",
        "README": r"suffix \(none\)",
    }.items():
        with pytest.raises(RasterError, match=message) as caught:
            open_raster(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5), np.complex64), "complex64 can't be used.*two channels"),
        (np.array([["a", "b"]]), "can't be used"),
        (np.zeros((4, 5), "datetime64[s]"), "can't be used"),
        (np.zeros((4, 5), [("a", "f4")]), "can't be used"),
        (np.zeros(4), r"shape \(4,\) is no image"),
        (np.zeros((2, 3, 4, 5, 6)), "is no image"),
        (np.zeros((0, 5)), "is no image"),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_that_are_no_images(tmp_path: Path, suffix: str, array, message: str) -> None:
    path = tmp_path / f"a.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, array)
    with pytest.raises(RasterError, match=message):
        open_raster(path)


def test_pickled_arrays_are_never_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(RasterError, match="can't be used"):
        open_raster(tmp_path / "a.npy")


def test_complex_tiffs_and_pages_of_two_sizes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gdal(tmp_path / "c.tif", np.zeros((8, 9, 1), np.complex64))
    with pytest.raises(RasterError, match=r"c\.tif: pixels of type complex64"):
        open_raster(tmp_path / "c.tif")
    pages(tmp_path / "p.tif", np.zeros((8, 9, 1), np.uint8))
    pages(tmp_path / "p.tif", np.zeros((4, 9, 1), np.uint8), append=True)
    with pytest.raises(RasterError, match=r"pages or bands differ \(4x9 uint8, 8x9 uint8\)"):
        open_raster(tmp_path / "p.tif")


def test_a_wrong_suffix_is_an_error(written, tmp_path: Path) -> None:
    for name, suffix in {"tif-tiles": "png", "png-rgb": "tif", "npy": "npz", "npz": "jpg"}.items():
        fake = tmp_path / f"{name}.{suffix}"
        fake.write_bytes(written[name][0].read_bytes())
        with pytest.raises(RasterError, match=fake.name):
            read_raster(fake)


def test_a_step_or_an_unknown_channel_is_an_error(written) -> None:
    with open_raster(written["npy"][0]) as raster:
        with pytest.raises(RasterError, match="has no step, but 2"):
            raster.read(slice(0, 10, 2))
        with pytest.raises(RasterError, match=r"channels \[7\] were asked for, but the file has 7"):
            raster.read(channels=[7])


def test_importing_loads_no_image_library() -> None:
    program = (
        "import sys, normwise.data, normwise.rasters;"
        "print([m for m in ('rasterio', 'tifffile', 'PIL', 'keras', 'tensorflow') "
        "if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.stdout.strip() == "[]"


def test_what_must_be_decoded_whole_says_so(written, tmp_path: Path) -> None:
    array = image("uint16", 2, 300, 20)
    pages(tmp_path / "one.tif", array, compression="zlib", rowsperstrip=300)
    pages(tmp_path / "plain.tif", array, rowsperstrip=300)
    paths = {name: path for name, (path, _) in written.items()}
    paths |= {"one": tmp_path / "one.tif", "plain": tmp_path / "plain.tif"}
    found = {}
    for name, path in paths.items():
        with open_raster(path) as raster:
            found[name] = raster.windowed
    windowed = {"plain", "tif-strips", "tif-tiles", "tif-pages", "tif-imagej", "npy"}
    windowed |= {"tif-imagej-header", "tif-imagej-big-endian"}
    whole = {"one", "png-rgb", "png-16-rgb", "npz", "npy-fortran"}
    assert all(found[name] for name in windowed)
    assert not any(found[name] for name in whole)


def test_a_wide_png_is_unpacked_once(written, monkeypatch) -> None:
    path, array = written["png-16-rgb"]
    asked, before = [], GdalRaster._read

    def counted(self, window, channels):
        asked.append(window)
        return before(self, window, channels)

    monkeypatch.setattr(GdalRaster, "_read", counted)
    with open_raster(path) as raster:
        for top in range(0, 37, 8):
            rows = slice(top, top + 8)
            found = raster.read(rows, slice(20, 40), channels=[2, 0])
            np.testing.assert_array_equal(found, array[rows, 20:40][..., [2, 0]])
            found[:] = 0
    assert asked == [(slice(0, 37), slice(0, 53))]


def test_a_long_stack_of_imagej_is_read_by_windows(tmp_path: Path) -> None:
    """100 pages of 2 MB, nearly all of them a hole in the file."""
    path, page = tmp_path / "a.tif", image("uint16", 1, 1024, 1024)
    imagej_single_header(path, page, pages=100)
    with path.open("r+b") as file:
        start = file.seek(0, io.SEEK_END) - page.nbytes
        file.truncate(start + 100 * page.nbytes)
        file.seek(start + 98 * page.nbytes)
        file.write(page[::-1].tobytes())
    tracemalloc.start()
    try:
        with open_raster(path) as raster:
            found = raster.read(slice(30, 60), slice(7, 50), channels=[98, 1, 0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6
    for channel, wanted in enumerate((page[::-1], np.zeros_like(page), page)):
        np.testing.assert_array_equal(found[..., channel], wanted[30:60, 7:50, 0])
    with path.open("r+b") as file:
        file.truncate(start + 100 * page.nbytes - 1)
    with pytest.raises(RasterError, match=r"a\.tif: lacks pages of its 100; the stack is trunc"):
        open_raster(path)


def test_a_stack_of_imagej_that_is_packed_is_refused(tmp_path: Path) -> None:
    text = "ImageJ=1.54\nimages=3\nslices=3\n"
    options = {"description": text, "metadata": None, "software": "", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", image("uint16", 1)[..., 0], **options)
    with pytest.raises(RasterError, match="lacks pages of its 3"):
        open_raster(tmp_path / "a.tif")


@pytest.mark.parametrize(("chosen", "expected"), [(None, "64"), ("100", "100")])
def test_the_block_cache_is_bounded_unless_the_user_chose(written, chosen, expected) -> None:
    program = (
        "import os, sys, normwise.rasters as r; r.read_raster(sys.argv[1]);"
        "print(os.environ['GDAL_CACHEMAX'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GDAL_CACHEMAX"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", program, str(written["tif-tiles"][0])],
        capture_output=True,
        text=True,
        check=True,
        env=environment | ({"GDAL_CACHEMAX": chosen} if chosen else {}),
    )
    assert run.stdout.strip() == expected


class Reluctant(io.BytesIO):
    """A file that reads little at once, as systems do where a window has more than 2 GiB."""

    def readinto(self, buffer: memoryview) -> int:
        return super().readinto(memoryview(buffer)[:100])


def test_a_window_takes_as_many_reads_as_the_system_makes_of_it(written) -> None:
    path, array = written["npy"]
    info, content = raster_info(path), array.tobytes()
    raster = NpyRaster(info, Reluctant(content), array.dtype)
    np.testing.assert_array_equal(raster.read(), array)
    np.testing.assert_array_equal(raster.read(slice(5, 20), slice(3, 50)), array[5:20, 3:50])
    cut = NpyRaster(info, Reluctant(content[:-1]), array.dtype)
    np.testing.assert_array_equal(cut.read(slice(0, 36)), array[:36])
    with pytest.raises(RasterError, match=r"npy\.npy: the file is truncated"):
        cut.read()


def test_npy_files_are_opened_by_many_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.npy" for index in range(40)]
    for index, path in enumerate(paths):
        np.save(path, np.full((3, 4, 2), index, np.uint8))
    with ThreadPoolExecutor(8) as pool:
        for index, info in enumerate(pool.map(raster_info, paths * 5)):
            assert (info.path, info.shape) == (paths[index % 40], (3, 4))
