"""What a run's page shows, read from the files of its folder."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from normwise.graph.graph import Graph
from normwise.report.network.inline import inline_svg
from normwise.report.trained.facts import Choice, Course, Fault, RunFacts, Scores, Shown
from normwise.training.checking import findings_in
from normwise.training.history import History, read_history
from normwise.training.metrics import Metrics
from normwise.training.pictures import IN_UNITS
from normwise.training.recipe import Recipe, load_recipe, to_yaml
from normwise.training.recipe_changes import as_setting, flat_settings, told_settings
from normwise.training.recipe_reasons import read_reasons
from normwise.training.run_files import CHECK, HISTORY, RECIPE
from normwise.training.run_record import Evaluation, RunRecord, State
from normwise.training.run_words import answer, checked, course_note, named, telling
from normwise.training.standing import best_epoch

_AS_TOLD: Final = "as told"
_CHOSEN: Final = {
    "data.labels": "what the data folder has",
    "data.patch": "the largest image, at most 128 pixels a side (of volumes 48), in whole strides",
    "norm": "the network's own plan, its input scaled",
    "training.loss": "the usual one of the task",
    "training.metric": "the usual one of the task",
    "training.learning_rate": "found by a trial of rates: learning_rate.png",
}
"""Why a run has chosen what nobody told it."""
_MOST_CLASSES: Final = 12
_MOST_LAYERS: Final = 6


def facts_of(folder: Path, record: RunRecord, graph: Graph, shown: Shown | None) -> RunFacts:
    """All that the page shows.

    Args:
        folder: The run folder.
        record: What its other files don't tell.
        graph: Its network.
        shown: Example predictions.
    """
    recipe = load_recipe(folder / RECIPE)
    path = folder / HISTORY
    history = read_history(path) if path.is_file() else ()
    reasons = read_reasons(folder / RECIPE)
    faults = tuple(_faults(folder))
    said = answer(record, recipe, history, str(folder))
    return RunFacts(
        title=f"{recipe.network.name} on {Path(record.data).name}",
        plan=str(recipe.norm),
        answer=f"{said} {checked(faults)}".rstrip(),
        troubled=record.state not in (State.finished, State.running),
        scores=tuple(_scores(found, record, recipe) for found in telling(record)),
        course=_course(recipe, history),
        shown=shown,
        network=inline_svg(graph, recipe.network.name),
        faults=faults,
        choices=tuple(_choices(recipe, record, reasons)),
        recipe=to_yaml(recipe),
        command=record.command,
        versions={
            "data": record.data,
            "images": ", ".join(f"{count} {name}" for name, count in record.images.items()),
            "data fingerprint": record.fingerprint,
            **record.versions,
        },
    )


def _scores(found: Evaluation, record: RunRecord, recipe: Recipe) -> Scores:
    head, *rows = found.metrics.table()
    mean = rows.pop()
    foot = [mean] if len(rows) > 1 else []
    if found.floor is not None:
        _, *others = found.floor.metrics.table()
        foot.append((f"simplest answer: {found.floor.constant.name}", *others[-1][1:]))
    return Scores(
        title=named(found, record),
        note=_note(found, record, recipe),
        head=head,
        rows=tuple(rows),
        foot=tuple(foot),
        confusion=_confusion(found.metrics),
    )


def _note(found: Evaluation, record: RunRecord, recipe: Recipe) -> str:
    pixels = f"Over all {found.metrics.pixels:,} pixels that have a label, of whole images."
    extra = "" if found.metrics.task == "segmentation" else " In the units of the targets."
    validated = found.split == "val" and found.data == record.data
    chose = validated and recipe.training.keep == "best"
    return f"{pixels}{extra}{' These images have chosen the epoch.' if chose else ''}"


def _confusion(metrics: Metrics) -> dict[str, tuple[float, ...]]:
    if not 0 < len(metrics.confusion) <= _MOST_CLASSES:
        return {}
    rows = zip(metrics.per_class, metrics.confusion, strict=True)
    return {
        name: tuple(count / sum(counts) if sum(counts) else math.nan for count in counts)
        for name, counts in rows
    }


def _course(recipe: Recipe, history: History) -> Course:
    metric, loss = str(recipe.training.metric), str(recipe.training.loss)
    unit = " (target units)" if metric in IN_UNITS else ""
    columns = ("epoch", "loss", "val_loss", f"val_{metric}")
    epochs, training, validation, values = (
        tuple(row.get(name, math.nan) for row in history) for name in columns
    )
    best, note = best_epoch(history, metric), course_note(history, recipe)
    if recipe.training.keep == "last" or not best or not math.isfinite(values[best - 1]):
        best = 0  # the place or the loss decided: there is no point to mark
    return Course(loss, f"{metric}{unit}", epochs, training, validation, values, best, note)


def _faults(folder: Path) -> Iterator[Fault]:
    for found in findings_in(folder) if (folder / CHECK).is_file() else ():
        layers, more = found["layers"][:_MOST_LAYERS], len(found["layers"]) - _MOST_LAYERS
        if more > 0:
            layers.append(f"and {more} more")
        name = f"{found['code']} {found['name']}"
        told = (found[key] for key in ("message", "why", "fix"))
        yield Fault(found["severity"], name, tuple(layers), *told)


def _choices(recipe: Recipe, record: RunRecord, reasons: Mapping[str, str]) -> Iterator[Choice]:
    """The settings that are not at their defaults, and those that have a reason to be."""
    other = told_settings(recipe)
    for key, value in flat_settings(recipe).items():
        if key in reasons:
            yield Choice(key, as_setting(value), reasons[key])
        elif key in other:
            yield Choice(key, as_setting(value), _reason(key, value, record.told))


def _reason(key: str, value: Any, told: Mapping[str, Any]) -> str:
    if key not in told:
        return _CHOSEN.get(key, "chosen for these data")
    if told[key] == value:
        return _AS_TOLD
    if key == "norm":
        return f"{_AS_TOLD}, its input scaled"
    return f"{_AS_TOLD}: {as_setting(told[key])}"
