"""Axes of a chart: their range, round numbers along them, and how those are written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """A range of values along pixels.

    Attributes:
        low: The least value shown.
        high: The greatest.
        start: Where `low` is.
        end: Where `high` is.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is, held to a little beyond both ends."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.5, max(-0.5, share)) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value is shown."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the range."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in _ROUND if step * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [(first + place) * step for place in range(count)]


def axis_of(
    values: Iterable[float], start: float, end: float, with_zero: bool = False, room: float = 0.06
) -> Axis:
    """An axis that holds all finite values with some room at both ends."""
    found = [value for value in values if math.isfinite(value)]
    found += [0.0] if with_zero or not found else []
    low, high = min(found), max(found)
    room *= (high - low) or abs(high) or 1.0
    return Axis(low - room, high + room, start, end)


def written(ticks: Sequence[float]) -> list[str]:
    """Round numbers with as many digits as tell them apart."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= 1e6 or (0 < largest < 1e-3):
        return [f"{tick:.3g}" for tick in ticks]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits and round(step * 10**digits, 6) % 1:
        digits += 1
    # A rounded zero has no sign.
    return [f"{tick + 0.0:,.{digits}f}" if tick else "0" for tick in ticks]
