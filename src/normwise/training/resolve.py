"""From a recipe with gaps to one in which every choice is made."""

from collections.abc import Sequence
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

_PATCH: Final = {2: 128, 3: 48}
_AXES: Final = {2: "rows, columns", 3: "slices, rows, columns"}
_LARGEST: Final = 4


def resolve(recipe: Recipe, dataset: Dataset, strides: Sequence[int]) -> Recipe:
    """Makes the choices that the recipe leaves open, and checks those it makes against the data.

    Args:
        recipe: The recipe.
        dataset: Its data.
        strides: The total stride of its network in pixels, along each axis.

    Returns:
        A recipe with labels, patch, loss and metric, and with a plan that scales its input.

    Raises:
        RecipeError: With every setting that doesn't suit the data or the network.
        PlanError: If the norm plan is none.
    """
    problems = [*_task_problems(recipe, dataset), *_patch_problems(recipe, dataset, strides)]
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
        "patch": _sides(recipe, dataset) or _patch(dataset, strides),
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
    from normwise.networks import NETWORKS, default_plan  # noqa: PLC0415 - loads a backend

    if recipe.network.name not in NETWORKS:
        raise RecipeError(
            f"network.name: received {recipe.network.name!r}; allowed: {', '.join(NETWORKS)}."
        )
    return default_plan(recipe.network.name)


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
            f"{', '.join(metrics)}{_with_loss(training.metric)}."
        )
    if recipe.data.sampling not in (None, "uniform") and task != "segmentation":
        problems.append("data.sampling: a regression has no classes to sample; leave it out.")
    problems += unused_options(loss, training.loss_options)
    return problems + class_weight_problems(training.class_weights, loss, task, dataset.classes)


def _with_loss(metric: str) -> str:
    losses = {"pinball": "quantile", "nll": "gaussian"}
    return f"; {metric} goes with training.loss {losses[metric]}" if metric in losses else ""


def _patch_problems(recipe: Recipe, dataset: Dataset, strides: Sequence[int]) -> list[str]:
    given, patch = recipe.data.patch, _sides(recipe, dataset)
    if given is None or patch is None:
        return []
    if len(patch) != dataset.dimensions:
        return [
            f"data.patch: received {list(given)}; allowed: {dataset.dimensions} numbers, one an "
            f"axis ({_AXES[dataset.dimensions]}), or a single one."
        ]
    if not any(side % stride for side, stride in zip(patch, strides, strict=True)):
        return _size_problems(patch, dataset)
    fitting = [max(n, round(side / n) * n) for side, n in zip(patch, strides, strict=True)]
    told = strides[0] if len(set(strides)) == 1 else list(strides)
    return [
        f"data.patch: received {list(patch)}; allowed: multiples of the network's total stride "
        f"of {told} pixels ({_named(recipe)}), for example {fitting}."
    ]


def _named(recipe: Recipe) -> str:
    network = recipe.network
    depth = "" if network.depth is None else f", network.depth {network.depth}"
    return f"network.name {network.name}{depth}"


def _size_problems(patch: Sequence[int], dataset: Dataset) -> list[str]:
    longest = max(_longest(dataset))
    if max(patch) <= _LARGEST * longest:
        return []
    return [
        f"data.patch: received {list(patch)}; allowed: up to {_LARGEST} times the largest image "
        f"side of {longest} pixels, or null to have it chosen."
    ]


def patch_notes(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    """A line for the log if patches reach beyond every training image.

    Args:
        recipe: The resolved recipe.
        dataset: Its data.

    Returns:
        The line, or nothing.
    """
    patch, longest = _sides(recipe, dataset), _longest(dataset)
    if patch is None or all(side <= most for side, most in zip(patch, longest, strict=True)):
        return ()
    sizes = ["x".join(str(side) for side in sides) for sides in (patch, longest)]
    return (f"patches of {sizes[0]} pixels reach beyond every training image (up to {sizes[1]})",)


def _longest(dataset: Dataset) -> tuple[int, ...]:
    shapes = (item.shape for item in dataset.split("train"))
    return tuple(max(sides) for sides in zip(*shapes, strict=True))


def _sides(recipe: Recipe, dataset: Dataset) -> tuple[int, ...] | None:
    """The recipe's patch along each axis; a single number stands for all of them."""
    patch = recipe.data.patch
    return patch * dataset.dimensions if patch is not None and len(patch) == 1 else patch


def _patch(dataset: Dataset, strides: Sequence[int]) -> tuple[int, ...]:
    """The largest image up to 128 pixels, or volume up to 48, as a multiple of the stride."""
    limit = _PATCH[dataset.dimensions]
    sides = zip(_longest(dataset), strides, strict=True)
    return tuple(-(-min(side, limit) // stride) * stride for side, stride in sides)
