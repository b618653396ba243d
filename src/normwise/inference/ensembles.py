"""What several models say together about the same pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def combined(predictions: Sequence[Values], mean_and_std: bool = False) -> Values:
    """The prediction of an ensemble: the mean of its members.

    Where the outputs are a mean and a standard deviation for each target, the ensemble is the
    mixture of its members' normal distributions with equal weights (Lakshminarayanan et al. 2017,
    arXiv:1612.01474): its variance is the mean of the variances and the variance of the means.

    Args:
        predictions: One array for each member, all of one shape (..., outputs).
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Returns:
        The shape of each; float32. A single member is returned as it is.
    """
    if len(predictions) == 1:
        return predictions[0]
    stacked = np.stack([np.asarray(p, np.float64) for p in predictions])
    result = stacked.mean(axis=0)
    if mean_and_std:
        mean, std = stacked[..., 0::2], stacked[..., 1::2]
        result[..., 1::2] = np.sqrt(np.mean(std**2, axis=0) + np.var(mean, axis=0))
    return np.asarray(result, np.float32)
