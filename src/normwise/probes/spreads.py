"""How widely each sample of raw input varies: on arrays alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normwise.probes.samples import Samples
from normwise.rules.context.measurements import Spreads
from normwise.surgery.moments import Array, Bools, Doubles, moments_of

FEWEST_VALUES = 8
"""Values of a channel in a sample below which its standard deviation says nothing."""


def spreads(samples: Samples, names: tuple[str, ...], axes: tuple[int, ...]) -> tuple[Spreads, ...]:
    """The standard deviations of samples, in multiples of the median.

    Args:
        samples: Raw input.
        names: Of the inputs.
        axes: The channel axis of each input.

    Returns:
        Those of each input in which a sample has several values a channel.
    """
    found = []
    for name, axis, leaf in zip(names, axes, samples.leaves, strict=True):
        one = _ratios(leaf, axis, samples.valid if len(samples.leaves) == 1 else None)
        found += [] if one is None else [Spreads(name, tuple(one.tolist()), samples.names)]
    return tuple(found)


def _ratios(leaf: Array, axis: int, valid: Bools | None) -> Doubles | None:
    if leaf.ndim < 3 or leaf.dtype.kind not in "fiu" or not _is_wide(leaf, axis):
        return None
    deviations = np.stack(list(_deviations(leaf, axis, valid)))
    if not np.isfinite(deviations).all():
        return None
    usual = np.array([np.median(c[c > 0]) if (c > 0).any() else 1.0 for c in deviations.T])
    return np.asarray((deviations / usual).max(axis=1))


def _is_wide(leaf: Array, axis: int) -> bool:
    return bool(leaf[0].size // max(leaf.shape[axis], 1) >= FEWEST_VALUES)


def _deviations(leaf: Array, axis: int, valid: Bools | None) -> Iterator[Doubles]:
    for index, sample in enumerate(leaf):
        counts = None if valid is None else valid[index : index + 1]
        yield np.sqrt(moments_of(sample[None], axis, counts).variance)
