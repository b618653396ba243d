"""What the simplest answer of all would reach: the same for every pixel.

A metric says little by itself: an IoU of 0.9 is nothing where nine tenths of all pixels are
foreground.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.training.metrics import Metrics, is_better
from normwise.training.output import Output
from normwise.training.segmentation_metrics import SegmentationMetrics
from normwise.training.validation import measure, metrics_for

Array = npt.NDArray[Any]

_MEAN: Final = "the mean of the training targets everywhere"
_LAW: Final = "the normal law of the training targets everywhere"


@dataclass(frozen=True)
class Constant:
    """An answer that is the same for every pixel.

    Attributes:
        name: In words.
        values: A class id, or the outputs of a regression in the targets' units.
    """

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Floor:
    """A constant answer and what it reaches."""

    constant: Constant
    metrics: Metrics


def constants_of(output: Output) -> tuple[Constant, ...]:
    """Every class; of a regression the mean of the training targets, or what their normal law says.

    Args:
        output: What a run's output means, with the mean and deviation of its training targets.
    """
    if output.task == "segmentation":
        return tuple(Constant(f"{name} everywhere", (k,)) for k, name in enumerate(output.names))
    distribution, values = output.distribution, list[float]()
    for mean, std in zip(output.mean, output.std, strict=True):
        if distribution.gaussian:
            values += [mean, std]
        elif distribution.quantiles:
            law = statistics.NormalDist(mean, std)
            values += [law.inv_cdf(level) for level in distribution.quantiles]
        else:
            values.append(mean)
    return (Constant(_MEAN if distribution.single else _LAW, tuple(values)),)


class Floors:
    """Measures constant answers on images.

    Args:
        output: What outputs mean: classes, or targets with their distribution.
        constants: The answers.
    """

    def __init__(self, output: Output, constants: Sequence[Constant]) -> None:
        self._output, self._constants = output, tuple(constants)
        self._measured = [metrics_for(output) for _ in self._constants]

    def add(self, truth: Array, weight: Array, image: str) -> None:
        """Adds the pixels of an image.

        Args:
            truth: Class ids, or target values of shape (..., targets).
            weight: 0 where there is no label; the shape of `truth`.
            image: Its name.
        """
        if self._output.task == "segmentation":
            self._add_classes(truth, weight, image)
            return
        for constant, metrics in zip(self._constants, self._measured, strict=True):
            values = np.array(constant.values, np.float32)
            predicted = np.broadcast_to(values, (*truth.shape[:-1], len(values)))
            measure(metrics, truth, predicted, weight, image)

    def _add_classes(self, truth: Array, weight: Array, image: str) -> None:
        """Counts the truth once: what a constant answer makes of it needs no pixels."""
        size = len(self._output.names)
        counts = np.bincount(truth[np.asarray(weight) > 0].ravel(), minlength=size)
        for constant, metrics in zip(self._constants, self._measured, strict=True):
            table = np.zeros((size, size), np.int64)
            table[:, int(constant.values[0])] = counts
            assert isinstance(metrics, SegmentationMetrics)
            metrics.add(table, image)

    def best(self, metric: str) -> Floor | None:
        """The constant answer that a metric finds best; None without any.

        One whose metric isn't defined, such as the precision of a class that is never named, is no
        better than others.
        """
        best: Floor | None = None
        for constant, measured in zip(self._constants, self._measured, strict=True):
            found = measured.result()
            value = found.values.get(metric, math.nan)
            least = None if best is None else best.metrics.values.get(metric, math.nan)
            if best is None or (math.isfinite(value) and is_better(metric, value, least)):
                best = Floor(constant, found)
        return best
