"""NPY and NPZ: numpy arrays of rows and columns, with or without slices and channels."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, axes_of_shape, shape_of, sizes_of
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.raster import Pixels, Raster, WholeRaster, Window, pick
from normwise.syntax_trees import guard_syntax_trees

_IMAGE = "image"


class NpyRaster(Raster):
    """An NPY file in C order, read with plain file reads.

    A memory map would do, but its pages count as the process's memory for as long as it lives.
    """

    def __init__(self, info: RasterInfo, file: BinaryIO, stored: np.dtype[Any]) -> None:
        super().__init__(info)
        self._file = file
        self._start = file.tell()
        self._stored = stored

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        lengths = [span.stop - span.start for span in window]
        pixels = np.empty((*lengths, self.info.channels), self._stored)
        cut = _first_whole_axis(window, self.info.shape)
        starts = [range(span.start, span.stop) for span in window[: max(0, cut - 1)]]
        tail = [span.start for span in window[len(starts) :]]
        for place, index in zip(np.ndindex(*map(len, starts)), product(*starts), strict=True):
            self._fill(pixels[place], (*index, *tail))
        return pick(pixels, channels).astype(self.info.dtype, copy=False)

    def _fill(self, part: Pixels, start: tuple[int, ...]) -> None:
        """Reads pixels that stand side by side in the file."""
        info = self.info
        pixel = int(np.ravel_multi_index(start, info.shape)) * info.channels
        self._file.seek(self._start + pixel * self._stored.itemsize)
        left = part.reshape(-1).view(np.uint8).data
        while left:
            # A system reads what it likes at once: Linux never more than 2 GiB.
            count = self._file.readinto(left)  # type: ignore[attr-defined]
            if not count:
                raise _truncated(info.path)
            left = left[count:]


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


def _first_whole_axis(window: Window, sizes: tuple[int, ...]) -> int:
    """The axis from which on the window has all of the image."""
    axis = len(sizes)
    while axis and window[axis - 1] == slice(0, sizes[axis - 1]):
        axis -= 1
    return axis


def open_npy(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens an NPY file.

    Args:
        path: An existing file.
        dimensions: 3 for a volume, 2 for an image; None: four axes are a volume.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no NPY file, is truncated, or holds no image.
    """
    file = path.open("rb", buffering=0)
    try:
        with _reported(path):
            shape, fortran, dtype = _npy_header(file)
        info = _info(path, shape, dtype, dimensions)
        if path.stat().st_size < file.tell() + dtype.itemsize * prod(shape):
            raise _truncated(path)
        if not fortran:
            return NpyRaster(info, file, dtype)
        file.close()
        return NpyFortranRaster(info)
    except BaseException:
        file.close()
        raise


def open_npz(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens the array `image` of an NPZ archive, or else its first.

    Args:
        path: An existing file.
        dimensions: 3 for a volume, 2 for an image; None: four axes are a volume.

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
    return NpzRaster(_info(path, shape, dtype, dimensions), key)


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    guard_syntax_trees()  # NumPy parses a header with `ast`, and images are opened by threads
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _info(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], dimensions: Dimensions | None
) -> RasterInfo:
    axes = axes_of_shape(path, shape, dimensions)
    depth, height, width, channels = sizes_of(shape, axes)
    return RasterInfo(
        path=path,
        height=height,
        width=width,
        channels=channels,
        dtype=numeric_dtype(path, dtype),
        depth=depth,
    )


def _as_image(array: Pixels, info: RasterInfo) -> Pixels:
    return np.ascontiguousarray(array.reshape(shape_of(info)), dtype=info.dtype)


def _truncated(path: Path) -> RasterError:
    return RasterError(f"{path}: the file is truncated; copy or write it again.")


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (RasterError, MemoryError):
        raise
    # A damaged header or archive may raise whatever NumPy, `ast`, zipfile and zlib have.
    except Exception as error:
        raise RasterError(
            f"{path}: can't be read; it is truncated or no numpy file ({error}). Write it again "
            f"with numpy.save or numpy.savez."
        ) from error
