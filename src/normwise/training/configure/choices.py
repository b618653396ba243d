"""The order of the choices; a later one may look at those before it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from normwise.training.configure import data, duration, network, norm, prediction, schedule
from normwise.training.configure.situation import Choice, Chosen, Situation
from normwise.training.configure.structure import encoder_has_batch_norms, has_free_depth

Chooser = Callable[[Situation, Chosen], tuple[Any, str]]

CHOOSERS: Final[Mapping[str, Chooser]] = {
    "data.scaling": data.scaling,
    "data.percentiles": data.percentiles,
    "data.validation": data.validation,
    "network.name": network.name,
    "data.patch": data.patch,
    "data.augmentation.flips": data.flips,
    "data.augmentation.rotations": data.rotations,
    "data.augmentation.angle": data.angle,
    "data.augmentation.scale": data.scale,
    "data.augmentation.intensity": data.intensity,
    "data.augmentation.offset": data.offset,
    "network.depth": network.depth,
    "training.loss": schedule.loss,
    "network.input_residual": network.input_residual,
    "training.batch_size": network.batch_size,
    "network.filters": network.filters,
    "training.epochs": duration.epochs,
    "training.steps": duration.steps,
    "norm": norm.norm,
    "network.encoder_momentum": norm.encoder_momentum,
    "training.class_weights": schedule.class_weights,
    "training.metric": schedule.metric,
    "training.keep": schedule.keep,
    "training.learning_rate": schedule.learning_rate,
    "training.weight_decay": schedule.weight_decay,
    "training.ema": schedule.ema,
    "training.budget": duration.budget,
    "prediction.tta": prediction.tta,
}

TOLD: Final = "as you said"


def choose(situation: Situation, told: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Makes every choice that isn't told, in an order in which each can see those before it.

    Args:
        situation: The data, the machine and the time.
        told: Values that are not for us to choose, by dotted key; a `training.budget` among them
            is the time that everything is planned for.

    Returns:
        One choice for each key of `CHOOSERS` that applies.
    """
    told = _each_axis(told, len(situation.fingerprint.median))
    if (seconds := told.get("training.budget")) is not None:
        situation = replace(situation, budget=float(seconds))
    chosen: dict[str, Any] = dict(told)
    made = []
    for key, chooser in CHOOSERS.items():
        if not _applies(key, situation, chosen):
            continue
        value, reason = (told[key], TOLD) if key in told else chooser(situation, chosen)
        chosen[key] = value
        made.append(Choice(key, value, reason))
    return tuple(made)


def _each_axis(told: Mapping[str, Any], axes: int) -> Mapping[str, Any]:
    """A patch that is one number has that side along each axis."""
    patch = told.get("data.patch")
    if patch is None:
        return told
    sides = [patch] if isinstance(patch, int) else list(patch)
    return {**told, "data.patch": tuple(sides * axes if len(sides) == 1 else sides)}


def _applies(key: str, situation: Situation, chosen: Chosen) -> bool:
    if key == "data.percentiles":
        return bool(chosen["data.scaling"] == "percentiles")
    if key == "network.depth":
        return has_free_depth(chosen["network.name"])
    if key == "network.encoder_momentum":
        return encoder_has_batch_norms(chosen) and not chosen.get("network.frozen")
    if key == "training.class_weights":
        return situation.segmentation
    return key != "network.input_residual" or not situation.segmentation
