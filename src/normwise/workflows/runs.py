"""What a run folder knows of the data that its model was trained on."""

import json
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from normwise.data.description import read_description
from normwise.data.reading import RECORD_NAME, Reading, Record, read_record
from normwise.inference.views import Views, check_views
from normwise.training.data_settings import DataSettings
from normwise.training.distribution import Distribution
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.run_files import METRICS, RECIPE
from normwise.training.trained_data import TrainedData

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
    folder = _folder_of(model)
    if folder is None or not (folder / RECIPE).is_file():
        return None
    return load_recipe(folder / RECIPE)


def _folder_of(model: Any) -> Path | None:
    """A run folder, or that which a model file is in; None for what is no path or in no run.

    Recipes lie about in other folders, too; what a finished run leaves beside its model doesn't.
    """
    if not isinstance(model, (str, PathLike)):
        return None
    path = Path(fspath(model))
    if path.is_dir():
        return path
    return path.parent if (path.parent / RECORD_NAME).is_file() else None


def files_of_run(model: Any) -> Iterator[Path]:
    """The files in which the run that a model belongs to tells of itself, as far as they are there.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    folder = _folder_of(model)
    if folder is not None:
        told = (folder / name for name in (RECIPE, RECORD_NAME, METRICS))
        yield from (file for file in told if file.is_file())


def record_of_run(model: Any) -> Record | None:
    """How the images of the run that a model belongs to were read; None where no run says it.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    folder = _folder_of(model)
    return read_record(folder) if folder is not None else None


def fill_of_run(model: Any) -> list[float] | None:
    """For each channel, what stood for missing values in training; None where no run says it.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    record = record_of_run(model)
    return record.fill if record is not None else None


def data_of_run(model: Any) -> TrainedData | None:
    """Which images the run that a model belongs to was trained on; None where no run says it.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    folder = _folder_of(model)
    return TrainedData.read(folder) if folder is not None else None


def views_of_run(model: Any, told: str | None = None) -> Views:
    """The views of an image whose predictions are averaged.

    Args:
        model: A run folder, a model file inside one, or anything else.
        told: What the caller wants; None leaves it to the run's recipe, and that is none for a
            model without a run.

    Raises:
        NormwiseError: If `told` is no such set.
    """
    if told is not None:
        return check_views(told)
    recipe = recipe_of_run(model)
    return recipe.prediction.tta if recipe else "none"


def reading_of(model: Any) -> Reading:
    """How images are read for a model: as the run's own were; nothing for a model without a run.

    A run that was made before runs kept that is asked through its data folder, if that is there.
    """
    record, settings = record_of_run(model), data_settings(model)
    if record is not None:
        return record
    if settings is None or not Path(settings.path).exists():
        return Reading()
    path = Path(settings.path)
    return read_description(path if path.is_dir() else path.parent)


def order_is_unknown(model: Any) -> bool:
    """Whether a run can't tell which of an image's files holds which band."""
    record, settings = record_of_run(model), data_settings(model)
    if record is not None:
        return record.bands is None
    return settings is not None and not Path(settings.path).exists()


def class_names(model: Any) -> tuple[str, ...]:
    """The names of the classes, or targets, that a run measured; empty where nothing tells.

    Args:
        model: A run folder, a model file inside one, or anything else.
    """
    folder = _folder_of(model)
    if folder is None or not (folder / METRICS).is_file():
        return ()
    return tuple(json.loads((folder / METRICS).read_text(encoding="utf-8"))["per_class"])


def output_names(model: Any, live: Any) -> tuple[str, ...]:
    """The names of a finished model's outputs, such as `DAPI q0.1`; empty where nothing tells.

    Args:
        model: A run folder, a model file inside one, or anything else.
        live: The loaded model.
    """
    names = class_names(model)
    names = Distribution.of_layers(layer.name for layer in live.layers).names(names)
    outputs = live.output_shape[-1]
    if outputs == 1 and len(names) == BINARY:
        return names[1:]
    return names if len(names) == outputs else ()
