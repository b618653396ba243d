"""The result of an evaluation: numbers over all pixels, and for each class or channel."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from normwise.json_files import json_text, numbers
from normwise.training.distribution import SINGLE, Distribution

LOWER_IS_BETTER: Final = frozenset({"mae", "rmse", "pinball", "nll", "loss"})
OF_THE_FOREGROUND: Final = frozenset({"iou", "dice", "precision", "recall", "mean_image_iou"})
"""Metrics of two classes that say nothing where no label is of the second."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of a model on data.

    Args:
        task: `segmentation` or `regression`.
        values: Numbers over all classes or channels, by name. NaN where undefined.
        per_class: For each class or channel the numbers of its own, by name.
        pixels: How many pixels counted.
        confusion: Pixels by truth (row) and prediction (column); empty for a regression.
    """

    task: str
    values: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    pixels: int
    confusion: tuple[tuple[int, ...], ...] = field(default=(), repr=False)

    def table(self) -> tuple[tuple[str, ...], ...]:
        """Rows of text: a head, a row for each class or channel, and the means."""
        columns = list(next(iter(self.per_class.values()), {}))
        head = ("class" if self.task == "segmentation" else "channel", *columns)
        rows = [
            (name, *(_text(own[column]) for column in columns))
            for name, own in self.per_class.items()
        ]
        return (head, *rows, ("mean", *(_text(self._mean(column)) for column in columns)))

    def to_dict(self) -> dict[str, Any]:
        """The metrics for JSON."""
        content: dict[str, Any] = {
            "task": self.task,
            "pixels": self.pixels,
            "values": dict(self.values),
            "per_class": {name: dict(own) for name, own in self.per_class.items()},
        }
        if self.confusion:
            content["confusion"] = self.confusion
        return content

    def to_json(self) -> str:
        """The metrics as JSON; undefined numbers are null, as JSON has no NaN."""
        return json_text(self.to_dict())

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` told, read from JSON."""
        return cls(
            task=content["task"],
            values=_numbers(content["values"]),
            per_class={name: _numbers(own) for name, own in content["per_class"].items()},
            pixels=content["pixels"],
            confusion=tuple(tuple(row) for row in content.get("confusion", ())),
        )

    def _mean(self, column: str) -> float:
        return self.values.get(f"mean_{column}", self.values.get(column, math.nan))


def default_metric(task: str, classes: int) -> str:
    """The metric that chooses the best epoch unless the recipe names one.

    The foreground's IoU for two classes, the mean IoU for more, and for a regression R2, which
    can be averaged over channels of unlike units.
    """
    if task == "regression":
        return "r2"
    return "iou" if classes == 2 else "mean_iou"


def metric_names(task: str, classes: int, distribution: Distribution = SINGLE) -> tuple[str, ...]:
    """The names in `Metrics.values` of a task that can choose an epoch.

    The bias is no such one: neither the highest nor the lowest is the best.
    """
    if task == "regression":
        further = ("nll",) if distribution.gaussian else ("pinball",)
        return (
            "mae", "rmse", "r2", "correlation", *(() if distribution.single else further)
        )  # fmt: skip
    means = ("mean_iou", "mean_dice", "mean_precision", "mean_recall", "mean_accuracy")
    foreground = ("iou", "dice", "precision", "recall") if classes == 2 else ()
    return (*foreground, "accuracy", *means, "mean_image_iou")


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether `value` is a better `metric` than `best`; any number is better than none."""
    if best is None or math.isnan(best):
        return True
    return value < best if metric in LOWER_IS_BETTER else value > best


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers(values).items()}
