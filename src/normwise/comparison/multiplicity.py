"""Many comparisons at once: the chance that any of them errs is held at the level."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def holm(p: NDArray[np.float64]) -> Any:
    """p-values adjusted after Holm (1979), along the last axis.

    A comparison whose adjusted p is at most the level may be called a difference: the probability
    of a single false one among all of them is then no larger than the level, however the
    comparisons depend on each other.

    Args:
        p: Shape (..., comparisons); NaN stays NaN, and counts as a comparison all the same.

    Returns:
        Adjusted p of the same shape, at most 1.
    """
    count = p.shape[-1]
    order = np.argsort(p, axis=-1)  # NaN last
    factors = np.arange(count, 0, -1)
    stepped = np.take_along_axis(p, order, -1) * factors
    rising = np.minimum(np.maximum.accumulate(stepped, axis=-1), 1.0)
    adjusted = np.empty_like(rising)
    np.put_along_axis(adjusted, order, rising, -1)
    return adjusted
