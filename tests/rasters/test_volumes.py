"""Volumes of every format come back as they were written, whole and by windows."""

import gzip
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import open_raster, raster_info, read_raster, stem_of, write_raster

Array = np.ndarray[Any, Any]
Writer = Callable[[Path, Array], None]

# Left-handed, turned by quarters, and with voxels of three sizes.
AFFINE = np.array([[0, -0.5, 0, 10], [0.7, 0, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])


def volume(dtype: str = "int16", channels: int = 2, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 200, (7, 11, 13, channels)).astype(dtype)


def nifti(path: Path, array: Array) -> None:
    data = array.transpose(2, 1, 0, 3)
    image = nibabel.Nifti1Image(data[..., 0] if data.shape[-1] == 1 else data, AFFINE)
    nibabel.save(image, path)


def nifti2(path: Path, array: Array) -> None:
    nibabel.save(nibabel.Nifti2Image(array.transpose(2, 1, 0, 3), AFFINE), path)


def nifti_fifth_axis(path: Path, array: Array) -> None:
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0, 3)[:, :, :, None], AFFINE), path)


def nifti_scaled(path: Path, array: Array) -> None:
    stored = (array + 3) * 4
    content = bytearray(nibabel.Nifti1Image(stored.transpose(2, 1, 0, 3), AFFINE).to_bytes())
    # scl_slope and scl_inter of the standard's header.
    content[112:120] = struct.pack("<2f", 0.25, -3)
    path.write_bytes(content)


def stack(axes: str, **options: Any) -> Writer:
    def write(path: Path, array: Array) -> None:
        stored = array.transpose(["ZYXC".index(axis) for axis in axes])
        tifffile.imwrite(path, stored, photometric="minisblack", metadata={"axes": axes}, **options)

    return write


def rgb(path: Path, array: Array) -> None:
    pixels = array.astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", metadata={"axes": "ZYXS"})


def slices_alone(path: Path, array: Array) -> None:
    tifffile.imwrite(
        path, array[..., 0], photometric="minisblack", compression="zlib", metadata={"axes": "ZYX"}
    )


def imagej(path: Path, array: Array) -> None:
    stored = array.transpose(0, 3, 1, 2).astype(np.uint16)
    tifffile.imwrite(path, stored, imagej=True, metadata={"axes": "ZCYX"})


def zarr_array(axes: str = "", version: int = 3, **options: Any) -> Writer:
    def write(path: Path, array: Array) -> None:
        stored = array.transpose(["ZYXC".index(axis) for axis in axes or "ZYXC"])
        named = {"dimension_names": [axis.lower() for axis in axes]} if axes else {}
        made = zarr.create_array(
            path, shape=stored.shape, dtype=stored.dtype, chunks=(3, 4, 5, 2)[: stored.ndim],
            zarr_format=version, **named, **options,
        )  # fmt: skip
        made[...] = stored

    return write


def zarr_group(path: Path, array: Array) -> None:
    group = zarr.open_group(path, mode="w")
    for name, values in (("other", array * 0), ("image", array)):
        group.create_array(name, data=values, chunks=(3, 11, 4, 1))


def ome_zarr(path: Path, array: Array) -> None:
    group = zarr.open_group(path, mode="w")
    stored = np.moveaxis(array, -1, 0)[None]
    group.create_array("s0", data=stored, chunks=(1, 1, 3, 8, 8))
    group.create_array("s1", data=stored[..., ::2], chunks=(1, 1, 3, 8, 8))
    axes = [{"name": name} for name in "tczyx"]
    levels = [{"path": name} for name in ("s0", "s1")]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}


VOLUMES: dict[str, tuple[str, int, Writer]] = {
    "npy": ("npy", 2, np.save),
    "npy-fortran": ("npy", 3, lambda p, a: np.save(p, np.asfortranarray(a))),
    "npz": ("npz", 2, lambda p, a: np.savez(p, image=a)),
    "nifti": ("nii", 1, nifti),
    "nifti-channels": ("nii", 3, nifti),
    "nifti-packed": ("nii.gz", 2, nifti),
    "nifti-2": ("nii", 2, nifti2),
    "nifti-fifth-axis": ("nii", 2, nifti_fifth_axis),
    "nifti-scaled": ("nii", 2, nifti_scaled),
    "tif-zcyx": ("tif", 2, stack("ZCYX")),
    "tif-czyx": ("tif", 2, stack("CZYX", compression="zlib")),
    "tif-rgb": ("tif", 3, rgb),
    "tif-zyx": ("tif", 1, slices_alone),
    "tif-imagej": ("tif", 2, imagej),
    "tif-ome": ("ome.tif", 2, stack("CZYX")),
    "zarr": ("zarr", 2, zarr_array()),
    "zarr-2": ("zarr", 2, zarr_array(version=2)),
    "zarr-named": ("zarr", 3, zarr_array("CXZY")),
    "zarr-group": ("zarr", 2, zarr_group),
    "zarr-ome": ("zarr", 2, ome_zarr),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, tuple[Path, Array]]:
    folder = tmp_path_factory.mktemp("volumes")
    found = {}
    for name, (suffix, channels, write) in VOLUMES.items():
        path = folder / f"{name}.{suffix}"
        array = volume(channels=channels)
        write(path, array)
        found[name] = (path, array)
    return found


