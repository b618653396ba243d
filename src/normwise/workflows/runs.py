"""What a run folder knows of the data that its model was trained on."""

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from normwise.data.description import read_description
from normwise.training.recipe import DataSettings, load_recipe
from normwise.workflows.train import RECIPE_FILE


def data_settings(model: Any) -> DataSettings | None:
    """The data settings of the run that a model belongs to, None for a model without a run.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    if not isinstance(model, (str, PathLike)):
        return None
    path = Path(fspath(model))
    recipe = (path if path.is_dir() else path.parent) / RECIPE_FILE
    return load_recipe(recipe).data if recipe.is_file() else None


def nodata_of(settings: DataSettings | None) -> float | None:
    """The value that marks missing pixels in the run's images, if its data folder still says so."""
    if settings is None or not Path(settings.path).is_dir():
        return None
    return read_description(Path(settings.path)).nodata
