"""Pixels: how many are held at once, and which of them hold no measurement."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.rasters.nodata import marked

Pixels = NDArray[Any]
Bools = NDArray[np.bool_]
Marks = tuple[float, ...]
"""The values that mark missing pixels, beside NaN."""

WINDOW_VALUES = 2**21
"""About how many values are held at once while a file is walked through."""


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
        nodata: The value that says so, or several, or None. NaN always does.

    Returns:
        Booleans of the same shape, or None if nothing is missing.
    """
    missing = np.isnan(pixels) if pixels.dtype.kind == "f" else None
    for value in nodata if isinstance(nodata, tuple) else marks_of(nodata):
        here = marked(pixels, value)
        if here is not None:
            missing = here if missing is None else missing | here
    return missing if missing is not None and missing.any() else None
