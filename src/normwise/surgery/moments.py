"""Mean and variance of every channel, pooled over arrays that are seen one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PIECE = 2**21
"""Values that are turned to float64 at a time (16 MB)."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel.

    Attributes:
        count: Values seen in each channel.
        mean: float64 of shape `(channels,)`.
        deviation: Sum of squared deviations from the mean, float64 of shape `(channels,)`.
    """

    count: int
    mean: Doubles
    deviation: Doubles

    @property
    def variance(self) -> Doubles:
        """Population variance (divided by the count), as batch normalization takes it."""
        return self.deviation / max(self.count, 1)

    def merge(self, other: Moments) -> Moments:
        """Moments of the values of both.

        The update of Chan, Golub & LeVeque (1979): the variance of the means is in it, and small
        variances beside a large mean are not lost as sums of squares would lose them.
        """
        count = self.count + other.count
        if count == 0:
            return self
        share = other.count / count
        delta = other.mean - self.mean
        return Moments(
            count,
            self.mean + delta * share,
            self.deviation + other.deviation + delta**2 * (share * self.count),
        )


def no_moments(channels: int) -> Moments:
    """The moments of no values at all."""
    return Moments(0, np.zeros(channels), np.zeros(channels))


def moments_of(values: Array, axis: int, valid: Bools | None = None) -> Moments:
    """Moments of an array over all axes but one.

    Args:
        values: Any floating type, for example `(batch, rows, columns, channels)`.
        axis: The axis of the channels.
        valid: Which positions count: booleans of the shape of `values` without that axis. None:
            all.

    Returns:
        Moments in float64, taken piece by piece, so that little memory is needed beside `values`.
    """
    last = np.moveaxis(values, axis, -1)
    channels = last.shape[-1]
    total = no_moments(channels)
    # Sample by sample: another channel axis or a mask copies one sample only.
    for index, sample in enumerate(last):
        rows = sample.reshape(-1, channels)
        if valid is not None:
            rows = rows[valid[index].reshape(-1)]
        step = max(1, PIECE // channels)
        for start in range(0, len(rows), step):
            total = total.merge(_of_piece(rows[start : start + step].astype(np.float64)))
    return total


def _of_piece(rows: Doubles) -> Moments:
    with np.errstate(invalid="ignore"):  # infinite values end as NaN, which callers refuse
        mean = rows.mean(axis=0)
        rows -= mean
    return Moments(len(rows), mean, np.einsum("pc,pc->c", rows, rows))
