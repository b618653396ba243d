"""The sampling that a recipe asks for, and what the network saw of each class under it."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.data.class_sampling import Sampling, class_positions
from normwise.data.dataset import Dataset
from normwise.training.recipe import Recipe


def sampling_of(recipe: Recipe, dataset: Dataset) -> Sampling | None:
    """The sampling of a resolved recipe, None for patches from anywhere.

    Raises:
        DataError: If rare classes are asked for, and there are none.
    """
    setting = recipe.data.sampling
    if setting in (None, "uniform"):
        return None
    index = class_positions(dataset, "train", recipe.training.seed)
    if isinstance(setting, float):
        return Sampling.rare(index, setting)
    return Sampling.balanced(index)


@dataclass
class SeenClasses:
    """Counts the pixels of each class in training patches; safe to use from several threads.

    Args:
        dataset: Data with masks.
        sampling: How the patches are placed.
    """

    dataset: Dataset
    sampling: Sampling
    _counts: npt.NDArray[np.int64] = field(init=False)
    _lock: Any = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        self._counts = np.zeros(len(self.dataset.classes), np.int64)

    def add(self, labels: npt.NDArray[Any], weights: npt.NDArray[Any]) -> None:
        """Adds the labelled pixels of a batch."""
        found = np.bincount(labels[weights > 0], minlength=len(self._counts))
        with self._lock:
            self._counts += found

    def describe(self) -> str:
        """What was sampled, with each class's share in the data and in the patches so far."""
        stored, seen = self.sampling.index.counts, self._counts
        names = self.dataset.classes
        centres = ", ".join(names[index] for index in self.sampling.classes)
        shares = ", ".join(
            f"{name} {_percent(own, stored)} of the data, {_percent(found, seen)} of the patches"
            for name, own, found in zip(names, stored, seen, strict=True)
        )
        return f"sampling: {self.sampling.share:.0%} of patches centred on {centres}; {shares}"


def _percent(part: int, whole: npt.NDArray[np.int64]) -> str:
    return f"{100 * part / max(int(whole.sum()), 1):.3g} %"
