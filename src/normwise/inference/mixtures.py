"""The mean of several predictions of the same pixels, or the mixture of their distributions."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def combined(predictions: Iterable[Values], mean_and_std: bool = False) -> Values:
    """The mean of several predictions, such as those of an ensemble's members.

    Where the outputs are a mean and a standard deviation for each target, it is the mixture of
    the normal distributions with equal weights (Lakshminarayanan et al. 2017, arXiv:1612.01474):
    its variance is the mean of the variances and the variance of the means.

    Args:
        predictions: Arrays of one shape (..., outputs), used one after the other.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Returns:
        The shape of each; float32. A single one is returned as it is.
    """
    rest = iter(predictions)
    first = next(rest)
    total, squares, count = np.asarray(first, np.float64), _squares(first, mean_and_std), 1
    for prediction in rest:
        total, count = total + prediction, count + 1
        squares = squares + _squares(prediction, mean_and_std)
    if count == 1:
        return first
    result = total / count
    if mean_and_std:
        variance = squares / count - result[..., 0::2] ** 2
        result[..., 1::2] = np.sqrt(np.maximum(variance, 0))
    return np.asarray(result, np.float32)


def _squares(prediction: Values, mean_and_std: bool) -> Any:
    """The mean square of each normal distribution: of mean and deviation."""
    if not mean_and_std:
        return 0.0
    values = np.asarray(prediction, np.float64)
    return values[..., 0::2] ** 2 + values[..., 1::2] ** 2
