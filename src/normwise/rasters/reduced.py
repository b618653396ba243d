"""An image shown smaller, read window by window, so that memory is bounded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from math import lcm
from typing import Final

import numpy as np

from normwise.rasters.raster import Pixels

_VALUES: Final = 2**24
"""How many values are held at once, about."""
_LONGEST_STEP: Final = 4096

Reader = Callable[[slice, slice], Pixels]
"""Gives rows and columns of an image, shape (rows, columns, channels)."""


def factor_for(size: tuple[int, int], longest: int) -> int:
    """By how much an image is made smaller, a power of 2 so that windows fit a file's blocks.

    Args:
        size: Rows and columns.
        longest: Pixels that its longer side may have at most.
    """
    factor = 1
    while max(size) > longest * factor:
        factor *= 2
    return factor


def reduced(
    read: Reader,
    size: tuple[int, int],
    channels: int,
    factor: int,
    nodata: Sequence[float] = (),
    nearest: bool = False,
    block: tuple[int, int] = (1, 1),
) -> Pixels:
    """An image of a `factor`-th of its rows and columns.

    Args:
        read: Gives its pixels.
        size: Rows and columns.
        channels: Of the pixels that are read.
        factor: By how much it is made smaller.
        nodata: The values that mark missing pixels; NaN and infinity always do.
        nearest: Whether each pixel is one of the image's, as class ids need; otherwise it is the
            mean of those with data.
        block: Rows and columns that the file stores together.

    Returns:
        Shape (rows, columns, channels). Means are float32, NaN where no pixel has data. What is
        left at the end of an axis, less than a factor, counts as a whole one.
    """
    rows, columns = (-(-side // factor) for side in size)
    result: Pixels | None = None
    for area in _windows(size, channels, factor, block):
        part = _smaller(read(*area), factor, nodata, nearest)
        if result is None:
            result = np.empty((rows, columns, part.shape[-1]), part.dtype)
        top, left = (span.start // factor for span in area)
        result[top : top + part.shape[0], left : left + part.shape[1]] = part
    assert result is not None, "an image has pixels"
    return result


def _windows(
    size: tuple[int, int], channels: int, factor: int, block: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Windows of whole blocks and factors that cover an image."""
    tall, wide = (_step(own, factor) for own in block)
    while tall * wide * channels < _VALUES and wide < size[1]:
        wide *= 2
    for top in range(0, size[0], tall):
        for left in range(0, size[1], wide):
            yield (
                slice(top, min(top + tall, size[0])),
                slice(left, min(left + wide, size[1])),
            )


def _step(block: int, factor: int) -> int:
    common = lcm(block, factor)
    if common > _LONGEST_STEP:
        return factor * max(1, min(block, _LONGEST_STEP) // factor)
    return common * max(1, 256 // common)


def _smaller(pixels: Pixels, factor: int, nodata: Sequence[float], nearest: bool) -> Pixels:
    if nearest:
        rows, columns = (_middles(side, factor) for side in pixels.shape[:2])
        return pixels[np.ix_(rows, columns)]
    values = pixels.astype(np.float32)
    for value in nodata:
        values[pixels == value] = np.nan
    values[np.isinf(values)] = np.nan
    short = [(0, -side % factor) for side in pixels.shape[:2]]
    padded = np.pad(values, (*short, (0, 0)), constant_values=np.nan)
    rows, columns = (side // factor for side in padded.shape[:2])
    grouped = padded.reshape(rows, factor, columns, factor, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no pixel with data: NaN is meant
        means: Pixels = np.nanmean(grouped, axis=(1, 3))
    return means


def _middles(side: int, factor: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.minimum(np.arange(0, side, factor) + factor // 2, side - 1)
