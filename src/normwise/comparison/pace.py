"""How many steps a comparison can make in a given time."""

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import keras
import numpy as np

from normwise.comparison.halving import epochs_trained
from normwise.data.dataset import Dataset
from normwise.data.statistics import ChannelStatistics
from normwise.errors import RecipeError
from normwise.keras_format.stride import strides_of
from normwise.training.configure.cost import step_seconds
from normwise.training.configure.network import PLANNED
from normwise.training.evaluate import output_of
from normwise.training.network import build_network
from normwise.training.recipe import Recipe
from normwise.training.resolve import resolve


def steps_for(
    budget: float, recipes: Mapping[str, Recipe], dataset: Dataset, blocks: int, epochs: int
) -> int:
    """Training steps of the full length, with which a comparison by halving takes about so long.

    Args:
        budget: Seconds for everything; 30 % of them are left for validation, evaluation, building
            and the machine's other work.
        recipes: A recipe for each variant's name.
        dataset: The data.
        blocks: Trials of each variant.
        epochs: How many epochs the steps are divided into.

    Raises:
        RecipeError: If that time is too short for one step an epoch.
    """
    started = time.perf_counter()
    seconds = fmean(_seconds(recipe, dataset) for recipe in recipes.values())
    usable = PLANNED * budget - (time.perf_counter() - started)
    each = epochs_trained(len(recipes), epochs) / epochs
    steps = int(usable / (seconds * blocks * each))
    if steps < epochs:
        least = epochs * seconds * blocks * each + time.perf_counter() - started
        raise RecipeError(
            f"the budget of {budget:g} s is too short: {len(recipes)} variants with {blocks} "
            f"trial(s) each, at {seconds:.3g} s a step, need {least / PLANNED:.0f} s for a single "
            "step an epoch. Give more time, fewer plans or seeds, or a smaller network."
        )
    return steps // epochs * epochs


def _seconds(recipe: Recipe, dataset: Dataset) -> float:
    """What a step of a variant takes, by its network on noise."""
    zeros = np.zeros(dataset.channels)
    some = ChannelStatistics(zeros, zeros + 1, zeros - 1, zeros + 1, zeros.astype(np.int64) + 1)
    outputs: Any = output_of(dataset).channels
    network: keras.Model = build_network(
        recipe, dataset.channels, outputs, some, dataset.dimensions
    )
    patch = resolve(recipe, dataset, strides_of(network)).data.patch
    assert patch is not None
    sides = patch * (dataset.dimensions if len(patch) == 1 else 1)
    return step_seconds(network, (recipe.training.batch_size, *sides, dataset.channels))
