"""Writing Zarr: an array with named axes, and what its numbers mean."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.rasters.cf import FILL, encoded_fill, flags_of
from normwise.rasters.class_map import Classes
from normwise.rasters.info import RasterInfo
from normwise.rasters.raster import Pixels, Window
from normwise.rasters.zarr_arrays import DIMENSIONS

_CHUNK: Final = 64


def write_zarr(
    path: Path,
    read: Callable[..., Pixels],
    shape: tuple[int, ...],
    dtype: Any,
    like: RasterInfo | None,
    nodata: float | None = None,
    bands: Sequence[str] | Classes = (),
) -> None:
    """Writes an image or a volume chunk row by chunk row, so that memory is bounded.

    Args:
        path: The folder, which must not exist.
        read: Gives slices, rows and columns, or rows and columns.
        shape: `(slices, rows, columns, channels)`, or without slices.
        dtype: Of the pixels.
        like: If that is a Zarr of version 2, so is this.
        nodata: The value that marks missing pixels; it becomes `_FillValue`.
        bands: One name for each channel, or none; they are the attribute `bands`. Of a single
            channel of class ids what they mean; see `flags_of`.
    """
    import zarr  # noqa: PLC0415

    kind, second = np.dtype(dtype), _is_second(like)
    axes = ["z", "y", "x", "c"][4 - len(shape) :]
    *sides, channels = shape
    longest = _CHUNK if len(shape) == 4 else 4 * _CHUNK
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=(*(min(longest, side) for side in sides), channels),
        dtype=kind,
        zarr_format=2 if second else 3,
        dimension_names=None if second else axes,
        attributes={
            **({DIMENSIONS: axes} if second else {}),
            **_meaning(bands),
            **_missing(nodata, kind, second),
        },
        # Others take it for `_FillValue` in version 2, and for no such value if there is none.
        fill_value=(None if second else 0) if nodata is None else kind.type(nodata),
    )
    for area in _areas(sides, longest):
        array[area] = read(*area)


def _is_second(like: RasterInfo | None) -> bool:
    return like is not None and any((like.path / name).is_file() for name in (".zarray", ".zgroup"))


def _meaning(bands: Sequence[str] | Classes) -> dict[str, Any]:
    if isinstance(bands, Classes):
        return {"bands": [bands.band], **flags_of(bands)}
    return {"bands": list(bands)} if bands else {}


def _missing(nodata: float | None, dtype: np.dtype[Any], second: bool) -> dict[str, Any]:
    return {} if nodata is None or second else {FILL: encoded_fill(nodata, dtype)}


def _areas(sides: Sequence[int], longest: int) -> Iterator[Window]:
    """Rows of chunks over the whole width."""
    starts = (range(0, side, longest) for side in sides[:-1])
    for corner in product(*starts):
        spans = zip(corner, sides[:-1], strict=True)
        yield (*(slice(at, min(at + longest, side)) for at, side in spans), slice(0, sides[-1]))
