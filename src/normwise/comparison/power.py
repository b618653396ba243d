"""How many pairs would show a difference, and which difference the given pairs can show."""

import math
from typing import Final

from scipy import optimize, stats

from normwise.comparison.statistics import LEVEL

POWER: Final = 0.8
MOST_PAIRS: Final = 1000


def power(effect: float, pairs: int, level: float = LEVEL, overlap: float = 0.0) -> float:
    """The probability that the paired t-test shows a true difference.

    Args:
        effect: The true mean difference in standard deviations of the differences.
        pairs: Pairs of trials, 2 or more.
        level: Of the two-sided test.
        overlap: As in `statistics.Paired`.

    Returns:
        From `level`, for no difference at all, to 1; by the noncentral t-distribution.
    """
    critical = float(stats.t.isf(level / 2, pairs - 1))
    center = abs(effect) / math.sqrt(1 / pairs + overlap)
    shown = stats.nct.sf(critical, pairs - 1, center) + stats.nct.cdf(-critical, pairs - 1, center)
    return float(shown) if math.isfinite(shown) else float(center > critical)


def pairs_needed(
    effect: float, level: float = LEVEL, overlap: float = 0.0, wanted: float = POWER
) -> int | None:
    """The fewest pairs that show a true difference of this size with a probability of `wanted`.

    Args:
        effect: The true mean difference in standard deviations of the differences.
        level: Of the two-sided test.
        overlap: As in `statistics.Paired`; then more trials on the same images may never do.
        wanted: The probability.

    Returns:
        The number, or None if 1,000 are too few.
    """
    if not abs(effect) > 0 or power(effect, MOST_PAIRS, level, overlap) < wanted:
        return None
    low, high = 1, MOST_PAIRS
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(effect, middle, level, overlap) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable(
    pairs: int, level: float = LEVEL, overlap: float = 0.0, wanted: float = POWER
) -> float:
    """The smallest true difference that this many pairs show with a probability of `wanted`.

    Returns:
        In standard deviations of the differences; NaN below 2 pairs.
    """
    if pairs < 2:
        return math.nan
    high = 1.0
    while power(high, pairs, level, overlap) < wanted:
        high *= 2
    found = optimize.brentq(lambda effect: power(effect, pairs, level, overlap) - wanted, 0.0, high)
    return float(found)


def upper_deviation(deviation: float, pairs: int, confidence: float = POWER) -> float:
    """A bound that the true standard deviation exceeds with a probability of 1 - `confidence`.

    A standard deviation of 3 values is itself hardly known: the bound is 2.1 times as large.
    """
    if pairs < 2:
        return math.nan
    quantile = float(stats.chi2.ppf(1 - confidence, pairs - 1))
    return deviation * math.sqrt((pairs - 1) / quantile)
