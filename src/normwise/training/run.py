"""A training run from its recipe to the files that it leaves."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from normwise.distributed.processes import is_first
from normwise.files import write_text
from normwise.training.checking import check_network, described
from normwise.training.finished_run import Run
from normwise.training.finishing import finish
from normwise.training.fit import refuse_other_recipe
from normwise.training.fitting import fitted
from normwise.training.history import History
from normwise.training.preparing import Parts, parts_of, with_rate
from normwise.training.progress import Watcher, watcher
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import flat_settings, told_settings
from normwise.training.recipe_reasons import reasoned_yaml
from normwise.training.reporting import LivePage, RunPage, forget_other, reported
from normwise.training.resolve import patch_notes
from normwise.training.run_files import HISTORY, LAST, LOG, PREVIEW, RECIPE
from normwise.training.run_folder import folder_of, logged, prepare_folder
from normwise.training.run_record import State
from normwise.training.trackers import Tracked, Tracker, record_end, trackers_of
from normwise.training.trained_data import TrainedData, refuse_other_data
from normwise.training.validation_notes import validation_notes

log = logging.getLogger("normwise.training")


def train(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    reasons: Mapping[str, str] | None = None,
) -> Run:
    """Trains the network of a recipe on its data.

    Args:
        recipe: What to train on what.
        out: The run folder; by default the recipe's `out`.
        resume: Go on with the run in that folder where it was interrupted.
        overwrite: Replace the run in that folder.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.
        reasons: Why settings are as they are, by dotted key; they stay with the run.

    Returns:
        The run. Its folder holds `recipe.yaml` (everything resolved), `model.keras` (takes raw
        pixel values and loads without normwise), `images.yaml` (how images are read for it),
        `data.json` (which images trained and which validated), `check.json` (what `check` finds in
        the network), `checkpoints/`, `history.csv`, `metrics.json`, `curves.png`, `preview.png` and
        `log.txt`, and a page about all of it: `report.html`, with `report.json`.

    Raises:
        DataError: If the data folder can't be used, with every problem.
        RecipeError: If a setting doesn't suit the data or the network.
        OutputExistsError: If the folder holds a run already.
        RunError: If the loss is no number any more, there is nothing to resume, the data of what is
            resumed have changed, or a tracker can't be used.

    Example:
        ```python
        run = train(Recipe(data={"path": "rivers"}), out="runs/rivers")
        run.metrics.values["iou"]
        ```
    """
    folder = folder_of(recipe, out)
    mode = _Mode(resume, overwrite, progress)
    with _begun(recipe, folder, mode, reasons or {}) as (parts, watch, trackers):
        with _paged(parts, recipe, folder) as page:
            standing = fitted(parts, folder, resume, _watched(watch, trackers, page, folder))
            metrics, seen = finish(parts, standing, folder)
            if page:
                page.finish(parts, metrics, seen, standing.stopped)
        record_end(trackers, standing.history, folder / PREVIEW)
        return Run(folder, metrics, standing.history, standing.best_epoch)


def train_until(
    epoch: int, recipe: Recipe, *, out: Path, resume: bool = False, progress: bool = True
) -> History:
    """Trains up to an epoch and leaves the run as if it had been interrupted there.

    The learning rate follows the schedule of the whole run, so that `train(resume=True)` ends with
    the very weights of a run that never paused.

    Args:
        epoch: The last epoch to train, counted from 1; a run that has come further stays.
        recipe: What to train on what.
        out: The run folder; it gets no model.
        resume: Go on with the run in that folder.
        progress: Say how it goes.

    Returns:
        One row an epoch so far.

    Raises:
        As `train` does.
    """
    mode = _Mode(resume, False, progress)
    with (
        _begun(recipe, out, mode, {}) as (parts, watch, trackers),
        _paged(parts, recipe, out) as page,
    ):
        history = fitted(parts, out, resume, _watched(watch, trackers, page, out), epoch).history
        if page:
            page.end(State.interrupted, "It paused there, to be judged beside others.")
        return history


@dataclass(frozen=True)
class _Mode:
    """What is done with a run that the folder holds, and whether it is said how it goes."""

    resume: bool
    overwrite: bool
    progress: bool


@contextmanager
def _begun(
    recipe: Recipe, folder: Path, mode: _Mode, reasons: Mapping[str, str]
) -> Iterator[tuple[Parts, Watcher, tuple[Tracker, ...]]]:
    """What a run is made of, and who is told of it, while all that happens is logged."""
    parts = parts_of(recipe)
    prepare_folder(folder, mode.resume, mode.overwrite)
    with logged(folder / LOG):
        parts = replace(parts, recipe=with_rate(parts, folder, mode.resume))
        if mode.resume and (folder / LAST).exists():
            # Before anything is written: the run that is there stays as it is.
            refuse_other_recipe(parts.recipe, folder)
            refuse_other_data(parts.dataset, folder)
        _describe(parts, folder, reasons)
        findings = check_network(parts, folder) if is_first() else None
        trackers = _trackers(parts.recipe, folder, mode.resume)
        watch = watcher(mode.progress, str(parts.recipe.training.metric))
        for line in described(findings) if findings else ():
            watch.note(f"check: {line}")
        metric = str(parts.recipe.training.metric)
        for line in validation_notes(metric, parts.dataset) if is_first() else ():
            log.warning("validation: %s", line)
            watch.note(f"validation: {line}")
        yield parts, watch, trackers


@contextmanager
def _paged(parts: Parts, recipe: Recipe, folder: Path) -> Iterator[RunPage | None]:
    """The run's page, which the first of several processes writes."""
    if not is_first():
        yield None
        return
    with reported(parts, told_settings(recipe), folder) as page:
        yield page


def _watched(
    watch: Watcher, trackers: tuple[Tracker, ...], page: RunPage | None, folder: Path
) -> Watcher:
    live = (LivePage(page),) if page else ()
    if not trackers and not live:
        return watch
    return Tracked(watch, (*trackers, *live), folder / HISTORY)


def _trackers(recipe: Recipe, folder: Path, resume: bool) -> tuple[Tracker, ...]:
    names = recipe.training.trackers if is_first() else ()
    return trackers_of(names, folder, flat_settings(recipe), resume)


def _describe(parts: Parts, folder: Path, reasons: Mapping[str, str]) -> None:
    recipe, dataset, network = parts.recipe, parts.dataset, parts.network
    if not ((folder / RECIPE).exists() and (folder / LAST).exists()):
        # A run that goes on keeps its own, with the reasons in it.
        forget_other(recipe, folder)
        write_text(folder / RECIPE, reasoned_yaml(recipe, reasons))
        TrainedData.of(dataset).write(folder)
    splits = ", ".join(f"{len(dataset.split(name))} {name}" for name in ("train", "val", "test"))
    log.info("%s on %s: %s images", dataset.task, dataset.root, splits)
    for note in (*dataset.notes, *patch_notes(recipe, dataset)):
        log.info("data: %s", note)
    log.info("%s, %s, %d parameters", network.name, recipe.norm, network.count_params())
    log.info("keras %s on %s", keras.__version__, keras.backend.backend())
    if recipe.training.accumulate > 1:
        log.info(
            "one update from %d steps of %d patches; batch normalization sees the %d of a step",
            recipe.training.accumulate,
            recipe.training.batch_size,
            recipe.training.batch_size,
        )
