"""A training run from its recipe to the files that it leaves."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from normwise.distributed.processes import is_first
from normwise.files import write_text
from normwise.training.checking import check_network, described
from normwise.training.finishing import finish
from normwise.training.fit import LAST
from normwise.training.fitting import fitted
from normwise.training.history import History
from normwise.training.metrics import Metrics
from normwise.training.preparing import Parts, parts_of, with_rate
from normwise.training.progress import watcher
from normwise.training.recipe import Recipe, to_yaml
from normwise.training.recipe_changes import flat_settings
from normwise.training.resolve import patch_notes
from normwise.training.run_folder import folder_of, logged, prepare_folder
from normwise.training.trackers import Tracked, Tracker, trackers_of

log = logging.getLogger("normwise.training")


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        folder: Its folder.
        metrics: Of the best epoch on the whole validation images, in the target's units.
        history: One row an epoch.
        best_epoch: The epoch whose weights were kept, counted from 1.
    """

    folder: Path
    metrics: Metrics
    history: History = field(repr=False)
    best_epoch: int

    @property
    def model(self) -> keras.Model:
        """The trained model, loaded anew: raw pixel values to probabilities or target units."""
        return keras.saving.load_model(self.folder / "model.keras", compile=False, safe_mode=True)


def train(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Trains the network of a recipe on its data.

    Args:
        recipe: What to train on what.
        out: The run folder; by default the recipe's `out`.
        resume: Go on with the run in that folder where it was interrupted.
        overwrite: Replace the run in that folder.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.

    Returns:
        The run. Its folder holds `recipe.yaml` (everything resolved), `model.keras` (takes raw
        pixel values and loads without normwise), `images.yaml` (how images are read for it),
        `check.json` (what `check` finds in the network), `checkpoints/`, `history.csv`,
        `metrics.json`, `curves.png`, `preview.png` and `log.txt`.

    Raises:
        DataError: If the data folder can't be used, with every problem.
        RecipeError: If a setting doesn't suit the data or the network.
        OutputExistsError: If the folder holds a run already.
        RunError: If the loss is no number any more, there is nothing to resume, or a tracker can't
            be used.

    Example:
        ```python
        run = train(Recipe(data={"path": "rivers"}), out="runs/rivers")
        run.metrics.values["iou"]
        ```
    """
    folder = folder_of(recipe, out)
    parts = parts_of(recipe)
    prepare_folder(folder, resume, overwrite)
    with logged(folder / "log.txt"):
        parts = replace(parts, recipe=with_rate(parts, folder, resume))
        _describe(parts, folder)
        findings = check_network(parts, folder) if is_first() else None
        trackers = _trackers(parts.recipe, folder, resume)
        watch = watcher(progress, str(parts.recipe.training.metric))
        if trackers:
            watch = Tracked(watch, trackers, folder / "history.csv")
        for line in described(findings) if findings else ():
            watch.note(f"check: {line}")
        standing = fitted(parts, folder, resume, watch)
        metrics = finish(parts, standing, folder)
        for tracker in trackers:
            tracker.record(standing.history)
            tracker.finish(folder / "preview.png")
        return Run(folder, metrics, standing.history, standing.best_epoch)


def _trackers(recipe: Recipe, folder: Path, resume: bool) -> tuple[Tracker, ...]:
    names = recipe.training.trackers if is_first() else ()
    return trackers_of(names, folder, flat_settings(recipe), resume)


def _describe(parts: Parts, folder: Path) -> None:
    recipe, dataset, network = parts.recipe, parts.dataset, parts.network
    if not ((folder / "recipe.yaml").exists() and (folder / LAST).exists()):
        # A resumed run keeps its own: it may yet be refused because the two differ.
        write_text(folder / "recipe.yaml", to_yaml(recipe))
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
