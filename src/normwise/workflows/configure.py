"""From a data folder to a recipe: what the data are like, and what was chosen from that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normwise.backend import require_backend
from normwise.files import refuse_existing, write_text
from normwise.memory import available_memory
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.recipe_reasons import reasoned_yaml
from normwise.workflows.amounts import bytes_of, seconds_of

if TYPE_CHECKING:
    from normwise.data import Dataset
    from normwise.data.fingerprint import Fingerprint
    from normwise.training.configure import Choice, Cost

BUDGET: Final = "8min"
# Elsewhere null leaves the choice to us.
_NONE_MEANS_NONE: Final = frozenset(
    {
        "data.augmentation.offset",
        "network.encoder_momentum",
        "training.budget",
        "training.class_weights",
        "training.ema",
        "training.steps",
    }
)


@dataclass(frozen=True)
class Configuration:
    """What was found in a data folder and chosen from it.

    Args:
        fingerprint: What the data are like.
        choices: Each choice with its reason.
        recipe: The recipe that they make; `nw.train` takes it.
    """

    fingerprint: Fingerprint
    choices: tuple[Choice, ...]
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold."""
        return {
            "fingerprint": self.fingerprint.to_dict(),
            "choices": [asdict(choice) for choice in self.choices],
            "recipe": self.recipe.model_dump(mode="json"),
        }


def configure(
    data: str | PathLike[str],
    *,
    settings: Sequence[str] = (),
    out: str | PathLike[str] | None = None,
    budget: str | float = BUDGET,
    memory: int | str | None = None,
    preview: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Configuration:
    """Looks at a data folder and chooses everything that a recipe says.

    Nothing is read but the training and validation images, save that images of all splits are
    compared to find those that are not independent. A few training steps are measured.

    Args:
        data: The data folder.
        settings: Texts like `"training.batch_size=4"` that overrule choices; those that follow
            from them are made accordingly, so that `train` takes the recipe.
        out: Where to write the recipe, a YAML file.
        budget: The time that the training may take: seconds, or a text such as `"10min"`. A
            `training.budget` among the settings stands in its place.
        memory: What the training may use, of which half is planned for: bytes, or a text such as
            `"4GB"`; by default what is free.
        preview: Where to draw some patches as the network will see them, a PNG file.
        overwrite: Whether those files may be replaced.

    Returns:
        Fingerprint, choices and recipe.

    Raises:
        DataError: The data folder can't be used; all its problems are named.
        RecipeError: Unknown or impossible settings, settings that can't go together (each with
            the other), or no time.
        NormwiseError: `memory` is no amount of memory.
        OutputExistsError: `out` or `preview` exists.

    Example:
        ```python
        found = nw.configure("rivers", budget="5min")
        run = nw.train(found.recipe, out="runs/rivers")
        ```
    """
    for path in (out, preview):
        if path is not None:
            refuse_existing(Path(fspath(path)), overwrite)
    seconds, usable = seconds_of(budget), bytes_of(memory) or available_memory()
    told = with_settings(Recipe(data={"path": fspath(data)}), settings)
    from normwise.data.fingerprint import fingerprint  # noqa: PLC0415 - light start-up

    require_backend()
    from normwise.training.configure import Situation, choose  # noqa: PLC0415
    from normwise.training.configure.conflicts import (  # noqa: PLC0415
        refuse_conflicts,
        refuse_untrainable,
    )

    values = _values(told, settings)
    dataset = _opened(told, values.get("data.validation"))
    refuse_conflicts(told, values, dataset)
    found = fingerprint(dataset)
    validating = sum(prod(item.shape) for item in dataset.split("val"))
    situation = Situation(found, seconds, usable, _cost(dataset), validating)
    choices = choose(situation, values)
    recipe = _recipe(told, choices)
    refuse_untrainable(recipe, dataset, values)
    if preview is not None:
        _draw(Path(fspath(preview)), recipe, dataset, overwrite)
    if out is not None:
        reasons = {choice.key: choice.reason for choice in choices}
        write_text(Path(fspath(out)), reasoned_yaml(recipe, reasons), overwrite)
    return Configuration(found, choices, recipe)


def _opened(told: Recipe, share: float | None) -> Dataset:
    """The data set, split as it will be: with the share that is told or will be chosen."""
    from normwise.data import open_dataset  # noqa: PLC0415
    from normwise.training.configure.data import validation_share  # noqa: PLC0415

    data, seed = told.data, told.training.seed
    chosen: dict[str, Any] = {
        "labels": data.labels,
        "bands": data.bands,
        "targets": data.targets,
        "fold": data.fold,
        "seed": seed,
    }
    dataset = open_dataset(data.path, validation=data.validation, **chosen)
    images = len({item.image for item in dataset.items if item.split != "test"})
    share = share if share is not None else validation_share(images)
    if share == data.validation:
        return dataset
    # All files were examined just now.
    return open_dataset(data.path, validation=share, read_pixels=False, **chosen)


def _draw(path: Path, recipe: Recipe, dataset: Dataset, overwrite: bool) -> None:
    from normwise.data import channel_statistics  # noqa: PLC0415
    from normwise.training.evaluate import output_of  # noqa: PLC0415 - needs the backend
    from normwise.training.patch_pictures import draw_training_patches  # noqa: PLC0415
    from normwise.training.pictures import meaning_of  # noqa: PLC0415
    from normwise.training.preparing import training_batches  # noqa: PLC0415
    from normwise.training.sampling import sampling_of  # noqa: PLC0415
    from normwise.training.scaling import scaling_of  # noqa: PLC0415

    scaled = replace(dataset, scaling=scaling_of(recipe.data))
    images, meaning = channel_statistics(scaled), meaning_of(scaled, output_of(scaled))
    with training_batches(recipe, scaled, images, sampling_of(recipe, scaled)) as batches:
        draw_training_patches(path, batches, images, meaning, overwrite=overwrite)


def _cost(dataset: Dataset) -> Any:
    from normwise.training.configure.cost import measured_cost  # noqa: PLC0415
    from normwise.training.evaluate import output_of  # noqa: PLC0415

    outputs = output_of(dataset).channels
    known: dict[tuple[Any, ...], Cost] = {}

    def cost(filters: Any, chosen: Mapping[str, Any]) -> Cost:
        keys = (
            "data.patch",
            "training.batch_size",
            *(k for k in chosen if k.startswith("network.")),
        )
        key = (str(filters), *(f"{name}={chosen[name]}" for name in keys))
        if key not in known:
            known[key] = measured_cost(dataset.channels, outputs, filters, chosen)
        return known[key]

    return cost


def _values(told: Recipe, settings: Sequence[str]) -> dict[str, Any]:
    """What the settings say, as the recipe holds it, by dotted key down to single values."""
    found: dict[str, Any] = {}
    for key in (setting.partition("=")[0].strip() for setting in settings):
        value: Any = told.model_dump(mode="json")
        for part in key.split("."):
            value = value[part]
        found |= _flat(key, value)
    return {k: value for k, value in found.items() if value is not None or k in _NONE_MEANS_NONE}


def _flat(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {key: value}
    return {k: v for name, part in value.items() for k, v in _flat(f"{key}.{name}", part).items()}


def _recipe(told: Recipe, choices: Sequence[Choice]) -> Recipe:
    made = [f"{choice.key}={json.dumps(choice.value)}" for choice in choices]
    return with_settings(told, made)
