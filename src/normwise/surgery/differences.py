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
