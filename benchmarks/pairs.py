"""What two ways that took turns tell about the ratio of their times."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap


def paired_ratio(values: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """The median of the ratios of neighbouring turns.

    Args:
        values: Seconds of one way, one a turn.
        others: Seconds of the way it is compared with, in the same turns.

    Returns:
        `ratio`, the median, and `lowest` and `highest`, its 95 % bootstrap interval (percentiles,
        10,000 draws), which says how far the median of so many turns can be trusted.
    """
    ratios = np.asarray(values) / np.asarray(others)
    interval = np.full(2, ratios[0])
    if np.ptp(ratios):
        interval = np.asarray(
            bootstrap(
                (ratios,), np.median, n_resamples=10_000, method="percentile", rng=0
            ).confidence_interval
        )
    return {
        "ratio": float(np.median(ratios)),
        "lowest": float(interval[0]),
        "highest": float(interval[1]),
    }
