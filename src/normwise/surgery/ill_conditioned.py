"""Folds that lose too many digits for outputs to stay, exact as their algebra is.

A norm that subtracts a mean of many deviations leaves few digits of what it reads, and a layer that
takes it over leaves others. A folded kernel may hold numbers that the type in which its layer
computes doesn't have. Both are rare, and no measure tells for sure that outputs would differ; so
they are looked for where a proof failed, and then these norms stay instead of all. Where outputs
differ by so little more than allowed that roundings may do it, the norm farthest from 0 stays,
however far it is, and then the next one, as long as that helps.
"""

from __future__ import annotations

import numpy as np

from normwise.keras_format.weights import LayerWeights
from normwise.surgery.fold_plan import LARGEST, Plan

FAR = {"float16": 10.0, "bfloat16": 10.0}
"""Deviations between a mean and 0 from which on it may be to blame, by the type that is computed
in."""
FAR_IN_FULL = 100.0
"""The same in single precision and more."""

NEAR = 1.0
"""Deviations from which on a mean costs a digit at all."""
ROUNDED = 1e-3
"""Differences up to this may come of roundings, as a share of the largest value; from mistakes come
larger ones."""

SMALLEST = {"float16": 6.2e-5}
"""Numbers below this have fewer digits than others of the type."""


def ill_conditioned(plan: Plan) -> dict[str, str]:
    """Which folded norms may be why outputs differ, by path, with the reason to leave them.

    Args:
        plan: A fold that was tried, with the weights that it was tried with.
    """
    found: dict[str, str] = {}
    rules = plan.rules()
    for path, takes in plan.takes.items():
        dtype = plan.layers[path].compute_dtype
        if not _has(dtype, rules[path](plan.weights)):
            said = f"folded into {path}, it would need numbers that {dtype} doesn't have"
            found |= dict.fromkeys((take.norm for take in takes), said)
        for take in takes:
            far = _deviations(plan, take.norm)
            if np.any(take.affine.shift) and far >= FAR.get(dtype, FAR_IN_FULL):
                found[take.norm] = _few_digits(far, dtype)
    return found


def farthest(plan: Plan) -> dict[str, str]:
    """The folded norm whose mean is farthest from 0, with the reason to leave it.

    None if all are near.

    Args:
        plan: A fold that was tried, with the weights that it was tried with.
    """
    shifted = {
        take.norm: path
        for path, takes in plan.takes.items()
        for take in takes
        if np.any(take.affine.shift)
    }
    found = {norm: _deviations(plan, norm) for norm in shifted}
    norm = max(found, key=found.__getitem__, default=None)
    if norm is None or found[norm] < NEAR:
        return {}
    return {norm: _few_digits(found[norm], plan.layers[shifted[norm]].compute_dtype)}


def may_be_rounding(difference: float, tolerance: float) -> bool:
    """Whether outputs differ by so little that no mistake need be behind it.

    Args:
        difference: As a share of the largest value.
        tolerance: What would be kept.
    """
    return difference <= max(ROUNDED, 3 * tolerance)


def _few_digits(far: float, dtype: str) -> str:
    return (
        f"its mean is {far:.3g} standard deviations from 0, which leaves so few digits of {dtype} "
        "that outputs would differ"
    )


def _has(dtype: str, arrays: LayerWeights) -> bool:
    """Whether a type has such numbers, with all of their digits where they are a kernel's."""
    for name, array in arrays.items():
        largest = float(np.abs(array).max(initial=0.0))
        if not largest < LARGEST.get(dtype, LARGEST["float32"]):
            return False
        if name != "bias" and 0 < largest < SMALLEST.get(dtype, 0.0):
            return False
    return True


def _deviations(plan: Plan, norm: str) -> float:
    """How far the mean of a norm is from 0, in standard deviations; the most of its channels."""
    weights = {name: array.astype("float64") for name, array in plan.weights.of(norm).items()}
    deviation = np.sqrt(weights["moving_variance"] + plan.layers[norm].epsilon)
    return float((np.abs(weights["moving_mean"]) / deviation).max())
