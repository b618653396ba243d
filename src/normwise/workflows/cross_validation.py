"""Cross-validation: one run for each fold, what they say together, and their ensemble."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, Self, TypeGuard

from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import refuse_no_folder
from normwise.json_files import numbers, write_json
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import differences, with_settings
from normwise.training.recipe_reasons import still_true
from normwise.training.run_files import METRICS, MODEL, RECIPE
from normwise.workflows.ensembles import ENSEMBLE_FILE, write_ensemble
from normwise.workflows.train import (
    reasons_of,
    recipe_of,
    run_folder,
    train_chosen,
    with_whole_path,
)

FOLDS_FILE: Final = "folds.json"
RUN_FILES: Final = (RECIPE, MODEL, METRICS)


@dataclass(frozen=True)
class CrossValidation:
    """The runs of a cross-validation.

    Args:
        folder: Their folder: one run folder a fold, `metrics.json`, and `ensemble.json`, which
            makes it a model for `predict` and `evaluate`.
        per_fold: The metrics of each fold on the images that validate in it, NaN where one is not
            defined, such as the recall of a class that doesn't occur.
    """

    folder: Path
    per_fold: tuple[Mapping[str, float], ...]

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric over the folds in which it is defined; NaN if in none."""
        return {
            name: statistics.fmean(values) if values else math.nan
            for name, values in self._columns().items()
        }

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation of each metric between these folds (n - 1 in the divisor)."""
        return {
            name: statistics.stdev(values) if len(values) > 1 else math.nan
            for name, values in self._columns().items()
        }

    def _columns(self) -> dict[str, list[float]]:
        return {
            name: [fold[name] for fold in self.per_fold if math.isfinite(fold[name])]
            for name in self.per_fold[0]
        }


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
    asked, folder = _asked(recipe, folds, out, settings, resume)
    _prepare(folder, asked, resume, overwrite)
    folds = asked.folds
    for fold in range(1, folds + 1):
        _train_fold(asked, fold, folder, resume, progress)
    write_ensemble(folder, [_fold(folder, k + 1).name for k in range(folds)])
    found = CrossValidation(folder, tuple(_metrics(_fold(folder, k + 1)) for k in range(folds)))
    content = {"split": "val", "folds": folds, "values": found.mean, "spread": found.spread}
    content["per_fold"] = [dict(values) for values in found.per_fold]
    write_json(folder / METRICS, content)
    return found


def is_cross_validation(given: Any) -> TypeGuard[str | PathLike[str]]:
    """Whether something is the folder of a cross-validation, finished or begun."""
    return isinstance(given, (str, PathLike)) and (Path(given) / FOLDS_FILE).is_file()


@dataclass(frozen=True)
class Begun:
    """What a cross-validation was begun with: it stands in `folds.json`, so that the folds that
    are still to come are trained as they would have been at once.

    Attributes:
        folds: How many.
        recipe: Of all of them.
        reasons: Why its settings are as they are, by dotted key.
    """

    folds: int
    recipe: Recipe
    reasons: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the record into the folder of the cross-validation."""
        content = {"folds": self.folds, "recipe": self.recipe.model_dump(mode="json")}
        content["reasons"] = dict(self.reasons)
        write_json(folder / FOLDS_FILE, content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record of a folder.

        Raises:
            RunError: If it is none.
        """
        path = folder / FOLDS_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            reasons = dict(content.get("reasons", {}))
            return cls(int(content["folds"]), Recipe(**content["recipe"]), reasons)
        except (OSError, ValueError, TypeError, KeyError, RecipeError) as error:
            raise RunError(f"{path}: no record of a cross-validation ({error}).") from error


def _asked(
    given: Any,
    folds: int | None,
    out: str | PathLike[str] | None,
    settings: Sequence[str],
    resume: bool,
) -> tuple[Begun, Path]:
    """The recipe, the number of folds and the folder that a call means."""
    if resume and is_cross_validation(given):
        folder = Path(fspath(given))
        begun = Begun.read(folder)
        recipe = with_settings(begun.recipe, settings) if settings else begun.recipe
        reasons = still_true(begun.reasons, begun.recipe, recipe)
        return Begun(folds or begun.folds, recipe, reasons), folder
    if folds is None:
        raise RecipeError("folds: missing; say how many, for example 5.")
    recipe = recipe_of(given, settings)
    asked = Begun(folds, with_whole_path(recipe), reasons_of(given, recipe))
    return asked, run_folder(recipe, given, out)


def _prepare(folder: Path, asked: Begun, resume: bool, overwrite: bool) -> None:
    """Refuses what would be lost or mixed up, clears what is replaced, and leaves the record."""
    refuse_no_folder(folder)
    if resume:
        if not is_cross_validation(folder):
            raise RunError(f"There is nothing to resume in {folder}: it holds no {FOLDS_FILE}.")
        _refuse_others(folder, asked, Begun.read(folder))
        return
    present = [name for name in (FOLDS_FILE, *RUN_FILES) if (folder / name).exists()]
    if present and not overwrite:
        raise OutputExistsError(
            f"{folder} holds runs already ({present[0]}). Go on with them (`--resume`), replace "
            "them (`--overwrite`), or name another folder."
        )
    for name in (ENSEMBLE_FILE, FOLDS_FILE, *RUN_FILES):
        (folder / name).unlink(missing_ok=True)
    for path in sorted(folder.glob("fold*")):
        if (path / RECIPE).is_file():
            shutil.rmtree(path)
    asked.write(folder)


def _refuse_others(folder: Path, asked: Begun, begun: Begun) -> None:
    """Folds of different recipes don't say anything together."""
    differing = differences(begun.recipe, asked.recipe)
    if asked.folds != begun.folds:
        differing = [f"it is {asked.folds} folds, was {begun.folds}", *differing]
    if differing:
        raise RunError(
            f"The cross-validation in {folder} was started with another recipe: "
            f"{'; '.join(differing)}. Resume it with `normwise train {folder} --resume`, or start "
            "a new one."
        )


def _fold(folder: Path, fold: int) -> Path:
    return folder / f"fold{fold}"


def _train_fold(
    asked: Begun,
    fold: int,
    folder: Path,
    resume: bool,
    progress: bool,
) -> None:
    own = _fold(folder, fold)
    if resume and (own / METRICS).exists():
        return
    data = asked.recipe.data.model_copy(update={"fold": (fold, asked.folds)})
    train_chosen(
        asked.recipe.model_copy(update={"data": data}),
        out=own,
        resume=resume and (own / RECIPE).exists(),
        progress=progress,
        reasons=asked.reasons,
    )


def _metrics(run: Path) -> dict[str, float]:
    values = json.loads((run / METRICS).read_text(encoding="utf-8"))["values"]
    return {name: float(value) for name, value in numbers(values).items()}
