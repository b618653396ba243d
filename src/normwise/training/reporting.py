"""A run's page, `report.html`: written when it begins, while it trains, and however it ends."""

import logging
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from normwise.data.content_hash import content_hash
from normwise.data.dataset import SPLITS, Dataset
from normwise.environment import installed
from normwise.errors import DivergedError
from normwise.files import write_text
from normwise.graph.graph import Graph
from normwise.keras_format.reading import read_graph
from normwise.report.page.examples import SHOWN
from normwise.report.preview import class_colour
from normwise.report.trained.facts import Shown
from normwise.report.trained.page import html_page
from normwise.training.floors import Constant
from normwise.training.history import History
from normwise.training.metrics import Metrics
from normwise.training.pictures import meaning_of
from normwise.training.preparing import Parts
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import as_setting, differences, told_settings
from normwise.training.run_facts import facts_of
from normwise.training.run_files import MODEL, PAGE, RECIPE, RECORD
from normwise.training.run_record import Evaluation, RunRecord, State
from normwise.training.run_words import named
from normwise.training.seen import SeenImages
from normwise.training.trained_data import TrainedData

PAUSE: Final = 30.0
"""Seconds between two pages of a run that trains."""

log = logging.getLogger("normwise.training")


@contextmanager
def harmless() -> Iterator[None]:
    """Logs what goes wrong inside: a page must not cost the run that it is about."""
    try:
        yield
    except Exception as error:
        log.warning("%s isn't written: %s %s", PAGE, type(error).__name__, error)


@dataclass
class RunPage:
    """The page of a run.

    Args:
        folder: The run folder.
        kept: What its other files don't tell.
        graph: Its network.
    """

    folder: Path
    kept: RunRecord
    graph: Graph = field(repr=False)

    def write(self, shown: Shown | None = None) -> None:
        """Writes `report.json` and `report.html`; what goes wrong is logged.

        Args:
            shown: Example predictions.
        """
        with harmless():
            self.kept.write(self.folder)
            facts = facts_of(self.folder, self.kept, self.graph, shown)
            write_text(self.folder / PAGE, html_page(facts))

    def end(self, state: State, why: str = "") -> None:
        """Says how a run ended that has no model."""
        self.kept = replace(self.kept, state=state, why=why)
        self.write()

    def finish(self, parts: Parts, metrics: Metrics, seen: SeenImages, stopped: str) -> None:
        """Says what the finished model reaches on the validation images; what goes wrong is logged.

        Args:
            parts: What the run is made of.
            metrics: Of the whole validation images.
            seen: What was seen of them.
            stopped: Why the run ended before its last epoch; empty if it did not.
        """
        self.kept = replace(self.kept, state=State.finished, why=stopped)
        with harmless():
            self.graph = read_graph(self.folder / MODEL)
            images, metric = len(parts.dataset.split("val")), str(parts.recipe.training.metric)
            floor = seen.floors.best(metric)
            found = Evaluation(self.kept.data, "val", images, metrics, floor)
            self.add(found, seen, parts.dataset)
            return
        self.write()

    def add(self, found: Evaluation, seen: SeenImages, dataset: Dataset) -> None:
        """Adds what the model reaches on some images, and shows the first of them.

        What goes wrong is logged.
        """
        self.kept, shown = self.kept.having(found), None
        with harmless():
            shown = _shown(found, self.kept, seen, dataset)
        self.write(shown)


class LivePage:
    """A tracker that writes the page of a run anew while it trains, now and then."""

    def __init__(self, page: RunPage) -> None:
        self._page, self._written = page, time.monotonic()

    def record(self, history: History) -> None:
        """An epoch is done; the folder has its history."""
        if time.monotonic() - self._written >= PAUSE:
            self._page.write()
            self._written = time.monotonic()

    def finish(self, preview: Path) -> None:
        """Whoever made the page finishes it."""


@contextmanager
def reported(parts: Parts, told: Mapping[str, Any], folder: Path) -> Iterator[RunPage | None]:
    """Leaves a page in the run folder, however the training inside ends.

    A run that goes on keeps what was told when it began, and what its model reaches.

    Args:
        parts: What the run is made of, with every choice made.
        told: The settings that were told, by dotted key.
        folder: The run folder, with the recipe and the check in it.

    Yields:
        The page; None where none can be made, which is logged.
    """
    page = _first_page(parts, told, folder)
    if page is None:
        yield None
        return
    page.write()
    try:
        yield page
    except KeyboardInterrupt:
        page.end(State.interrupted)
        raise
    except DivergedError as error:
        page.end(State.diverged, str(error))
        raise
    except BaseException as error:
        page.end(State.failed, f"{type(error).__name__}: {error}")
        raise


def forget_other(recipe: Recipe, folder: Path) -> None:
    """Removes the record of a run that ended before its first epoch and had another recipe.

    Args:
        recipe: The resolved recipe that is trained now.
        folder: The run folder, which holds no checkpoint.
    """
    with harmless():
        path = folder / RECIPE
        if not path.is_file() or differences(load_recipe(path), recipe):
            (folder / RECORD).unlink(missing_ok=True)


def page_of(folder: Path) -> RunPage | None:
    """The page of a finished run, to add to; None for a folder without.

    Raises:
        RunError: If its record can't be read.
    """
    kept = RunRecord.read(folder)
    return RunPage(folder, kept, read_graph(folder / MODEL)) if kept else None


def constants_in(record: RunRecord) -> tuple[Constant, ...]:
    """The constant answer that a run has chosen on its validation images."""
    floors = [own.floor for own in record.evaluations if own.split == "val" and own.floor]
    return tuple(floor.constant for floor in floors[:1])


def _first_page(parts: Parts, told: Mapping[str, Any], folder: Path) -> RunPage | None:
    with harmless():
        return RunPage(folder, _begun(parts, told, folder), read_graph(parts.network))
    return None


def _begun(parts: Parts, told: Mapping[str, Any], folder: Path) -> RunRecord:
    recipe, dataset, before = parts.recipe, parts.dataset, None
    with harmless():
        before = RunRecord.read(folder)
    trained = TrainedData.read(folder)
    return RunRecord(
        # What is resumed is the resolved recipe, which doesn't tell the told from the chosen.
        command=before.command if before else _command(recipe, folder),
        told=before.told if before else told,
        data=recipe.data.path,
        fingerprint=trained.fingerprint if trained else content_hash(dataset),
        images={split: len(dataset.split(split)) for split in SPLITS},
        versions=installed(),
        evaluations=before.evaluations if before else (),
    )


def _command(recipe: Recipe, folder: Path) -> str:
    words = ["normwise", "train", recipe.data.path]
    for key, value in told_settings(recipe).items():
        words += ["--set", f"{key}={as_setting(value)}"]
    return shlex.join([*words, "-o", str(folder)])


def _shown(found: Evaluation, record: RunRecord, seen: SeenImages, dataset: Dataset) -> Shown:
    meaning, names = meaning_of(dataset, seen.output), seen.output.names
    several = not meaning.classes and len(names) > 1
    first = f" Of the targets {names[0]} is shown." if several else ""
    middle = f"of large ones the middle {SHOWN} x {SHOWN} pixels"
    return Shown(
        seen.rows(meaning),
        f"From {named(found, record)}, {middle}.{first}",
        tuple((name, class_colour(meaning, k)) for k, name in enumerate(meaning.classes)),
    )
