"""Whether samples come in an order that makes batches unlike each other: on arrays alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normwise.probes.samples import Samples
from normwise.rules.context.measurements import Order
from normwise.surgery.moments import Doubles, moments_of

FEWEST_BATCHES = 4
"""Batches below which an order says nothing."""

SHUFFLES = 999
"""Shuffled orders that the given one is compared with."""


@dataclass(frozen=True)
class Described:
    """What is known of samples, in their order.

    Attributes:
        means: Of each channel, `(samples, channels)`.
        deviation: Of all pixels around the mean of all, `(channels,)`.
    """

    means: Doubles
    deviation: Doubles


def order(samples: Samples, axis: int, batch: int, classes: Doubles | None = None) -> Order | None:
    """How unlike the batches of samples are, beside those of shuffled samples.

    Samples that were read in pieces, and images of a folder, are put into batches in the order in
    which they come.

    Args:
        samples: Raw input; the first input counts.
        axis: Its channel axis.
        batch: Samples of a batch where they don't come in batches; fewer if that would be too few
            batches.
        classes: For each image the share of each class, `(images, classes)`.

    Returns:
        None where there are too few batches, or nothing varies.
    """
    known = _described(samples, axis)
    if known is None:
        return None
    composed = samples.composed
    count = len(known.means)
    usual = max(2, min(batch, count // FEWEST_BATCHES))
    batches = _numbers(count, samples.batches if composed else (), usual)
    if batches[-1] + 1 < FEWEST_BATCHES or len(batches) < 2 * (batches[-1] + 1):
        return None
    fractions = classes if classes is not None and len(classes) == len(batches) else None
    drifts = _batch_means(known.means, batches) / known.deviation
    size = len(batches) / (batches[-1] + 1)
    free = (len(batches) - size) / (len(batches) - 1)
    expected = known.means.var(axis=0) / known.deviation**2 / size * free
    return Order(
        round(size),
        int(batches[-1]) + 1,
        composed,
        float(np.sqrt((drifts**2).mean())),
        float(np.sqrt(expected.mean())),
        between(known.means, batches)[1],
        None if fractions is None else between(fractions, batches),
    )


def between(features: Doubles, batches: Doubles, seed: int = 0) -> tuple[float, float]:
    """The share of features' variance that lies between batches.

    Args:
        features: `(samples, features)`; each counts the same, those that don't vary not at all.
        batches: For each sample the number of its batch.
        seed: For shuffling.

    Returns:
        That share, and the share of shuffled orders in which it is as large (a permutation test:
        the given order counts as one of them).
    """
    varying = features[:, features.std(axis=0) > 0]
    if not varying.size:
        return 0.0, 1.0
    scaled = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    rng = np.random.default_rng(seed)
    given = _share(scaled, batches)
    shuffled = (_share(rng.permutation(scaled), batches) for _ in range(SHUFFLES))
    as_large = sum(share >= given - 1e-12 for share in shuffled)
    return given, (1 + as_large) / (1 + SHUFFLES)


def _share(scaled: Doubles, batches: Doubles) -> float:
    sizes = np.bincount(batches)
    means = np.stack([np.bincount(batches, column) for column in scaled.T], axis=1)
    return float((means**2 / sizes[:, None]).sum() / scaled.size)


def _batch_means(means: Doubles, batches: Doubles) -> Doubles:
    sizes = np.bincount(batches)
    centred = means - means.mean(axis=0)
    return np.stack([np.bincount(batches, column) / sizes for column in centred.T], axis=1)


def _numbers(count: int, given: Sequence[int], batch: int) -> Doubles:
    """For each sample the number of its batch; a last one that isn't full joins the one before."""
    if given:
        return np.repeat(np.arange(len(given)), given)
    return np.minimum(np.arange(count) // batch, max(count // batch - 1, 0))


def _described(samples: Samples, axis: int) -> Described | None:
    leaf = samples.leaves[0]
    # Whole numbers without axes over space are indices as a rule, of words for example.
    kinds = "fiu" if leaf.ndim > 2 else "f"
    if leaf.ndim < 2 or leaf.dtype.kind not in kinds or len(leaf) < 2 * FEWEST_BATCHES:
        return None
    valid = samples.valid if len(samples.leaves) == 1 else None
    each = [
        moments_of(leaf[i : i + 1], axis, None if valid is None else valid[i : i + 1])
        for i in range(len(leaf))
    ]
    total = each[0]
    for moments in each[1:]:
        total = total.merge(moments)
    groups = np.asarray(samples.groups or range(len(leaf)))
    # A sample without a valid pixel has no mean of its own.
    means = np.stack([m.mean if m.count else total.mean for m in each])
    joined = np.stack([means[groups == group].mean(axis=0) for group in np.unique(groups)])
    deviation = np.sqrt(total.variance)
    usable = np.isfinite(deviation) & (deviation > 0) & np.isfinite(joined).all(axis=0)
    return Described(joined[:, usable], deviation[usable]) if usable.any() else None
