"""Whether every variant can be trained and compared, before any time is spent on one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import keras
import numpy as np

from normwise.comparison.measuring import images_of
from normwise.comparison.running import split_of
from normwise.data.dataset import Dataset
from normwise.data.statistics import ChannelStatistics
from normwise.errors import NetworkError, PlanError, RecipeError
from normwise.keras_format.stride import strides_of
from normwise.training.network import build_network
from normwise.training.preparing import opened
from normwise.training.recipe import Recipe
from normwise.training.resolve import resolve


def refuse_impossible(recipes: Mapping[str, Recipe], dataset: Dataset) -> None:
    """Builds the network of every variant and checks its recipe against the data.

    Args:
        recipes: A recipe for each variant's name.
        dataset: The data.

    Raises:
        PlanError: A plan that can't hold in the network; the variant is named.
        RecipeError: A setting that doesn't suit the data or the network, likewise.
        NetworkError: A network that can't be built, likewise.
    """
    zeros = np.zeros(dataset.channels)
    some = ChannelStatistics(zeros, zeros + 1, zeros - 1, zeros + 1, zeros.astype(np.int64) + 1)
    for name, recipe in recipes.items():
        try:
            network: keras.Model = build_network(
                recipe, dataset.channels, 1, some, dataset.dimensions
            )
            resolve(recipe, dataset, strides_of(network))
        except (PlanError, RecipeError, NetworkError) as error:
            raise type(error)(f"the variant “{name}” can't be trained: {error}") from None


def refuse_other_images(recipes: Mapping[str, Recipe], dataset: Dataset) -> None:
    """Refuses variants that would be measured on other images or labels than the first.

    For one seed and fold `data.validation` alone decides which images validate; where there are
    test images, all are measured on those.

    Args:
        recipes: A recipe for each variant's name, all of one seed and fold.
        dataset: The data of the first.

    Raises:
        RecipeError: If there is such a variant.
    """
    (first, recipe), *others = recipes.items()
    same = _Measured.of(recipe, dataset)
    seen = {_chosen(recipe): same}
    for name, other in others:
        chosen = _chosen(other)
        if chosen not in seen:
            seen[chosen] = _Measured.of(other, opened(other))
        if seen[chosen] != same:
            images = seen[chosen].images != same.images
            mend = (
                " Give the data test images (the split `test` in split.csv): all are measured on "
                "those then."
            )
            raise RecipeError(
                f"“{first}” and “{name}” would be measured on different "
                f"{'images' if images else 'labels'}, so that their difference would not be one "
                f"of the variants alone.{mend if images else ''}"
            )


@dataclass(frozen=True)
class _Measured:
    """What a metric is measured on: images, the task, the channels of the labels."""

    images: str
    task: str
    targets: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset) -> Self:
        images = images_of(dataset, split_of(recipe, dataset)).key
        return cls(images, dataset.task, dataset.target_names)


def _chosen(recipe: Recipe) -> tuple[object, ...]:
    """The settings that decide on it."""
    data = recipe.data
    return data.validation, data.labels, tuple(data.targets or ())
