"""The loss of a recipe as one function, and as Keras takes it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from normwise.training.losses import regression, segmentation
from normwise.training.losses.expression import parse_loss
from normwise.training.losses.reductions import Tensor
from normwise.training.training_settings import TrainingSettings

PixelLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Truth, linear output and weight to a scalar; `losses.segmentation` and `losses.regression` say
which shapes they have."""


def loss_of(training: TrainingSettings) -> PixelLoss:
    """The loss that a recipe names, with its options and class weights.

    Args:
        training: Resolved settings: the loss is named, class weights are numbers.

    Returns:
        A function of truth, linear output and weight.
    """
    made = [(term.factor, _loss(term.name, training)) for term in parse_loss(str(training.loss))]

    def total(truth: Tensor, linear: Tensor, weight: Tensor) -> Tensor:
        parts = [factor * loss(truth, linear, weight) for factor, loss in made]
        return sum(parts[1:], parts[0])

    return total


def _loss(name: str, training: TrainingSettings) -> PixelLoss:
    options, weights = training.loss_options, training.class_weights
    if not (weights is None or isinstance(weights, tuple)):
        raise ValueError(f"class weights are not resolved: {weights!r}; resolve the recipe first.")
    losses: dict[str, Callable[..., Any]] = {
        "cross-entropy": partial(
            segmentation.cross_entropy, class_weights=weights, smoothing=options.label_smoothing
        ),
        "dice": partial(segmentation.dice, class_weights=weights),
        "focal": partial(segmentation.focal, class_weights=weights, gamma=options.focal_gamma),
        "tversky": partial(
            segmentation.tversky,
            class_weights=weights,
            alpha=options.tversky_alpha,
            beta=options.tversky_beta,
        ),
        "mean-squared": regression.mean_squared,
        "mean-absolute": regression.mean_absolute,
        "huber": partial(regression.huber, delta=options.huber_delta),
        "log-cosh": regression.log_cosh,
        "quantile": partial(regression.quantile, quantiles=options.quantiles),
        "gaussian": regression.gaussian,
    }
    return losses[name]


class WeightedLoss(keras.losses.Loss):  # type: ignore[misc]
    """A loss over pixels for `model.compile`.

    Keras' own `Loss.__call__` averages a value for each pixel, and divides by the number of
    pixels whatever their weights; these losses bring their own mean.
    """

    def __init__(self, loss: PixelLoss, name: str = "loss") -> None:
        super().__init__(name=name)
        self._loss = loss

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """The loss of a batch, a scalar; without weights every pixel counts."""
        predicted = ops.cast(y_pred, "float32")
        if sample_weight is None:
            sample_weight = ops.ones(ops.shape(y_true), "float32")
        return self._loss(y_true, predicted, sample_weight)
