"""Settings that can't go together, said before anything is measured or written."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from normwise.data.dataset import Dataset
from normwise.data.statistics import ChannelStatistics
from normwise.errors import NetworkError, PlanError, RecipeError
from normwise.keras_format.stride import strides_of
from normwise.networks import options_of
from normwise.training.configure.implied import has_several_outputs, implied_loss, needs
from normwise.training.configure.situation import Chosen
from normwise.training.configure.structure import (
    depth_told,
    has_free_depth,
    least_depth,
    network_for,
    own_options,
    stride_told,
)
from normwise.training.deep_supervision import head_sizes
from normwise.training.evaluate import output_of
from normwise.training.loss_settings import distribution_of
from normwise.training.losses.expression import DEFAULTS, task_of
from normwise.training.network import build_network
from normwise.training.recipe import Recipe
from normwise.training.recipe_problems import join_problems
from normwise.training.residual import check_residual
from normwise.training.resolve import resolve
from normwise.training.sampling import sampling_of
from normwise.training.scaling import scaling_of

_RELATED: Final = ("network.", "norm", "data.patch", "data.sampling", "data.percentiles")


def refuse_conflicts(told: Recipe, values: Chosen, dataset: Dataset) -> None:
    """Refuses what is told where no choice could reconcile it.

    Args:
        told: The recipe with what is told.
        values: The same by dotted key.
        dataset: The data.

    Raises:
        RecipeError: With every conflict, each with the keys of both sides.
    """
    problems = [
        *_of_network(values),
        *_of_loss(values, dataset.task),
        *_of_residual(values, dataset.task),
    ]
    if problems:
        raise RecipeError(join_problems("What is set", problems))
    loss = told.training.loss or implied_loss(values, dataset.task) or DEFAULTS[dataset.task]
    training = told.training.model_copy(update={"loss": loss})
    resolve(told.model_copy(update={"training": training}), dataset, (1,) * dataset.dimensions)


def refuse_untrainable(recipe: Recipe, dataset: Dataset, values: Chosen) -> None:
    """Refuses a recipe that `train` would refuse, by the checks of `train` itself.

    Args:
        recipe: The recipe with every choice.
        dataset: The data.
        values: What is told, by dotted key.

    Raises:
        RecipeError: With the settings that are told and what is wrong with them.
        DataError: If rare classes are to be sampled, and there are none.
    """
    loss = recipe.training.loss or DEFAULTS[dataset.task]
    output = output_of(dataset, distribution_of(loss, recipe.training.loss_options))
    try:
        scaling_of(recipe.data)
        network = build_network(
            recipe, dataset.channels, output.channels, _standard(dataset), dataset.dimensions
        )
        resolved = resolve(recipe, dataset, strides_of(network))
        if recipe.network.input_residual:
            check_residual(network, output, dataset.outputs)
        if len(network.outputs) > 1:
            head_sizes(network, resolved.data.patch or ())
    except (NetworkError, PlanError, RecipeError) as error:
        raise impossible(error, values) from error
    sampling_of(resolved, dataset)


def impossible(error: Exception, values: Chosen) -> RecipeError:
    """An error of a network or plan, with what was told that led there."""
    told = [f"{key}={value}" for key, value in values.items() if key.startswith(_RELATED)]
    return RecipeError(f"{', '.join(told)} can't be trained: {error}" if told else str(error))


def _standard(dataset: Dataset) -> ChannelStatistics:
    zeros, ones = np.zeros(dataset.channels), np.ones(dataset.channels)
    return ChannelStatistics(zeros, ones, -ones, ones, np.ones(dataset.channels, np.int64))


def _of_network(values: Chosen) -> Iterator[str]:
    options = own_options(values)
    name = values.get("network.name") or network_for(values)
    if name is None:
        keys = [f"network.{option}" for option in options]
        keys += ["network.depth"] if "network.depth" in values else []
        yield f"{' and '.join(keys)}: no network has all of them."
        return
    unknown = [option for option in options if option not in options_of(name)]
    if "network.depth" in values and "depth" not in options_of(name):
        unknown.append("depth")
    for option in unknown:
        yield (
            f"network.{option} and network.name: {name} has no such option; it takes "
            f"{', '.join(options_of(name))}."
        )
    if not unknown:
        yield from _of_depth({**values, "network.name": name})


def _of_depth(values: Chosen) -> Iterator[str]:
    told, least = depth_told(values), least_depth(values)
    for key in ("network.filters", "network.blocks"):
        levels = values.get(key)
        if told and isinstance(levels, (list, tuple)) and len(levels) != told[1] + 1:
            yield (
                f"{key} and {told[0]}: {len(levels)} numbers for the {told[1] + 1} levels of depth "
                f"{told[1]}."
            )
    if told and has_free_depth(values["network.name"]) and told[1] < least:
        yield f"network.deep_supervision and {told[0]}: it needs a depth of {least} or more."
    try:
        key, stride = stride_told(values)
    except NetworkError as error:
        raise impossible(error, values) from error
    patch = values.get("data.patch")
    sides = [patch] if isinstance(patch, int) else list(patch or ())
    if any(side % stride for side in sides):
        fitting = [max(1, round(side / stride)) * stride for side in sides]
        yield (
            f"data.patch and {key}: received {sides}; expected multiples of {stride} pixels, the "
            f"total stride of {values['network.name']} as it is set, for example {fitting}."
        )


def _of_loss(values: Chosen, task: str) -> Iterator[str]:
    """Settings of values that ask for different losses, none of which can be added to another."""
    if task == "segmentation" or "training.loss" in values:
        return
    wanted = [(key, loss) for key, loss in needs(values).items() if task_of(loss) == task]
    for key, loss in wanted[1:]:
        first, other = wanted[0]
        if loss != other:
            yield f"{first} and {key}: the loss is {other} for the one and {loss} for the other."


def _of_residual(values: Chosen, task: str) -> Iterator[str]:
    if values.get("network.input_residual") is not True:
        return
    if task == "segmentation":
        yield "network.input_residual and data.labels: classes are no values to add to."
    if values.get("network.deep_supervision") is True:
        yield "network.input_residual and network.deep_supervision: it is for a single head."
    asked: dict[str, Any] = {"training.loss": values.get("training.loss"), **needs(values)}
    for key, loss in asked.items():
        if has_several_outputs(loss, values):
            yield f"network.input_residual and {key}: {loss} has several outputs for each target."
