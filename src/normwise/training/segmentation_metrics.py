"""Segmentation metrics from a confusion matrix that grows batch by batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.training.metrics import Metrics

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


class SegmentationMetrics:
    """Counts truth against prediction, and turns the counts into metrics.

    The accuracy of a class is one against the rest: (true positives + true negatives) / all valid
    pixels. `accuracy` is the share of pixels whose class is right, `mean_accuracy` the mean of the
    classes' own. For two classes the three are equal; for more, a rare class scores high by the
    pixels that are rightly not it.

    A class that is in neither truth nor prediction has no metric: they are NaN and left out of
    the means. The mean image IoU is the IoU of each image, averaged over images: of the foreground
    for two classes (an image without any is left out), of the mean over classes for more.

    Args:
        classes: The names of the classes, in the order of their ids.

    Example:
        ```python
        seen = SegmentationMetrics(["land", "water"])
        seen.update(truth, predicted, weight, image="tile-1")
        seen.result().values["iou"]
        ```
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._images: dict[str, Counts] = {}

    def update(
        self,
        truth: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        weight: npt.NDArray[Any] | None = None,
        image: str = "",
    ) -> None:
        """Counts pixels.

        Args:
            truth: Class ids, any shape. Ids of ignored pixels may be any.
            predicted: Class ids from 0 to classes - 1, the shape of `truth`.
            weight: 0 for ignored pixels, the shape of `truth`; every other value counts once.
            image: Which image the pixels are from; one image may come in parts.
        """
        size = len(self._classes)
        valid = np.ones(truth.shape, bool) if weight is None else np.asarray(weight) > 0
        pairs = truth[valid].astype(np.int64) * size + predicted[valid]
        self.add(np.bincount(pairs, minlength=size * size).reshape(size, size), image)

    def add(self, counts: Counts, image: str = "") -> None:
        """Adds pixels that are counted already.

        Args:
            counts: Pixels by truth (row) and prediction (column), shape (classes, classes).
            image: Which image they are from.
        """
        size = len(self._classes)
        self._images[image] = self._images.get(image, np.zeros((size, size), np.int64)) + counts

    def result(self) -> Metrics:
        """The metrics of all pixels so far."""
        size = len(self._classes)
        confusion = sum(self._images.values(), np.zeros((size, size), np.int64))
        columns = _per_class(confusion)
        values = {f"mean_{name}": nan_mean(column) for name, column in columns.items()}
        values["mean_image_iou"] = self._mean_image_iou()
        if size == 2:
            values |= {name: float(column[1]) for name, column in columns.items()}
        values["accuracy"] = _ratio(np.trace(confusion), confusion.sum()).item()
        return Metrics(
            task="segmentation",
            values=values,
            per_class={
                name: {key: float(column[index]) for key, column in columns.items()}
                for index, name in enumerate(self._classes)
            },
            pixels=int(confusion.sum()),
            confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        )

    def _mean_image_iou(self) -> float:
        ious = [_per_class(counts)["iou"] for counts in self._images.values()]
        own = [iou[1] if len(self._classes) == 2 else nan_mean(iou) for iou in ious]
        return nan_mean(np.array(own, float))


def _per_class(confusion: Counts) -> dict[str, Numbers]:
    hits, truths, predictions = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    either = truths + predictions - hits
    right = confusion.sum() - either + hits
    return {
        "iou": _ratio(hits, either),
        "dice": _ratio(2 * hits, truths + predictions),
        "precision": _ratio(hits, predictions),
        "recall": _ratio(hits, truths),
        "accuracy": _ratio(right, np.where(either > 0, confusion.sum(), 0)),
    }


def _ratio(part: Counts, whole: Counts) -> Numbers:
    undefined = np.full(np.shape(whole), np.nan)
    ratio: Numbers = np.divide(part, whole, out=undefined, where=whole > 0)
    return ratio


def nan_mean(values: Numbers) -> float:
    """The mean of the numbers that are defined; NaN without any, and without NumPy's warning."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
