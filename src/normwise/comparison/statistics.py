"""Paired differences between two plans: how large, how sure, and by which method.

Trials of one pair share all that chance decides: the first weights of the layers that both have,
the patches and their order. What is left is judged by the t-distribution, which knows how little
few pairs tell. A bootstrap doesn't: with 3 pairs its 95 % interval is at most the range from the
least to the greatest difference, and misses the truth in 2 * (1/2)^3 = 25 % of all cases. It is
given beside from 8 pairs on, where a skewed distribution could deceive the t-interval.

Where pairs were measured on other images each, as the folds of a cross-validation are, their
training images overlap, so the differences go together and look surer than they are. The variance
is then corrected after Nadeau and Bengio (2003), "Inference for the generalization error", Machine
Learning 52, as Bouckaert and Frank (2004) do for repeated cross-validation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from normwise.comparison.effects import hedges_correction

Doubles = NDArray[np.float64]
Interval = tuple[float, float]

LEAST_FOR_BOOTSTRAP: Final = 8
LEVEL: Final = 0.05
ROUNDING: Final = 1e-12
"""Differences whose spread is a smaller share of the values than this differ by rounding alone."""
_RESAMPLES: Final = 9999


@dataclass(frozen=True)
class Paired:
    """The differences of one pair of plans, in units of the metric.

    Attributes:
        differences: One for each pair of trials in which both gave a number; those that differ by
            rounding alone are the same, and 0 where that is all they are.
        mean: Their mean; NaN without any.
        deviation: Their standard deviation (n - 1 in the divisor), 0 if all are the same; NaN
            below 2.
        interval: For the mean, by the t-distribution; NaN below 2 pairs or without any spread.
        p: Of the two-sided t-test that the mean is 0, for this pair alone. 1 if every difference
            is exactly 0, NaN where there is no other spread to judge by.
        effect: The mean in standard deviations of the differences, corrected for their number
            (Hedges); NaN below 3.
        bootstrap: A second interval for the mean, bias-corrected and accelerated; None for fewer
            than 8 pairs and where pairs overlap.
        overlap: Evaluated images for each training image where they differ from pair to pair, 0
            where all pairs are measured on the same images.
        level: 1 minus the confidence of the intervals.
    """

    differences: tuple[float, ...]
    mean: float
    deviation: float
    interval: Interval
    p: float
    effect: float
    bootstrap: Interval | None
    overlap: float
    level: float

    @property
    def pairs(self) -> int:
        """How many pairs of trials."""
        return len(self.differences)


def paired(
    one: Sequence[float], other: Sequence[float], overlap: float = 0.0, level: float = LEVEL
) -> Paired:
    """Compares two plans by trials that share seed and fold, in the same order.

    Args:
        one: The metric of the first plan's trials; NaN where one gave no number.
        other: The metric of the second plan's trials.
        overlap: As in `Paired`; 1 / (k - 1) for k folds.
        level: 1 minus the confidence of the intervals.

    Returns:
        The differences, first minus second, of the pairs in which both are numbers.

    Raises:
        ValueError: If the two don't have the same number of trials.
    """
    found = _differences(*_same_length(one, other))
    mean = float(found.mean()) if found.size else math.nan
    deviation = _deviation(found)
    return Paired(
        tuple(found.tolist()),
        mean,
        deviation,
        t_interval(found, overlap, level),
        float(p_values(found, overlap)),
        mean / deviation * hedges_correction(found.size - 1) if deviation > 0 else math.nan,
        _bootstrap(found, level) if not overlap else None,
        overlap,
        level,
    )


def p_values(differences: Doubles, overlap: float = 0.0) -> Any:
    """Two-sided p of the t-test that the mean difference is 0, along the last axis.

    Args:
        differences: Shape (..., pairs); as in `Paired`, none that differ by rounding alone.
        overlap: As in `Paired`.

    Returns:
        Shape (...): NaN for fewer than 2 pairs, and where all differences are the same and not 0,
        for a spread of nothing says nothing about chance; 1 where all of them are 0.
    """
    n = differences.shape[-1]
    if n < 2:
        return np.full(differences.shape[:-1], np.nan)
    mean, error = differences.mean(-1), _standard_error(differences, overlap)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean / error), n - 1)
    same = np.ptp(differences, axis=-1) == 0
    return np.where(same, np.where(differences[..., 0] == 0, 1.0, np.nan), p)


def t_interval(differences: Doubles, overlap: float = 0.0, level: float = LEVEL) -> Interval:
    """An interval for the mean difference by the t-distribution; NaN where it can't be judged.

    Args:
        differences: Shape (pairs,).
        overlap: As in `Paired`.
        level: 1 minus its confidence.
    """
    if differences.size < 2 or np.ptp(differences) == 0:
        return math.nan, math.nan
    reach = stats.t.isf(level / 2, differences.size - 1) * _standard_error(differences, overlap)
    mean = float(differences.mean())
    return mean - float(reach), mean + float(reach)


def _differences(one: Sequence[float], other: Sequence[float]) -> Doubles:
    """First minus second where both are numbers, rid of a spread that is rounding alone.

    0.8 - 0.7 and 0.7 - 0.6 differ by 1e-16: judged by that spread, any difference is beyond chance.
    """
    both: Doubles = np.array([one, other], np.float64)
    both = both[:, np.isfinite(both).all(0)]
    found: Doubles = both[0] - both[1]
    rounding = ROUNDING * float(np.abs(both).max(initial=0.0))
    if not found.size or np.ptp(found) > rounding:
        return found
    return np.full_like(found, 0.0 if np.abs(found).max() <= rounding else found[0])


def _deviation(differences: Doubles) -> float:
    if differences.size < 2:
        return math.nan
    # The mean of equal numbers is rounded, too, and would leave a deviation of its own.
    return float(differences.std(ddof=1)) if np.ptp(differences) else 0.0


def _standard_error(differences: Doubles, overlap: float) -> Doubles:
    n = differences.shape[-1]
    error: Doubles = differences.std(-1, ddof=1) * math.sqrt(1 / n + overlap)
    return error


def _bootstrap(differences: Doubles, level: float) -> Interval | None:
    if differences.size < LEAST_FOR_BOOTSTRAP or np.ptp(differences) == 0:
        return None
    found = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=1 - level,
        n_resamples=_RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _same_length(
    one: Sequence[float], other: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    if len(one) != len(other):
        raise ValueError(
            f"pairs of trials are compared: received {len(one)} of the first plan and "
            f"{len(other)} of the second."
        )
    return one, other
