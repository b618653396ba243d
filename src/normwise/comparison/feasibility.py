"""Whether every variant can be trained at all, before any time is spent on one."""

from collections.abc import Mapping

import keras
import numpy as np

from normwise.data.dataset import Dataset
from normwise.data.statistics import ChannelStatistics
from normwise.errors import NetworkError, PlanError, RecipeError
from normwise.networks.stride import strides_of
from normwise.training.network import build_network
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
