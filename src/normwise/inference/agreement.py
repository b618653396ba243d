"""How far two runs of one model are apart, as a share of what its outputs range over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TOLERANCE: Final = 1e-4
"""What counts as the same model in float32; roundings are around 1e-6."""
COARSE: Final = 1e-2
"""What `auto` accepts of bfloat16, which has two to three digits."""
_FLAT: Final = 1e-2
"""An output that varies by less of its largest value is measured by that."""


def deviation(wanted: Sequence[Array], found: Sequence[Array]) -> float:
    """The largest difference of any output's value, as a share of that output's range.

    Args:
        wanted: What Keras makes, an array an output.
        found: What is compared with it.

    Returns:
        Infinite where numbers, shapes or the places of values that aren't finite differ.
    """
    if len(wanted) != len(found):
        return float("inf")
    return max((_of_one(a, b) for a, b in zip(wanted, found, strict=True)), default=0.0)


def _of_one(wanted: Array, found: Array) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    a, b = np.asarray(wanted, np.float64), np.asarray(found, np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return float("inf")
    if not finite.any():
        return 0.0
    a, b = a[finite], b[finite]
    span = max(np.ptp(a), _FLAT * np.abs(a).max()) or 1.0
    return float(np.abs(a - b).max() / span)
