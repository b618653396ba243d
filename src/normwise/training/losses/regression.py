"""Losses of values, on outputs in standard deviations of the target, with a weight for each value.

All divide by the sum of weights, so that ignored values (weight 0, NaN too) change nothing.

Shapes: `truth` and `weight` are (batch, *space, targets), with any number of spatial axes; so is
`predicted` but for `quantile` and `gaussian`, which have several outputs for each target, those
of the first target first.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from keras import ops

from normwise.training.losses.reductions import Tensor, valid, weighted_mean

LARGEST_LOG_VARIANCE: Final = 14.0
"""Bound of a predicted log variance: standard deviations from 1/1000 to 1000 of the target's."""

_LOG_2: Final = float(np.log(2.0))
_LOG_2_PI: Final = float(np.log(2.0 * np.pi))


def mean_squared(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error; all arguments float32 of one shape."""
    return weighted_mean(ops.square(predicted - valid(truth, weight)), weight)


def mean_absolute(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error; all arguments float32 of one shape."""
    return weighted_mean(ops.abs(predicted - valid(truth, weight)), weight)


def huber(truth: Tensor, predicted: Tensor, weight: Tensor, delta: float = 1.0) -> Tensor:
    """Huber loss: half the square of errors up to `delta`, growing like them beyond.

    Args:
        truth: float32.
        predicted: float32, the shape of `truth`.
        weight: float32, likewise; 0 for ignored values.
        delta: In standard deviations of the target.
    """
    error = ops.abs(predicted - valid(truth, weight))
    near = ops.minimum(error, delta)
    return weighted_mean(near * (error - 0.5 * near), weight)


def log_cosh(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean log(cosh(error)): half the square of small errors, the size of large ones."""
    error = predicted - valid(truth, weight)
    # cosh itself overflows at 89.
    each = error + ops.softplus(-2.0 * error) - _LOG_2
    return weighted_mean(each, weight)


def quantile(
    truth: Tensor, predicted: Tensor, weight: Tensor, quantiles: Sequence[float]
) -> Tensor:
    """Mean pinball loss of several quantiles (Koenker & Bassett 1978, Regression Quantiles).

    Args:
        truth: float32, shape (batch, *space, targets).
        predicted: float32, shape (batch, *space, targets x quantiles).
        weight: float32, the shape of `truth`.
        quantiles: Numbers between 0 and 1.
    """
    truth = ops.expand_dims(valid(truth, weight), -1)
    error = truth - _each_target(predicted, len(quantiles))
    levels = ops.convert_to_tensor(list(quantiles), error.dtype)
    each = ops.maximum(levels * error, (levels - 1.0) * error)
    return weighted_mean(ops.mean(each, axis=-1), weight)


def gaussian(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean negative log-likelihood of a normal distribution (Nix & Weigend 1994).

    Args:
        truth: float32, shape (batch, *space, targets).
        predicted: float32, shape (batch, *space, 2 x targets): mean and log variance of each
            target, the latter softly bounded: s stands for L tanh(s / L), L = 14.
        weight: float32, the shape of `truth`.

    Returns:
        A scalar in nats, of a target in standard deviations.
    """
    pairs = _each_target(predicted, 2)
    log_variance = LARGEST_LOG_VARIANCE * ops.tanh(pairs[..., 1] / LARGEST_LOG_VARIANCE)
    error = pairs[..., 0] - valid(truth, weight)
    each = log_variance + ops.square(error) * ops.exp(-log_variance) + _LOG_2_PI
    return weighted_mean(0.5 * each, weight)


def _each_target(predicted: Tensor, count: int) -> Tensor:
    targets = predicted.shape[-1] // count
    return ops.reshape(predicted, (*ops.shape(predicted)[:-1], targets, count))
