"""Training: from a recipe, a data folder or an interrupted run to a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.errors import RecipeError, RunError
from normwise.files import refuse_existing
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.recipe_reasons import read_reasons, still_true
from normwise.training.run_files import RATES, RECIPE
from normwise.workflows.together import place_of, train_together

if TYPE_CHECKING:
    from normwise.distributed.processes import ProcessRank
    from normwise.training.finished_run import Run
    from normwise.training.rate_finder import RateCurve


def train(
    recipe: Recipe | Mapping[str, Any] | str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    on: str | ProcessRank | None = None,
) -> Run:
    """Trains the network of a recipe and writes a run folder.

    Args:
        recipe: A `Recipe`, its settings as a mapping, a recipe file (`.yaml`), or a data folder,
            which is trained on with every setting at its default. With `resume`, the run folder.
        out: The run folder; by default the recipe's `out`, else `runs/` and the data's name.
        settings: Texts like `"training.epochs=5"` that replace settings.
        resume: Go on with an interrupted run where it stopped.
        overwrite: Replace the run in that folder.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.
        on: `"jax-distributed"` trains on all devices of this process, or of the processes that
            the environment variables of `keras.distribution` tell of; a `ProcessRank` says so
            itself. It must come before any other use of Keras.

    Returns:
        The run: `.folder`, `.metrics` (best epoch, whole validation images), `.history`,
        `.model`.

    Raises:
        RecipeError: Unknown or impossible settings.
        DataError: The data folder can't be used; all its problems are named.
        RunError: The loss became NaN, or there is nothing to resume.
        OutputExistsError: The folder holds a run already.
        DistributionError: The backend isn't JAX, or the processes don't meet.
    """
    chosen = recipe_of(recipe, settings, resume)
    folder = run_folder(chosen, recipe, out, resume)
    chosen = with_whole_path(chosen)
    reasons, where = reasons_of(recipe, chosen), place_of(on)
    if where is not None:
        return train_together(chosen, folder, where, resume, overwrite, progress, reasons)
    return train_chosen(
        chosen,
        out=folder,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        reasons=reasons,
    )


def train_chosen(
    recipe: Recipe,
    *,
    out: Path,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    reasons: Mapping[str, str] | None = None,
) -> Run:
    """Trains a recipe that is chosen, in this process; see `train`.

    Args:
        recipe: The recipe, with an absolute data path.
        out: The run folder.
        resume: Go on with the run in that folder where it stopped.
        overwrite: Replace the run in that folder.
        progress: Say how it goes.
        reasons: Why settings are as they are, by dotted key; they stay with the run.
    """
    require_backend()
    from normwise.training.run import train as run_training  # noqa: PLC0415 - light start-up

    return run_training(
        recipe,
        out=out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        reasons=reasons,
    )


def recipe_of(given: Any, settings: Sequence[str] = (), resume: bool = False) -> Recipe:
    """The recipe that a recipe, mapping, file or folder stands for, with settings replaced.

    Raises:
        RecipeError: Unknown or impossible settings, or no such file.
        RunError: There is nothing to resume.
    """
    chosen = _recipe(given, resume)
    return with_settings(chosen, settings) if settings else chosen


def reasons_of(given: Any, chosen: Recipe) -> dict[str, str]:
    """Why settings are as they are, where the recipe comes from a file that says so."""
    if not isinstance(given, (str, PathLike)):
        return {}
    path = Path(fspath(given))
    path = path / RECIPE if path.is_dir() else path
    reasons = read_reasons(path) if path.suffix == ".yaml" else {}
    return still_true(reasons, load_recipe(path), chosen) if reasons else {}


def find_rate(
    recipe: Recipe | Mapping[str, Any] | str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
) -> tuple[RateCurve, Path]:
    """Tries learning rates on a recipe's data and draws `learning_rate.png`; nothing is trained.

    Args:
        recipe: As for `train`.
        out: Where the picture goes; by default the run folder that `train` would use.
        settings: Texts like `"training.batch_size=4"` that replace settings.
        overwrite: Replace an older picture.

    Returns:
        The curve, with `.suggestion`, and the picture's path.

    Raises:
        RecipeError: Unknown or impossible settings.
        DataError: The data folder can't be used; all its problems are named.
        RunError: The loss falls at no rate.
        OutputExistsError: There is such a picture already.
    """
    chosen = recipe_of(recipe, settings)
    require_backend()
    from normwise.training.pictures import draw_curve  # noqa: PLC0415 - light start-up
    from normwise.training.preparing import parts_of, try_rates  # noqa: PLC0415

    path = run_folder(chosen, recipe, out) / RATES
    refuse_existing(path, overwrite)
    curve = try_rates(parts_of(with_whole_path(chosen)))
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_curve(curve, path)
    return curve, path


def _recipe(given: Any, resume: bool) -> Recipe:
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return Recipe(**given)
    path = Path(fspath(given))
    if resume and (path / RECIPE).is_file():
        return load_recipe(path / RECIPE)
    if resume and path.is_dir():
        raise RunError(f"{path}: nothing to resume, the folder holds no {RECIPE}.")
    if path.is_dir() or path.suffix.lower() == ".csv":
        return Recipe(data={"path": str(path)})
    if not path.exists():
        raise RecipeError(f"{path}: no such recipe or data folder.")
    return load_recipe(path)


def with_whole_path(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths of data and weights, so that the run can be used from any
    folder.
    """
    data = recipe.data.model_copy(update={"path": str(Path(recipe.data.path).resolve())})
    network, weights = recipe.network, recipe.network.options.get("weights")
    # `imagenet` has no suffix; what is no file stays as it was told, for the message about it.
    if isinstance(weights, str) and Path(weights).suffix and Path(weights).is_file():
        network = network.model_copy(update={"weights": str(Path(weights).resolve())})
    return recipe.model_copy(update={"data": data, "network": network})


def run_folder(
    recipe: Recipe, given: Any, out: str | PathLike[str] | None, resume: bool = False
) -> Path:
    """The folder that is told, else the resumed one, else `runs/` and the data's name."""
    if out is not None:
        return Path(fspath(out))
    if resume and isinstance(given, (str, PathLike)) and Path(fspath(given)).is_dir():
        return Path(fspath(given))
    if recipe.out is not None:
        return Path(recipe.out)
    return Path("runs") / Path(recipe.data.path).resolve().name.removesuffix(".csv")
