"""Sizes of differences in standard deviations, as others report them."""

import math


def hedges_correction(freedom: int) -> float:
    """What a standardized mean is multiplied by, for few values make it too large.

    The exact factor of Hedges (1981), "Distribution theory for Glass's estimator of effect size",
    Journal of Educational Statistics 6: 0.56 for 3 pairs, 0.84 for 6, near 1 for many.

    Args:
        freedom: Degrees of freedom of the standard deviation, pairs - 1.

    Returns:
        The factor; NaN below 2 degrees of freedom, where none removes the bias.
    """
    if freedom < 2:
        return math.nan
    logarithm = math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)
    return math.exp(logarithm) / math.sqrt(freedom / 2)
