"""Pixels: how many are held at once, and which of them hold no measurement."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from normwise.rasters.nodata import marked

Pixels = NDArray[Any]
Bools = NDArray[np.bool_]
Marks = tuple[float, ...]
"""The values that mark missing pixels, beside those that are no number."""

WINDOW_VALUES = 2**21
"""About how many values are held at once while a file is walked through."""

_LARGEST: Final = float(np.finfo(np.float32).max)
_SINGLE: Final = 4
"""Bytes of the numbers that networks take; larger ones may be beyond them."""


def marks_of(*told: float | None) -> Marks:
    """The values that mark missing pixels: whatever is told by a user, a run or the file itself.

    Args:
        *told: The values; None for nothing.

    Returns:
        Each once. NaN marks missing pixels in any case, and is left out.
    """
    values = (float(value) for value in told if value is not None)
    return tuple(dict.fromkeys(value for value in values if not np.isnan(value)))


def missing_in(pixels: Pixels, nodata: float | Marks | None) -> Bools | None:
    """Where an array holds no measurement.

    Args:
        pixels: Array of any shape and numeric type.
        nodata: The value that says so, or several, or None. NaN always does, and infinity: the
            logarithm of an empty border is -inf.

    Returns:
        Booleans of the same shape, or None if nothing is missing.
    """
    floats = pixels.dtype.kind == "f" and not _surely_finite(pixels)
    missing = ~_finite(pixels) if floats else None
    for value in nodata if isinstance(nodata, tuple) else marks_of(nodata):
        here = marked(pixels, value)
        if here is not None:
            missing = here if missing is None else missing | here
    return missing if missing is not None and missing.any() else None


def infinite_in(pixels: Pixels, nodata: Marks = ()) -> Bools | None:
    """Where an array is infinite, or would be as float32, which is what networks take.

    Args:
        pixels: Array of any shape and numeric type.
        nodata: Values that mark missing pixels, and are left out.

    Returns:
        Booleans of the same shape, or None if nothing is infinite.
    """
    if pixels.dtype.kind != "f" or _surely_finite(pixels):
        return None
    infinite = ~(_finite(pixels) | np.isnan(pixels))
    for value in nodata:
        here = marked(pixels, value)
        if here is not None:
            infinite &= ~here
    return infinite if infinite.any() else None


def _surely_finite(pixels: Pixels) -> bool:
    """Whether the sum tells that all floats are finite as float32: no array of booleans is made.

    A sum is NaN or infinite where any of its terms is. The other way round it may be infinite
    where all of them are finite; then it is for `_finite` to tell.
    """
    if pixels.dtype.itemsize > _SINGLE:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(pixels.sum(dtype=np.float32)))


def _finite(pixels: Pixels) -> Bools:
    """Where floats are finite as float32."""
    if pixels.dtype.itemsize <= _SINGLE:
        return np.isfinite(pixels)
    finite: Bools = np.abs(pixels) <= _LARGEST
    return finite
