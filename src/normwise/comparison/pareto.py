"""Which plans nothing else beats in quality and cost together."""

import math
from collections.abc import Sequence


def front(quality: Sequence[float], cost: Sequence[float]) -> tuple[int, ...]:
    """The points that no other one is better than in one and at least as good as in both.

    Args:
        quality: Of each point, larger is better; NaN is never on the front.
        cost: Of each point, smaller is better; NaN is never on the front.

    Returns:
        Their places, the cheapest first; equal points are all on it.
    """
    points = [
        (place, q, c)
        for place, (q, c) in enumerate(zip(quality, cost, strict=True))
        if math.isfinite(q) and math.isfinite(c)
    ]
    kept = [
        (c, place)
        for place, q, c in points
        if not any(oq >= q and oc <= c and (oq > q or oc < c) for _, oq, oc in points)
    ]
    return tuple(place for _, place in sorted(kept))
