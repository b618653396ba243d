"""Losses over pixels, on the linear output of a network, with a weight for every pixel.

All are computed from logits, where they are exact for any magnitude: `log(sigmoid(x))` in two
steps gives infinities from x = -104 on. All divide by the sum of weights, so that ignored pixels
(weight 0) change nothing, and a batch that is ignored altogether has loss 0.
"""

from collections.abc import Callable
from typing import Any, Final

import keras
from keras import ops

Tensor = Any
PixelLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

_HUBER_DELTA: Final = 1.0
# In pixels: keeps the Dice of a batch without the class defined, and is nothing beside real areas.
_DICE_SMOOTHING: Final = 1.0


def cross_entropy(truth: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Mean cross-entropy: binary for one output channel, categorical for several.

    Args:
        truth: Class ids, int, shape (batch, rows, columns). Ids of ignored pixels may be any.
        logits: float32, shape (batch, rows, columns, outputs).
        weight: float32, shape of `truth`; 0 for ignored pixels.

    Returns:
        A scalar in nats.
    """
    truth = _valid(ops.cast(truth, "int32"), weight)
    if logits.shape[-1] == 1:
        logit, positive = logits[..., 0], ops.cast(truth, logits.dtype)
        # The stable form of -y log s(x) - (1 - y) log(1 - s(x)).
        each = ops.relu(logit) - logit * positive + ops.log1p(ops.exp(-ops.abs(logit)))
    else:
        chosen = ops.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
        each = -ops.sum(ops.log_softmax(logits, axis=-1) * chosen, axis=-1)
    return _weighted_mean(each, weight)


def dice(truth: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Soft Dice loss over the whole batch: 1 minus the mean Dice of the classes.

    One output channel counts the foreground alone (Milletari et al. 2016, arXiv:1606.04797,
    without the squares); several count every class alike, however rare it is.

    Args:
        truth: Class ids, int, shape (batch, rows, columns).
        logits: float32, shape (batch, rows, columns, outputs).
        weight: float32, shape of `truth`; 0 for ignored pixels.

    Returns:
        A scalar from 0 to 1.
    """
    truth = _valid(ops.cast(truth, "int32"), weight)
    if logits.shape[-1] == 1:
        probability = ops.sigmoid(logits)
        chosen = ops.cast(ops.expand_dims(truth, -1), logits.dtype)
    else:
        probability = ops.softmax(logits, axis=-1)
        chosen = ops.one_hot(truth, logits.shape[-1], dtype=logits.dtype)
    weight = ops.expand_dims(ops.cast(weight, logits.dtype), -1)
    both = ops.sum(weight * probability * chosen, axis=(0, 1, 2))
    total = ops.sum(weight * (probability + chosen), axis=(0, 1, 2))
    return 1.0 - ops.mean((2.0 * both + _DICE_SMOOTHING) / (total + _DICE_SMOOTHING))


def cross_entropy_dice(truth: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice: smooth gradients early, areas that fit late."""
    return cross_entropy(truth, logits, weight) + dice(truth, logits, weight)


def mean_squared(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error; all arguments float32 of shape (batch, rows, columns, channels)."""
    return _weighted_mean(ops.square(predicted - _valid(truth, weight)), weight)


def mean_absolute(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error; all arguments float32 of shape (batch, rows, columns, channels)."""
    return _weighted_mean(ops.abs(predicted - _valid(truth, weight)), weight)


def huber(truth: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Huber loss: squared up to one standard deviation of the target, absolute beyond."""
    error = ops.abs(predicted - _valid(truth, weight))
    near = ops.minimum(error, _HUBER_DELTA)
    return _weighted_mean(near * (error - 0.5 * near), weight)


LOSSES: Final[dict[str, PixelLoss]] = {
    "cross-entropy-dice": cross_entropy_dice,
    "cross-entropy": cross_entropy,
    "dice": dice,
    "mean-squared": mean_squared,
    "mean-absolute": mean_absolute,
    "huber": huber,
}
SEGMENTATION_LOSSES: Final = ("cross-entropy-dice", "cross-entropy", "dice")
REGRESSION_LOSSES: Final = ("mean-squared", "mean-absolute", "huber")


class WeightedLoss(keras.losses.Loss):  # type: ignore[misc]
    """A loss of this file for `model.compile`.

    Keras' own `Loss.__call__` averages a value for each pixel, and divides by the number of
    pixels whatever their weights; these losses bring their own mean.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name.replace("-", "_"))
        self._loss = LOSSES[name]

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """The loss of a batch, a scalar; without weights every pixel counts."""
        predicted = ops.cast(y_pred, "float32")
        if sample_weight is None:
            sample_weight = ops.ones(ops.shape(y_true), "float32")
        return self._loss(y_true, predicted, sample_weight)


def _valid(truth: Tensor, weight: Tensor) -> Tensor:
    # Zero times NaN is NaN, and an ignored class id such as 255 has no channel.
    return ops.where(ops.cast(weight, "float32") > 0, truth, ops.zeros_like(truth))


def _weighted_mean(each: Tensor, weight: Tensor) -> Tensor:
    weight = ops.cast(weight, each.dtype)
    return ops.divide_no_nan(ops.sum(each * weight), ops.sum(weight))
