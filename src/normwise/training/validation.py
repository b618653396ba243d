"""What the validation images say after each epoch, from tiles of one fixed shape."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import numpy as np

from normwise.training.distribution_metrics import DistributionMetrics
from normwise.training.loading import Array
from normwise.training.losses.composition import PixelLoss
from normwise.training.metrics import OF_THE_FOREGROUND, Metrics
from normwise.training.output import Output
from normwise.training.regression_metrics import RegressionMetrics
from normwise.training.segmentation_metrics import SegmentationMetrics

AnyMetrics = SegmentationMetrics | RegressionMetrics | DistributionMetrics
Tile = tuple[str, Array, Array, Array]
"""The name of the image, pixels, labels and weights."""


@dataclass(frozen=True)
class Validation:
    """Measures a model in training on tiles.

    Args:
        tiles: Gives the tiles anew on each call, all of one shape.
        output: What the linear output of the model means.
        loss: The training loss.
        batch_size: Tiles that are predicted at once; the last batch is filled up with copies, as
            another shape would be compiled anew.
    """

    tiles: Callable[[], Iterable[Tile]]
    output: Output
    loss: PixelLoss
    batch_size: int

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """The loss and the metrics of a model with linear output, in the target's units.

        Metrics of a foreground that no label has are no number.
        """
        metrics = metrics_for(self.output)
        losses: list[tuple[float, float]] = []
        for batch in _batches(self.tiles(), self.batch_size):
            linear = self._predicted(model, batch)
            losses.append(self._loss(batch, linear))
            decoded = self.output.decoded(linear)
            for (name, _, truth, weight), predicted in zip(batch, decoded, strict=True):
                measure(metrics, truth, predicted, weight, name)
        result: Metrics = metrics.result()
        return {"loss": _mean(losses), **_telling(result)}

    def _predicted(self, model: keras.Model, batch: list[Tile]) -> Any:
        images = [tile[1] for tile in batch]
        filled = images + images[:1] * (self.batch_size - len(images))
        linear = model.predict_on_batch(np.stack(filled).astype(np.float32))
        if isinstance(linear, list):
            linear = linear[0]  # the others are heads of deep supervision
        return np.asarray(linear, np.float32)[: len(images)]

    def _loss(self, batch: list[Tile], linear: Any) -> tuple[float, float]:
        truth = self.output.scaled(np.stack([tile[2] for tile in batch]))
        weight = np.stack([tile[3] for tile in batch]).astype(np.float32)
        arguments = map(keras.ops.convert_to_tensor, (truth, linear, weight))
        loss = keras.ops.convert_to_numpy(self.loss(*arguments))
        return float(loss), float(weight.sum(dtype=np.float64))


def _telling(found: Metrics) -> dict[str, float]:
    """The metrics, but no number where there is nothing to find.

    Without foreground in the labels a single false pixel makes its IoU 0, and none at all leaves it
    undefined: the wrong epochs would be the only ones with a number.
    """
    values = dict(found.values)
    if len(found.confusion) == 2 and not sum(found.confusion[1]):
        values |= dict.fromkeys(OF_THE_FOREGROUND & values.keys(), float("nan"))
    return values


def metrics_for(output: Output) -> AnyMetrics:
    """Empty metrics of an output's task, classes and channels."""
    if output.task == "segmentation":
        return SegmentationMetrics(output.names)
    if output.distribution.single:
        return RegressionMetrics(output.names)
    return DistributionMetrics(output.names, output.distribution)


def measure(
    metrics: AnyMetrics,
    truth: Array,
    predicted: Any,
    weight: Array,
    image: str,
) -> None:
    """Adds the pixels of one image, or of a part of it, to metrics of any kind."""
    if isinstance(metrics, SegmentationMetrics):
        metrics.update(truth, predicted, weight, image)
    else:
        metrics.update(truth, predicted, weight)


def _batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    rest = iter(tiles)
    while batch := list(islice(rest, size)):
        yield batch


def _mean(losses: list[tuple[float, float]]) -> float:
    total = sum(weight for _, weight in losses)
    return sum(loss * weight for loss, weight in losses if weight) / total if total else 0.0
