"""The mean of several predictions of the same pixels, or the mixture of their distributions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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


def mixed(
    members: Iterable[Iterable[Values]], mean_and_std: bool = False, spread: bool = False
) -> Values:
    """The prediction of an ensemble, each member's the mean of its views of an image.

    Args:
        members: For each the predictions of its views, shape (..., outputs); used one by one.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.
        spread: Whether the standard deviation between the predictions follows as further
            channels, one for each output, or for each mean: that of all predictions (not of a
            sample of them), members weighing the same. Its square is the mean of the members'
            variances between views and the variance between the members' means.

    Returns:
        Shape (..., outputs), with `spread` (..., outputs and deviations); float32.
    """
    if not spread:
        return combined((combined(views, mean_and_std) for views in members), mean_and_std)
    between, within = Moments(), []

    def each() -> Iterator[Values]:
        for views in members:
            own = Moments()
            yield combined(own.passing(views), mean_and_std)
            between.add(own.mean)
            within.append(own.variance)

    values = combined(each(), mean_and_std)
    variance = between.variance + sum(within) / len(within)
    if mean_and_std:
        variance = variance[..., 0::2]
    deviation = np.sqrt(variance).astype(np.float32)
    return np.concatenate([np.asarray(values, np.float32), deviation], axis=-1)


def deviations(outputs: int, mean_and_std: bool) -> int:
    """How many channels `mixed` adds with `spread`: one for each output, or for each mean."""
    return outputs // 2 if mean_and_std else outputs


@dataclass
class Moments:
    """Mean and variance of arrays that come one after the other (Welford 1962).

    Attributes:
        count: How many came.
        mean: Of them.
        squares: Sum of the squared deviations from it.
    """

    count: int = 0
    mean: Any = 0.0
    squares: Any = 0.0

    @property
    def variance(self) -> Any:
        """Of those that came."""
        return self.squares / self.count

    def add(self, values: Any) -> None:
        """One more."""
        exact = np.asarray(values, np.float64)
        self.count += 1
        step = exact - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (exact - self.mean)

    def passing(self, each: Iterable[Values]) -> Iterator[Values]:
        """The same arrays, after they are added."""
        for values in each:
            self.add(values)
            yield values


def _squares(prediction: Values, mean_and_std: bool) -> Any:
    """The mean square of each normal distribution: of mean and deviation."""
    if not mean_and_std:
        return 0.0
    values = np.asarray(prediction, np.float64)
    return values[..., 0::2] ** 2 + values[..., 1::2] ** 2
