"""Numbers as files hold them: settings, and the weights of channels."""

from __future__ import annotations

from collections.abc import Sequence

LARGEST = 10**15
"""A file can state any number; beyond this one it is none that anybody meant."""


def number(value: object) -> float | None:
    """A setting as a number, None for what is none: a file can hold anything."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < LARGEST else None


def is_constant(values: Sequence[float], value: float) -> bool:
    """Whether every number is that one."""
    return values.count(value) == len(values)


def share_below(values: Sequence[float], limit: float) -> float:
    """The share of the numbers that are smaller than one."""
    if min(values) >= limit:
        return 0.0  # as in nearly every network, and found many times faster
    return sum(value < limit for value in values) / len(values)
