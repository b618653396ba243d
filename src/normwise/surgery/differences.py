"""How far two results are apart, and whether one says anything at all: on arrays alone."""

from __future__ import annotations

import numpy as np

from normwise.surgery.moments import Array

TOLERANCE = 1e-5
"""Largest difference that counts as kept, as a share of an output's largest value (float32)."""

COARSE = {"float16": 2e-2, "bfloat16": 1e-1}
"""The same for models that compute in half precision: some dozens of roundings."""

TELLING = 10
"""Tolerances by which a result has to vary with the input before its equality proves anything."""


def one_difference(wanted: Array, found: Array) -> float:
    """Largest difference of two arrays, as a share of the wanted one's largest value.

    Infinite where their shapes differ, or the places of values that aren't finite.
    """
    if wanted.shape != found.shape:
        return float("inf")
    a, b = wanted.astype("float64"), found.astype("float64")
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return float("inf")
    if not finite.any():
        return 0.0
    largest = np.abs(a[finite]).max()
    return float(np.abs(a[finite] - b[finite]).max() / (largest or 1.0))


SMALL = 1e-3
"""A channel whose largest value is below this share of the output's is held against its own."""
LEAST = 1e-2
"""The share of the tolerance that any channel is allowed: what large numbers leave when they cancel
differs by their roundings."""
CHANNELS = 64
"""Channels up to which they are looked at one by one. Of the hundreds of an inner layer one may be
hardly above 0 by chance, and roundings are all that it shows."""


def channel_difference(wanted: Array, found: Array, axis: int = -1) -> float:
    """The same, with a stricter measure for small channels beside large ones.

    Channels of at least `SMALL` are held to a share of the largest value of all. A smaller one may
    differ by as large a share of its own largest value as one of just that size, and by `LEAST` of
    what a large one may: so no channel passes that is wrong by more than 1% of itself, down to
    1e-5 of the largest value in single precision.

    Args:
        wanted: Batch axis first.
        found: Likewise.
        axis: The axis of the channels.
    """
    worst = one_difference(wanted, found)
    if not np.isfinite(worst) or not wanted.size or not -wanted.ndim <= axis < wanted.ndim:
        return worst
    if wanted.ndim < 2 or not 1 < wanted.shape[axis] <= CHANNELS:
        return worst
    a, b = (np.moveaxis(x.astype("float64"), axis, 0) for x in (wanted, found))
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    finite = np.isfinite(a)
    largest = np.abs(a, where=finite, out=np.zeros_like(a)).max(axis=1)
    apart = np.subtract(a, b, where=finite, out=np.zeros_like(a))
    scales = np.clip(largest / SMALL, LEAST * largest.max(), largest.max())
    return max(worst, float((np.abs(apart).max(axis=1) / (scales + (scales == 0))).max()))


WHOLE = 128
"""Below this, numbers that all are whole were rounded, in whatever type; larger ones may have no
digits behind the point."""


def whole_difference(wanted: Array, found: Array) -> float | None:
    """The share of values that differ, for results of whole numbers; None for any others.

    Classes, flags and what is rounded are decided by their inputs, and where two decisions are as
    near as roundings are, either is right: a few values then differ by a whole step.
    """
    if wanted.shape != found.shape or not (_is_whole(wanted) and _is_whole(found)):
        return None
    return float(np.mean(wanted != found))


def _is_whole(values: Array) -> bool:
    if values.dtype.kind in "biu":
        return values.size > 0
    a = values.astype("float64")
    return bool(a.size and (np.abs(a) < WHOLE).all() and (a == np.rint(a)).all())


def is_constant(output: Array, tolerance: float) -> bool:
    """Whether an output is the same for all samples, as far as a comparison could see.

    Args:
        output: Batch axis first; where it holds one sample, all its values are compared.
        tolerance: The difference that would count as kept.
    """
    values = output.astype("float64")
    if not values.size:
        return True
    spread = np.ptp(values, axis=0) if values.ndim and len(values) > 1 else np.ptp(values)
    return bool(np.max(spread) <= TELLING * tolerance * np.abs(values).max())