@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_is_read_as_it_was_written(written, name: str) -> None:
    path, array = written[name]
    np.testing.assert_array_equal(read_raster(path), array)
    np.testing.assert_array_equal(read_raster(path, 3), array)
    info = raster_info(path)
    assert (info.shape, info.channels) == (array.shape[:3], array.shape[3])
    assert info.dtype.itemsize <= 4


@pytest.mark.parametrize("name", VOLUMES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_windows_of_a_volume(written, name: str, data) -> None:
    path, array = written[name]

    def span(size: int) -> slice:
        ends = data.draw(st.lists(st.integers(0, size + 2), min_size=2, max_size=2))
        return data.draw(st.sampled_from([slice(*sorted(ends)), slice(None), slice(-2, None)]))

    spans = tuple(span(size) for size in array.shape[:3])
    chosen = data.draw(st.permutations(range(array.shape[3])))
    with open_raster(path) as raster:
        window = raster.read(*spans, channels=chosen)
    np.testing.assert_array_equal(window, array[spans][..., chosen])


@pytest.mark.parametrize("name", VOLUMES)
def test_windows_cover_a_volume_once(written, name: str) -> None:
    path, array = written[name]
    covered = np.zeros(array.shape[:3], int)
    with open_raster(path) as raster:
        for spans in raster.windows(pixels=60):
            covered[spans] += 1
            assert all(
                span.start % side == 0 for span, side in zip(spans, raster.block, strict=True)
            )
    assert (covered == 1).all()


def test_pages_without_axes_are_channels_unless_a_volume_is_wanted(tmp_path: Path) -> None:
    array = volume(channels=1)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata=None)
    assert raster_info(tmp_path / "a.tif").shape == (11, 13)
    np.testing.assert_array_equal(read_raster(tmp_path / "a.tif", 3)[..., 0], array)
    np.save(tmp_path / "a.npy", array)
    assert read_raster(tmp_path / "a.npy").shape == (7, 11, 13)
    np.testing.assert_array_equal(read_raster(tmp_path / "a.npy", 3)[..., 0], array)


def test_slices_are_channels_where_an_image_is_wanted(written) -> None:
    path, array = written["tif-zcyx"]
    flat = np.moveaxis(array, 0, 2).reshape(11, 13, 14)
    np.testing.assert_array_equal(read_raster(path, 2), flat)


def test_many_pages_hold_few_files_open(tmp_path: Path) -> None:
    array = np.arange(300 * 4 * 5, dtype=np.uint16).reshape(300, 4, 5)
    slices_alone(tmp_path / "a.tif", array[..., None])
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    with open_raster(tmp_path / "a.tif") as raster:
        np.testing.assert_array_equal(raster.read()[..., 0], array)
        if before:
            assert len(list(Path("/proc/self/fd").iterdir())) < before + 40


@pytest.mark.parametrize("suffix", ["npy", "nii", "nii.gz", "tif", "zarr"])
@pytest.mark.parametrize(("dtype", "channels"), [("float32", 2), ("uint8", 1)])
def test_what_is_written_is_read_again(
    tmp_path: Path, suffix: str, dtype: str, channels: int
) -> None:
    array = volume(dtype, channels)
    path = tmp_path / f"out.{suffix}"
    write_raster(path, array, nodata=200.0 if suffix == "tif" else None)
    np.testing.assert_array_equal(read_raster(path), array)
    assert raster_info(path).dtype == array.dtype
    assert raster_info(path).nodata == (200.0 if suffix == "tif" else None)
    with pytest.raises(OutputExistsError):
        write_raster(path, array)
    write_raster(path, array[:3] + 1, overwrite=True)
    np.testing.assert_array_equal(read_raster(path), array[:3] + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["nifti-channels", "nifti-packed", "nifti-2", "nifti-scaled"])
