"""NIfTI: volumes whose voxels stand in the file as (columns, rows, slices, channels)."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, check_dimensions
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.raster import Pixels, Raster, WholeRaster, Window

# Whole numbers of up to 16 bits times a factor are exact enough in float32.
_SHORT = 2


class NiftiRaster(Raster):
    """An uncompressed NIfTI file, which is read by windows."""

    def __init__(self, info: RasterInfo, image: Any) -> None:
        super().__init__(info)
        self._image = image

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        return _window(self._image, self.info, window, channels)


class NiftiWholeRaster(WholeRaster):
    """A compressed NIfTI file, whose windows would cost the whole file each."""

    def __init__(self, info: RasterInfo, image: Any) -> None:
        super().__init__(info)
        self._image = image

    def _decode(self) -> Pixels:
        window = tuple(slice(0, size) for size in self.info.shape)
        return _window(self._image, self.info, window, range(self.info.channels))


def open_nifti(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens a NIfTI file, version 1 or 2; it is a volume, whatever its number of slices.

    Args:
        path: An existing `.nii` or `.nii.gz` file.
        dimensions: 2 is refused unless there is but one slice.

    Returns:
        An open raster of the values that the file's scale factors give; a fourth or fifth axis
        are its channels.

    Raises:
        RasterError: If it is no NIfTI file, is truncated, or holds several points in time with
            several components each.
    """
    import nibabel  # noqa: PLC0415

    packed = path.name.lower().endswith(".gz")
    with _reported(path):
        image: Any = nibabel.load(path, mmap=False)
        if not isinstance(image, nibabel.Nifti1Image):
            raise RasterError(f"{path}: is no NIfTI file but {type(image).__name__}.")
        info = _info(path, image, dimensions)
        size = image.dataobj.offset + prod(image.shape) * image.get_data_dtype().itemsize
        if not packed and path.stat().st_size < size:
            raise RasterError(f"{path}: the file is truncated; copy it again.")
    return NiftiWholeRaster(info, image) if packed else NiftiRaster(info, image)


def _info(path: Path, image: Any, dimensions: Dimensions | None) -> RasterInfo:
    shape: tuple[int, ...] = image.shape
    columns, rows, slices, *further = (*shape, *[1] * (3 - len(shape)))
    channels = prod(further)
    if len(image.shape) < 2 or 0 in image.shape or channels != max(further, default=1):
        raise RasterError(
            f"{path}: has the shape {image.shape}. Expected (columns, rows, slices) and at most "
            "one further axis, its channels; split points in time into files."
        )
    if dimensions == 2 and slices > 1:
        check_dimensions(path, 3, dimensions)
    header = image.header
    return RasterInfo(
        path=path,
        height=rows,
        width=columns,
        channels=channels,
        dtype=_dtype(path, image),
        depth=None if dimensions == 2 else slices,
        spacing=tuple(float(step) for step in (*header.get_zooms(), 1.0, 1.0)[:3][::-1]),
        affine=tuple(tuple(float(value) for value in row) for row in image.affine),
        nifti=bytes(header.binaryblock),
    )


def _dtype(path: Path, image: Any) -> np.dtype[Any]:
    stored = numeric_dtype(path, image.get_data_dtype())
    slope, offset = image.dataobj.slope, image.dataobj.inter
    if (slope, offset) == (1, 0) or stored.kind == "f":
        return stored
    return np.dtype(np.float32 if stored.itemsize <= _SHORT else np.float64)


def _window(image: Any, info: RasterInfo, window: Window, channels: Sequence[int]) -> Pixels:
    spans = window if len(window) == 3 else (slice(0, 1), *window)
    low, high = min(channels), max(channels) + 1
    index: tuple[Any, ...] = (*spans[::-1], *_further(image.shape[3:], slice(low, high)))
    with _reported(info.path):
        read = np.asarray(image.dataobj[index[: len(image.shape)]])
    sizes = [span.stop - span.start for span in spans]
    volume = read.reshape(*sizes[::-1], high - low).transpose(2, 1, 0, 3)
    chosen = volume[..., [channel - low for channel in channels]]
    shape = (*(span.stop - span.start for span in window), len(channels))
    return np.ascontiguousarray(chosen.reshape(shape), dtype=info.dtype)


def _further(sizes: Sequence[int], channels: slice) -> list[slice]:
    """The channels stand along the one further axis that is longer than 1."""
    long = next((axis for axis, size in enumerate(sizes) if size > 1), 0)
    return [channels if axis == long else slice(0, 1) for axis in range(len(sizes))]


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    from nibabel.filebasedimages import ImageFileError  # noqa: PLC0415
    from nibabel.spatialimages import HeaderDataError  # noqa: PLC0415

    try:
        yield
    except (
        ImageFileError, HeaderDataError, OSError, EOFError, ValueError, TypeError, OverflowError,
        zlib.error,
    ) as error:  # fmt: skip
        raise RasterError(
            f"{path}: can't be read; it is truncated or no NIfTI file ({error}). Copy or convert "
            "it again."
        ) from error
