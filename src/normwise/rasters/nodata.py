"""The value that marks missing pixels, compared with pixels as a file stores them."""

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