def test_orientation_and_affine_are_kept(written, tmp_path: Path, name: str) -> None:
    path, array = written[name]
    out = tmp_path / "out.nii.gz"
    write_raster(out, array[..., :1].astype(np.float32) / 8, like=raster_info(path))
    source, result = nibabel.load(path), nibabel.load(out)
    np.testing.assert_array_equal(result.affine, source.affine)
    assert nibabel.aff2axcodes(result.affine) == nibabel.aff2axcodes(AFFINE)
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert result.header[code] == source.header[code]
    assert result.shape == (13, 11, 7)
    np.testing.assert_array_equal(result.get_fdata(), array[..., 0].transpose(2, 1, 0) / 8)
    assert raster_info(path).spacing == pytest.approx((2.5, 0.5, 0.7), rel=1e-6)


def test_a_zarr_of_version_2_stays_one(written, tmp_path: Path) -> None:
    path, array = written["zarr-2"]
    write_raster(tmp_path / "out.zarr", array, like=raster_info(path))
    assert (tmp_path / "out.zarr" / ".zarray").is_file()
    np.testing.assert_array_equal(read_raster(tmp_path / "out.zarr"), array)


def test_a_failed_writing_leaves_the_old_folder(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "out.zarr"
    write_raster(path, volume())
    monkeypatch.setattr("zarr.create_array", lambda *_, **__: 1 / 0)
    with pytest.raises(RasterError, match="can't be written"):
        write_raster(path, volume() + 1, overwrite=True)
    np.testing.assert_array_equal(read_raster(path), volume())
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.zarr"]


def test_stems() -> None:
    names = {"a.nii.gz": "a", "b.1.tif": "b.1", "c.zarr": "c", "d.NII": "d", "e.gz": "e.gz"}
    assert {name: stem_of(Path(name)) for name in names} == names


def truncate(path: Path, share: float = 0.6) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", ["nifti", "nifti-packed", "nifti-2", "tif-zyx", "npy", "npz"])
def test_a_truncated_volume_is_an_error_that_names_it(written, tmp_path: Path, name: str) -> None:
    path = Path(shutil.copy(written[name][0], tmp_path))
    truncate(path)
    with pytest.raises(RasterError, match=str(path)):
        read_raster(path)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_zarr_is_an_error_that_names_it(written, tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(written["zarr"][0], path)
    truncate(path / "c" / "0" / "0" / "0" / "0", share)
    with pytest.raises(RasterError, match=r"a\.zarr: can't be read"):
        read_raster(path)
    truncate(path / "zarr.json", share)
    with pytest.raises(RasterError, match=r"a\.zarr"):
        open_raster(path)
    (path / "zarr.json").unlink()
    with pytest.raises(RasterError, match="lacks its metadata"):
        open_raster(path)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    objects = np.array([[{}, {}]], object)
    np.save(tmp_path / "a.npy", objects)
    np.savez(tmp_path / "a.npz", image=objects)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(RasterError, match="type object can't be used"):
            open_raster(tmp_path / name)
    zarr_array(version=2)(tmp_path / "a.zarr", volume())
    metadata = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    metadata["filters"] = [{"id": "pickle", "protocol": 5}]
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(RasterError, match="pickle"):
        open_raster(tmp_path / "a.zarr")


def test_axes_that_are_no_volume(tmp_path: Path) -> None:
    over_time = np.zeros((2, 3, 8, 9), np.uint16)
    tifffile.imwrite(tmp_path / "t.tif", over_time, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(RasterError, match=r"T 2, Z 3, Y 8, X 9 in 6 planes.*dimensions: 2"):
        open_raster(tmp_path / "t.tif")
    assert raster_info(tmp_path / "t.tif", 2).channels == 6
    zarr.create_array(
        tmp_path / "t.zarr", shape=(2, 3, 8), dtype="u1", dimension_names=["t", "y", "x"]
    )
    with pytest.raises(RasterError, match="t 2, y 3, x 8"):
        open_raster(tmp_path / "t.zarr")
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((4, 4, 4, 2, 3), np.int16), AFFINE), tmp_path / "t.nii"
    )
    with pytest.raises(RasterError, match="points in time"):
        open_raster(tmp_path / "t.nii")
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    for name in ("one", "two"):
        group.create_array(name, shape=(4, 4), dtype="u1")
    with pytest.raises(RasterError, match="holds one, two"):
        open_raster(tmp_path / "g.zarr")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_other_content_under_the_name_of_a_nifti(tmp_path: Path, name: str) -> None:
    content = b"no such file " * 99
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(RasterError, match=name):
        open_raster(tmp_path / name)


def test_a_volume_and_an_image_are_not_taken_for_each_other(written, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="is a volume"):
        open_raster(written["nifti"][0], 2)
    write_raster(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(RasterError, match="is an image"):
        open_raster(tmp_path / "a.png", 3)
    with pytest.raises(RasterError, match="PNG can't hold"):
        write_raster(tmp_path / "b.png", volume("uint8", 1))
