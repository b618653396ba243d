"""NPY and NPZ: numpy arrays of shape (rows, columns) or (rows, columns, channels)."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.raster import Pixels, Raster, WholeRaster, pick

_IMAGE = "image"


class NpyRaster(Raster):
    """An NPY file in C order, read with plain file reads.

    A memory map would do, but its pages count as the process's memory for as long as it lives.
    """

    def __init__(self, info: RasterInfo, file: BinaryIO, stored: np.dtype[Any]) -> None:
        super().__init__(info, (1, info.width))
        self._file = file
        self._start = file.tell()
        self._stored = stored

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read(self, rows: slice, columns: slice, channels: Sequence[int]) -> Pixels:
        if columns.stop - columns.start == self.info.width:
            window = self._fill(rows, slice(0, self.info.width))
        else:
            window = np.concatenate(
                [self._fill(slice(row, row + 1), columns) for row in range(rows.start, rows.stop)]
            )
        return pick(window, channels).astype(self.info.dtype, copy=False)

    def _fill(self, rows: slice, columns: slice) -> Pixels:
        """Reads pixels that stand side by side in the file."""
        info = self.info
        shape = (rows.stop - rows.start, columns.stop - columns.start, info.channels)
        window = np.empty(shape, self._stored)
        pixel = (rows.start * info.width + columns.start) * info.channels
        self._file.seek(self._start + pixel * self._stored.itemsize)
        if self._file.readinto(window.reshape(-1).view(np.uint8).data) != window.nbytes:  # type: ignore[attr-defined]
            raise _truncated(info.path)
        return window


class NpyFortranRaster(WholeRaster):
    """An NPY file in Fortran order, whose windows are scattered over the file."""

    def _decode(self) -> Pixels:
        with _reported(self.info.path):
            return _as_image(np.load(self.info.path, allow_pickle=False), self.info)


class NpzRaster(WholeRaster):
    """One array of an NPZ archive."""

    def __init__(self, info: RasterInfo, key: str) -> None:
        super().__init__(info)
        self._key = key

    def _decode(self) -> Pixels:
        with _reported(self.info.path), np.load(self.info.path, allow_pickle=False) as archive:
            return _as_image(archive[self._key], self.info)


def open_npy(path: Path) -> Raster:
    """Opens an NPY file.

    Args:
        path: An existing file.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no NPY file, is truncated, or holds no image.
    """
    file = path.open("rb", buffering=0)
    try:
        with _reported(path):
            shape, fortran, dtype = _npy_header(file)
        info = _info(path, shape, dtype)
        if path.stat().st_size < file.tell() + dtype.itemsize * int(np.prod(shape)):
            raise _truncated(path)
        if not fortran:
            return NpyRaster(info, file, dtype)
        file.close()
        return NpyFortranRaster(info)
    except BaseException:
        file.close()
        raise


def open_npz(path: Path) -> Raster:
    """Opens the array `image` of an NPZ archive, or else its first.

    Args:
        path: An existing file.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no NPZ archive, is truncated, or holds no image.
    """
    with _reported(path), zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if not keys:
            raise RasterError(f"{path}: holds no array. Expected one named `image`.")
        key = _IMAGE if _IMAGE in keys else keys[0]
        with archive.open(f"{key}.npy") as member:
            shape, _, dtype = _npy_header(member)
    return NpzRaster(_info(path, shape, dtype), key)


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _info(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> RasterInfo:
    if len(shape) not in (2, 3) or 0 in shape:
        raise RasterError(
            f"{path}: an array of shape {shape} is no image. Expected (rows, columns) or "
            "(rows, columns, channels)."
        )
    return RasterInfo(
        path=path,
        height=shape[0],
        width=shape[1],
        channels=shape[2] if len(shape) == 3 else 1,
        dtype=numeric_dtype(path, dtype),
    )


def _as_image(array: Pixels, info: RasterInfo) -> Pixels:
    shape = (info.height, info.width, info.channels)
    return np.ascontiguousarray(array.reshape(shape), dtype=info.dtype)


def _truncated(path: Path) -> RasterError:
    return RasterError(f"{path}: the file is truncated; copy or write it again.")


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RasterError(
            f"{path}: can't be read; it is truncated or no numpy file ({error}). Write it again "
            f"with numpy.save or numpy.savez."
        ) from error
