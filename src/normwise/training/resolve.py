"""From a recipe with gaps to one in which every choice is made."""

import sys
from typing import Final

from normwise.data.dataset import Dataset
from normwise.errors import RecipeError
from normwise.norms.plan import NormPlan, with_standardized_input
from normwise.training.class_weights import resolved_class_weights
from normwise.training.loss_settings import (
    class_weight_problems,
    distribution_of,
    unused_options,
)
from normwise.training.losses.expression import (
    DEFAULTS,
    REGRESSION,
    SEGMENTATION,
    parse_loss,
    task_of,
)
from normwise.training.metrics import default_metric, metric_names
from normwise.training.recipe import Recipe
from normwise.training.recipe_problems import join_problems

_PATCH: Final = 128
_LARGEST: Final = 4
_PLAN: Final = "batch@pre-activation"


def resolve(recipe: Recipe, dataset: Dataset, stride: int) -> Recipe:
    """Makes the choices that the recipe leaves open, and checks those it makes against the data.

    Args:
        recipe: The recipe.
        dataset: Its data.
        stride: The total stride of its network in pixels.

    Returns:
        A recipe with labels, patch, loss and metric, and with a plan that scales its input.

    Raises:
        RecipeError: With every setting that doesn't suit the data or the network.
        PlanError: If the norm plan is none.
    """
    problems = [*_task_problems(recipe, dataset), *_patch_problems(recipe, stride)]
    problems += _size_problems(recipe, dataset)
    if problems:
        raise RecipeError(join_problems("The recipe", problems))
    training, classes = recipe.training, len(dataset.classes)
    segmentation = dataset.task == "segmentation"
    chosen = {
        "loss": training.loss or DEFAULTS[dataset.task],
        "class_weights": resolved_class_weights(training.class_weights, dataset),
        "metric": training.metric or default_metric(dataset.task, classes),
    }
    data = {
        "labels": "masks" if segmentation else "targets",
        "patch": recipe.data.patch or _patch(dataset, stride),
    }
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=data),
            "norm": str(plan_of_recipe(recipe)),
            "training": training.model_copy(update=chosen),
        }
    )


def plan_of_recipe(recipe: Recipe) -> NormPlan:
    """The recipe's plan, or the network's own, with an input that is scaled.

    Raises:
        PlanError: If the text is no plan.
        RecipeError: If there is no such network.
    """
    return with_standardized_input(NormPlan.parse(recipe.norm or _default_plan(recipe)))


def _default_plan(recipe: Recipe) -> str:
    from normwise.networks import NETWORKS  # noqa: PLC0415 - loads a backend

    builder = NETWORKS.get(recipe.network.name)
    if builder is None:
        raise RecipeError(
            f"network.name: received {recipe.network.name!r}; allowed: {', '.join(NETWORKS)}."
        )
    return str(getattr(sys.modules[builder.__module__], "DEFAULT_PLAN", _PLAN))


def _task_problems(recipe: Recipe, dataset: Dataset) -> list[str]:
    task, training = dataset.task, recipe.training
    loss, problems = training.loss or DEFAULTS[task], []
    distribution = distribution_of(loss, training.loss_options)
    metrics = metric_names(task, len(dataset.classes), distribution)
    if task_of(parse_loss(loss)[0].name) != task:
        known = SEGMENTATION if task == "segmentation" else REGRESSION
        problems.append(
            f"training.loss: received {loss!r}; allowed for this {task}: {', '.join(known)}, "
            "and sums of them."
        )
    if training.metric is not None and training.metric not in metrics:
        problems.append(
            f"training.metric: received {training.metric!r}; allowed for this {task}: "
            f"{', '.join(metrics)}."
        )
    problems += unused_options(loss, training.loss_options)
    return problems + class_weight_problems(training.class_weights, loss, task, dataset.classes)


def _patch_problems(recipe: Recipe, stride: int) -> list[str]:
    patch = recipe.data.patch
    if patch is None or not any(side % stride for side in patch):
        return []
    fitting = [max(stride, round(side / stride) * stride) for side in patch]
    return [
        f"data.patch: received {list(patch)}; allowed: multiples of the network's total stride "
        f"of {stride} pixels, for example {fitting}."
    ]


def _size_problems(recipe: Recipe, dataset: Dataset) -> list[str]:
    patch, longest = recipe.data.patch, _longest(dataset)
    if patch is None or max(patch) <= _LARGEST * max(longest):
        return []
    return [
        f"data.patch: received {list(patch)}; allowed: up to {_LARGEST} times the largest image "
        f"side of {max(longest)} pixels, or null to have it chosen."
    ]


def patch_notes(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    """A line for the log if patches reach beyond every training image.

    Args:
        recipe: The resolved recipe.
        dataset: Its data.

    Returns:
        The line, or nothing.
    """
    patch, longest = recipe.data.patch, _longest(dataset)
    if patch is None or all(side <= most for side, most in zip(patch, longest, strict=True)):
        return ()
    sizes = ["x".join(str(side) for side in pair) for pair in (patch, longest)]
    return (f"patches of {sizes[0]} pixels reach beyond every training image (up to {sizes[1]})",)


def _longest(dataset: Dataset) -> tuple[int, int]:
    items = dataset.split("train")
    return max(item.height for item in items), max(item.width for item in items)


def _patch(dataset: Dataset, stride: int) -> tuple[int, int]:
    """The largest image up to 128 pixels, as a multiple of the stride."""
    rows, columns = (-(-min(side, _PATCH) // stride) * stride for side in _longest(dataset))
    return rows, columns
