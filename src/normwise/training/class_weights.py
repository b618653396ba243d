"""One weight for each class, from what a recipe says and how often the classes stand in masks."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from normwise.data.dataset import Dataset
from normwise.data.statistics import class_counts

_DIGITS = 6


def balanced_weights(counts: npt.NDArray[Any]) -> tuple[float, ...]:
    """Weights under which every class that occurs has the same total weight.

    Their mean over pixels is 1. A class that never occurs has weight 1.

    Args:
        counts: Pixels of each class, shape (classes,).
    """
    present = int((counts > 0).sum())
    total = int(counts.sum())
    return tuple(
        # Rounded, so that a recipe's text gives the very same number.
        float(f"{total / (present * count):.{_DIGITS}g}") if count else 1.0
        for count in counts.tolist()
    )


def resolved_class_weights(setting: Any, dataset: Dataset) -> tuple[float, ...] | None:
    """The weights of a data set's classes in their order, None for a loss without.

    Args:
        setting: None, `balanced`, a number for each class, or a mapping from class names; a class
            that a mapping leaves out has weight 1.
        dataset: The data set; `balanced` counts its training masks.
    """
    if setting is None:
        return None
    if setting == "balanced":
        return balanced_weights(class_counts(dataset, "train"))
    if isinstance(setting, Mapping):
        return tuple(float(setting.get(name, 1.0)) for name in dataset.classes)
    return tuple(float(weight) for weight in setting)
