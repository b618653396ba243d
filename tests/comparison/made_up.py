"""Outcomes of trials that nobody made."""

import math

from normwise.comparison.experiment import Experiment, variants_of
from normwise.comparison.outcome import Cost, Images, Norms, Outcome
from normwise.comparison.summary import Summary
from normwise.training.recipe import Recipe

BASE = Recipe(
    data={"path": "/data/rivers", "patch": 32, "labels": "masks"},
    training={"epochs": 4, "steps": 5, "metric": "iou", "loss": "cross-entropy-dice"},
)


def outcome(value, seed=0, fold=None, cost=1.0, key="same", metric="iou"):
    """A trial with this value of its metric; None for one that diverged."""
    data = BASE.data.model_copy(update={"fold": fold})
    training = BASE.training.model_copy(update={"seed": seed, "metric": metric})
    recipe = BASE.model_copy(update={"data": data, "training": training})
    plain = recipe.model_dump(mode="json")
    split = "test" if fold is None else "val"
    images = Images(8, 2, key)
    if value is None:
        return Outcome(plain, plain, metric, split, images, diverged="The loss is no number.")
    history = tuple(
        {"epoch": e, "loss": 1 / e, f"val_{metric}": value * (1 - 0.5**e), "seconds": cost / 4}
        for e in (1, 2, 3, 4)
    )
    metrics = {"val": {metric: value + 0.01}, "test": {metric: value, "recall": math.nan}}
    return Outcome(
        plain,
        plain,
        metric,
        split,
        images,
        best_epoch=4,
        history=history,
        metrics=metrics,
        cost=Cost(20, cost, cost / 25, 0.4, 1000, 64, None, 1),
        norms=Norms(3, 2, (("NW109 unnormalized-skip", "warning"), ("NW300 x", "info"))),
    )


def summary(*values, plans=("batch@pre-activation", "batch@skip", "none", "group@skip"), **more):
    """A comparison of as many plans as there are lists of values; a number a seed."""
    variants = variants_of(plans[: len(values)])
    costs = more.pop("costs", [1.0] * len(values))
    outcomes = {
        variant.name: [outcome(v, seed, cost=cost, **more) for seed, v in enumerate(own)]
        for variant, own, cost in zip(variants, values, costs, strict=True)
    }
    return Summary(Experiment(BASE, variants, seeds=len(values[0])), outcomes)
