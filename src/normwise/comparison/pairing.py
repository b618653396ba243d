"""Every plan against every other, with one correction for all of them."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from normwise.comparison.multiplicity import holm
from normwise.comparison.statistics import LEVEL, paired
from normwise.comparison.verdicts import Pair


def all_pairs(
    results: Mapping[str, Sequence[float]],
    *,
    lower_is_better: bool = False,
    overlap: float = 0.0,
    level: float = LEVEL,
    comparisons: int | None = None,
) -> tuple[Pair, ...]:
    """Compares plans by the same metric of trials that are paired by their place.

    All pairs are tested and corrected together, so that the best and the worst may be picked out
    afterwards.

    Args:
        results: For each plan, a number a trial: NaN where a trial gave none. The trials of all
            plans have the same seeds and folds, in the same order.
        lower_is_better: Whether the metric is an error.
        overlap: As in `statistics.Paired`.
        level: The probability of any false difference among all of them.
        comparisons: What is corrected for, where these plans were picked among more; by default
            the pairs of these plans.

    Returns:
        A pair for each two plans, in the order of the plans.
    """
    names = list(combinations(results, 2))
    found = [paired(results[a], results[b], overlap, level) for a, b in names]
    made = max(comparisons or 0, len(names))
    # Those that were not made count like those that can't be judged.
    every = [one.p for one in found] + [math.nan] * (made - len(names))
    adjusted = holm(np.array(every))[: len(names)] if found else ()
    failed = {name: int((~np.isfinite(values)).sum()) for name, values in results.items()}
    return tuple(
        Pair(
            a,
            b,
            one,
            float(p),
            made,
            lower_is_better,
            (failed[a], failed[b]),
            len(results[a]),
        )
        for (a, b), one, p in zip(names, found, adjusted, strict=True)
    )
