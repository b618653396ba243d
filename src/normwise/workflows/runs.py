"""What a run folder knows of the data that its model was trained on."""

import json
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from normwise.data.description import Description, read_description
from normwise.training.distribution import Distribution
from normwise.training.recipe import DataSettings, Recipe, load_recipe
from normwise.workflows.train import RECIPE_FILE

METRICS_FILE: Final = "metrics.json"
BINARY: Final = 2


def data_settings(model: Any) -> DataSettings | None:
    """The data settings of the run that a model belongs to, None for a model without a run.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    recipe = recipe_of_run(model)
    return recipe.data if recipe else None


def recipe_of_run(model: Any) -> Recipe | None:
    """The recipe of the run that a model belongs to, None for a model without a run.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    if not isinstance(model, (str, PathLike)):
        return None
    path = Path(fspath(model))
    recipe = (path if path.is_dir() else path.parent) / RECIPE_FILE
    return load_recipe(recipe) if recipe.is_file() else None


def output_names(model: Any, live: Any) -> tuple[str, ...]:
    """The names of a finished model's outputs, such as `DAPI q0.1`; empty where nothing tells.

    Args:
        model: A run folder, a model file inside one, or anything else.
        live: The loaded model.
    """
    if not isinstance(model, (str, PathLike)):
        return ()
    path = Path(fspath(model))
    told = (path if path.is_dir() else path.parent) / METRICS_FILE
    if not told.is_file():
        return ()
    names = tuple(json.loads(told.read_text(encoding="utf-8"))["per_class"])
    names = Distribution.of_layers(layer.name for layer in live.layers).names(names)
    outputs = live.output_shape[-1]
    if outputs == 1 and len(names) == BINARY:
        return names[1:]
    return names if len(names) == outputs else ()


def nodata_of(settings: DataSettings | None) -> float | None:
    """The value that marks missing pixels in the run's images, if its data folder still says so."""
    return description_of(settings).nodata


def description_of(settings: DataSettings | None) -> Description:
    """What the run's data folder says about itself; nothing if it isn't there any more."""
    if settings is None or not Path(settings.path).exists():
        return Description()
    path = Path(settings.path)
    return read_description(path if path.is_dir() else path.parent)
