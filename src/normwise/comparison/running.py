"""One trial: a training by the usual way, measured, and kept."""

import logging
import math
from pathlib import Path
from typing import Any

from normwise.backend import require_backend
from normwise.comparison.measuring import (
    images_of,
    norms_of,
    parameters_of,
    seconds_per_megapixel,
    seconds_per_step,
)
from normwise.comparison.outcome import Cost, Outcome, Probes, Row
from normwise.comparison.probing import Finding, probed
from normwise.data.dataset import Dataset
from normwise.data.patches import epoch_patches
from normwise.data.reading import read_record
from normwise.environment import installed
from normwise.errors import DivergedError, RunError
from normwise.memory import peak_memory
from normwise.training.evaluate import evaluate
from normwise.training.finished_run import Run
from normwise.training.history import History, read_history
from normwise.training.preparing import opened
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import differences
from normwise.training.run import train, train_until
from normwise.training.run_files import HISTORY, RECIPE
from normwise.training.run_folder import FILES

log = logging.getLogger("normwise.comparison")


def run_trial(
    recipe: Recipe,
    folder: Path,
    *,
    alone: bool = False,
    at_once: int = 1,
    progress: bool = True,
    until: int | None = None,
) -> Outcome | None:
    """Makes a trial, goes on with one that was interrupted, or hands back one that is done.

    A training whose loss is no number any more is a result like others.

    Args:
        recipe: What to train.
        folder: The trial's run folder.
        alone: Whether this process makes nothing else, so that its memory is the trial's.
        at_once: Processes that share the machine.
        progress: Say how it goes.
        until: Pause after this epoch, to be judged by the history so far.

    Returns:
        What it gave; None where it paused.

    Raises:
        RunError: If the folder holds a trial of another recipe.
        DataError: If the data can't be used.
    """
    if done := finished(recipe, folder):
        return done
    begun = any((folder / name).exists() for name in FILES)
    try:
        if until is not None:
            train_until(until, recipe, out=folder, resume=begun, progress=progress)
            return None
        run = train(recipe, out=folder, resume=begun, progress=progress)
    except DivergedError as error:
        outcome = _diverged(recipe, folder, str(error))
    else:
        outcome = _trained(recipe, run, alone, at_once)
    outcome.write(folder)
    return outcome


def finished(recipe: Recipe, folder: Path) -> Outcome | None:
    """A trial that is done, None if it isn't.

    Raises:
        RunError: If it is one of another recipe.
    """
    done = Outcome.read(folder)
    if done is None:
        return None
    if differing := differences(Recipe(**done.asked), recipe):
        raise RunError(
            f"The trial in {folder} was made with another recipe: {'; '.join(differing)}. Replace "
            "the comparison (`--overwrite`), or name another folder."
        )
    return done


def split_of(recipe: Recipe, dataset: Dataset) -> str:
    """Where the metric is compared: on test images, and in a cross-validation on each fold's."""
    return "test" if recipe.data.fold is None and dataset.split("test") else "val"


def _trained(asked: Recipe, run: Run, alone: bool, at_once: int) -> Outcome:
    recipe, memory = load_recipe(run.folder / RECIPE), peak_memory() if alone else None
    dataset, training = opened(recipe), recipe.training
    model, patch = run.model, _sides(recipe, dataset)
    metrics = _metrics(run, model, recipe, dataset)
    trained, state = parameters_of(model)
    cost = Cost(
        steps=_steps(recipe, dataset, run.history),
        seconds=sum(row["seconds"] for row in run.history),
        seconds_per_step=seconds_per_step(run.history, training.batch_size),
        seconds_per_megapixel=seconds_per_megapixel(model, patch),
        parameters=trained,
        statistics=state,
        peak_memory=memory,
        at_once=at_once,
    )
    ended = len(run.history) < training.epochs
    probes, findings = _probed(run, recipe, dataset)
    return Outcome(
        **_named(asked, recipe, dataset),
        stopped="its time or its patience was used up" if ended else "",
        best_epoch=run.best_epoch,
        history=run.history,
        metrics=metrics,
        cost=cost,
        norms=norms_of(run.folder, findings),
        probes=probes,
    )


def _probed(run: Run, recipe: Recipe, dataset: Dataset) -> tuple[Probes, tuple[Finding, ...]]:
    """What probes say, after all else: a probe that fails costs its numbers, not the training."""
    try:
        return probed(run, run.model, recipe, dataset, split_of(recipe, dataset))
    except Exception as error:
        log.warning(
            "%s: what the trained network is like is left out, since measuring it failed (%s: %s)",
            run.folder, type(error).__name__, error,
        )  # fmt: skip
        return Probes(), ()


def _diverged(asked: Recipe, folder: Path, reason: str) -> Outcome:
    recipe, path = load_recipe(folder / RECIPE), folder / HISTORY
    history = read_history(path) if path.is_file() else ()
    dataset = opened(recipe)
    cost = Cost(
        steps=_steps(recipe, dataset, history), seconds=sum(row["seconds"] for row in history)
    )
    return Outcome(
        **_named(asked, recipe, dataset),
        diverged=reason,
        history=history,
        cost=cost,
        norms=norms_of(folder),
    )


def _named(asked: Recipe, recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    split = split_of(recipe, dataset)
    return {
        "asked": asked.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "metric": str(recipe.training.metric),
        "split": split,
        "images": images_of(dataset, split),
        "versions": {**installed(), "backend": require_backend()},
    }


def _metrics(run: Run, model: Any, recipe: Recipe, dataset: Dataset) -> dict[str, Row]:
    found: dict[str, Row] = {"val": dict(run.metrics.values)}
    if dataset.split("test"):
        record = read_record(run.folder)
        fill = record.fill if record is not None else None
        tested = evaluate(model, dataset, "test", [fill], [recipe.prediction.tta])
        found["test"] = dict(tested.values)
    return found


def _steps(recipe: Recipe, dataset: Dataset, history: History) -> int:
    training = recipe.training
    patches = epoch_patches(dataset.split("train"), _sides(recipe, dataset))
    return len(history) * (training.steps or math.ceil(patches / training.batch_size))


def _sides(recipe: Recipe, dataset: Dataset) -> tuple[int, ...]:
    patch = recipe.data.patch
    assert patch is not None  # the run has chosen it
    return patch * (dataset.dimensions if len(patch) == 1 else 1)
