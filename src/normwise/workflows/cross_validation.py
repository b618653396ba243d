"""Cross-validation: one run for each fold, what they say together, and their ensemble."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeGuard

from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import write_text
from normwise.training.recipe import Recipe
from normwise.workflows.ensembles import write_ensemble
from normwise.workflows.train import RECIPE_FILE, recipe_of, run_folder, train

METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class CrossValidation:
    """The runs of a cross-validation.

    Args:
        folder: Their folder: one run folder a fold, `metrics.json`, and `ensemble.json`, which
            makes it a model for `predict` and `evaluate`.
        per_fold: The metrics of each fold on the images that validate in it.
    """

    folder: Path
    per_fold: tuple[Mapping[str, float], ...]

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric over the folds."""
        return {name: statistics.fmean(values) for name, values in self._columns().items()}

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation of each metric between the folds (n - 1 in the divisor)."""
        return {name: statistics.stdev(values) for name, values in self._columns().items()}

    def _columns(self) -> dict[str, list[float]]:
        return {name: [fold[name] for fold in self.per_fold] for name in self.per_fold[0]}


def cross_validate(
    recipe: Recipe | Mapping[str, Any] | str | PathLike[str],
    folds: int | None = None,
    *,
    out: str | PathLike[str] | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> CrossValidation:
    """Trains one run for each fold, each validated on the images that the others train on.

    The images that don't test are shared out, images of one group together. The folder that comes
    out is an ensemble: `predict` and `evaluate` take the mean of its members.

    Args:
        recipe: As for `train`; with `resume` also the folder of the cross-validation.
        folds: How many, 2 or more; a folder that is resumed knows it.
        out: The folder; its runs are `fold1`, `fold2`, ...
        settings: As for `train`.
        resume: Go on where it stopped: finished folds are kept as they are.
        overwrite: Replace the runs in that folder.
        progress: Say how it goes.

    Returns:
        The metrics of each fold, their mean and spread.

    Raises:
        DataError: The data can't be used, or has fewer groups of images than folds.
        RecipeError: Unknown or impossible settings.
        OutputExistsError: The folder holds runs already.
        RunError: A loss became NaN, or there is nothing to resume.
    """
    if resume and is_cross_validation(recipe):
        folder = Path(fspath(recipe))
        chosen, folds = _begun(folder, settings)
    elif folds is None:
        raise RecipeError("folds: missing; say how many, for example 5.")
    else:
        chosen = recipe_of(recipe, settings)
        folder = run_folder(chosen, recipe, out)
    _refuse(folder, resume, overwrite)
    for fold in range(1, folds + 1):
        _train_fold(chosen, (fold, folds), folder, resume, overwrite, progress)
    found = CrossValidation(folder, tuple(_metrics(_fold(folder, k + 1)) for k in range(folds)))
    content = {"split": "val", "folds": folds, "values": found.mean, "spread": found.spread}
    content["per_fold"] = [dict(values) for values in found.per_fold]
    write_text(folder / METRICS_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    write_ensemble(folder, [_fold(folder, k + 1).name for k in range(folds)])
    return found


def is_cross_validation(given: Any) -> TypeGuard[str | PathLike[str]]:
    """Whether something is the folder of a cross-validation, finished or begun."""
    return isinstance(given, (str, PathLike)) and (_fold(Path(given), 1) / RECIPE_FILE).is_file()


def _begun(folder: Path, settings: Sequence[str]) -> tuple[Recipe, int]:
    """The recipe of its first fold without the fold, and how many folds there are."""
    path = _fold(folder, 1) / RECIPE_FILE
    recipe = recipe_of(path, settings)
    if recipe.data.fold is None:
        raise RunError(f"{path}: names no data.fold, so it is no part of a cross-validation.")
    data = recipe.data.model_copy(update={"fold": None})
    return recipe.model_copy(update={"data": data}), recipe.data.fold[1]


def _fold(folder: Path, fold: int) -> Path:
    return folder / f"fold{fold}"


def _refuse(folder: Path, resume: bool, overwrite: bool) -> None:
    begun = _fold(folder, 1).exists()
    if resume and not begun:
        raise RunError(f"There is nothing to resume in {folder}: it holds no fold1.")
    if begun and not (resume or overwrite):
        raise OutputExistsError(
            f"{folder} holds folds already. Go on with them (`--resume`), replace them "
            "(`--overwrite`), or name another folder."
        )


def _train_fold(
    recipe: Recipe,
    fold: tuple[int, int],
    folder: Path,
    resume: bool,
    overwrite: bool,
    progress: bool,
) -> None:
    own = _fold(folder, fold[0])
    if resume and (own / METRICS_FILE).exists():
        return
    data = recipe.data.model_copy(update={"fold": fold})
    train(
        recipe.model_copy(update={"data": data}),
        out=own,
        resume=resume and (own / RECIPE_FILE).exists(),
        overwrite=overwrite,
        progress=progress,
    )


def _metrics(run: Path) -> dict[str, float]:
    values = json.loads((run / METRICS_FILE).read_text(encoding="utf-8"))["values"]
    return {name: float(value) for name, value in values.items() if value is not None}
