"""The value that marks missing pixels, compared with pixels as a file stores them."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.rasters.raster import Pixels


def marked(pixels: Pixels, nodata: float) -> NDArray[np.bool_] | None:
    """Where pixels have the value that marks missing ones.

    Args:
        pixels: Array of any shape and numeric type.
        nodata: The value, not NaN.

    Returns:
        Booleans of the same shape; None if pixels of that type can't have the value.
    """
    if not _fits(nodata, pixels.dtype):
        return None
    here: NDArray[np.bool_] = pixels == _as_stored(nodata, pixels.dtype)
    return here


def number_of(nodata: float | None) -> float | None:
    """What pixels are compared with; None for NaN, which marks missing ones in any case."""
    return None if nodata is None or math.isnan(nodata) else nodata


def differ(told: Iterable[tuple[float | None, np.dtype[Any]]]) -> bool:
    """Whether bands are compared with different values: floats with theirs as it is rounded.

    Args:
        told: Of each band, or of each file with bands, its nodata value and type.
    """
    numbers = ((number_of(nodata), dtype) for nodata, dtype in told)
    marks = {
        (number, dtype if number is not None and dtype.kind == "f" else None)
        for number, dtype in numbers
    }
    return len(marks) > 1


def common(told: Iterable[float | None]) -> float | None:
    """The nodata value of bands that don't differ; NaN where only some of them name it."""
    return next((float(nodata) for nodata in told if nodata is not None), None)


def without_marked(pixels: Pixels, nodata: float | None, dtype: np.dtype[Any]) -> Pixels:
    """Pixels that are NaN where they have the value of their own band.

    Args:
        pixels: Array of any shape and numeric type.
        nodata: As `number_of` gives it.
        dtype: Of the result where there are such pixels, one that has NaN.
    """
    missing = None if nodata is None else marked(pixels, nodata)
    if missing is None:
        return pixels
    return np.where(missing, dtype.type(np.nan), pixels.astype(dtype))


def _as_stored(nodata: float, dtype: np.dtype[Any]) -> Any:
    if dtype.kind != "f":
        return dtype.type(int(nodata))
    # The text in a file's header has more digits than the float32 it stands for.
    with np.errstate(over="ignore"):
        return dtype.type(nodata)


def _fits(nodata: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return nodata in (0, 1)
    limits = np.iinfo(dtype)
    return float(nodata).is_integer() and limits.min <= nodata <= limits.max
