"""How alike pictures are, over the points that both of them have."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_BLOCK: Final = 256
# Of the largest value: what rounding leaves of a constant channel.
_ROUNDING: Final = 1e-9
# Of the variance of a picture: less than that over the common points is rounding.
_LEFT: Final = 1e-6


def standardized(values: Doubles, fewest: int) -> Floats:
    """A picture whose channels have mean 0 and length 1 over the points with a measurement.

    Args:
        values: float64 of shape `(points, channels)`, NaN without a measurement.
        fewest: Channels with fewer points than these have none.

    Returns:
        float32 of shape `(channels, points)`, NaN without a measurement, 0 where a channel is
        constant.
    """
    known = np.isfinite(values)
    count = known.sum(0)
    filled = np.where(known, values, 0.0)
    centred = np.where(known, filled - filled.sum(0) / np.maximum(count, 1), 0.0)
    length = np.sqrt((centred**2).sum(0))
    varies = length > _ROUNDING * np.abs(filled).max(0, initial=1.0)
    scaled = np.where(varies, centred, 0.0) / np.where(varies, length, 1.0)
    return np.where(known & (count >= fewest), scaled, np.nan).T.astype(np.float32)


def varying(pictures: Floats) -> NDArray[np.int64]:
    """How many channels of each standardized picture vary.

    Args:
        pictures: float32 of shape `(pictures, channels, points)`.

    Returns:
        int64 of shape `(pictures,)`.
    """
    found = np.zeros(len(pictures), np.int64)
    for channel in range(pictures.shape[1]):
        found += np.nansum(pictures[:, channel] ** 2, axis=-1) > 0.5
    return found


def alike(
    ones: Sequence[Floats], others: Sequence[Floats], least: float, fewest: int
) -> Iterator[tuple[int, int, float]]:
    """The pairs of two groups of pictures that are alike.

    The likeness is Pearson's r over the points that both have, as a mean over the channels; one
    that varies in a single picture of the two counts as unlike.

    Args:
        ones: Standardized pictures of one size.
        others: Those with which each of them is compared, of the same size.
        least: The likeness of a pair is above that.
        fewest: Of fewer common points a channel says nothing.

    Yields:
        The numbers of the two, and their likeness.
    """
    first, second = np.stack(ones), np.stack(others)
    channels = np.sqrt(np.maximum(np.outer(varying(first), varying(second)), 1))
    for start in range(0, len(first), _BLOCK):
        found = _summed(first[start : start + _BLOCK], second, fewest)
        found /= channels[start : start + _BLOCK]
        for one, other in np.argwhere(found > least):
            yield start + int(one), int(other), float(found[one, other])


def _summed(first: Floats, second: Floats, fewest: int) -> Doubles:
    total = np.zeros((len(first), len(second)))
    for channel in range(first.shape[1]):
        one, other = first[:, channel].astype(np.float64), second[:, channel].astype(np.float64)
        total += _correlation(one, other, fewest)
    return total


def _correlation(first: Doubles, second: Doubles, fewest: int) -> Doubles:
    """Pearson's r of each row of the first with each of the second over their common points."""
    known, also = np.isfinite(first), np.isfinite(second)
    if known.all() and also.all():
        return first @ second.T
    x, y = np.where(known, first, 0.0), np.where(also, second, 0.0)
    here, there = known.astype(np.float64), also.astype(np.float64)
    count = here @ there.T
    number = np.maximum(count, 1)
    of_x, of_y = x @ there.T, here @ y.T
    spread_x = x**2 @ there.T - of_x**2 / number
    spread_y = here @ (y**2).T - of_y**2 / number
    shared = x @ y.T - of_x * of_y / number
    usable = (count >= fewest) & (spread_x > _LEFT) & (spread_y > _LEFT)
    found = np.zeros_like(shared)
    np.divide(shared, np.sqrt(np.where(usable, spread_x * spread_y, 1.0)), out=found, where=usable)
    return found
