"""The words of a run's page: what was reached, on which images, beside what is easily reached."""

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from normwise.report.page.numbers import number
from normwise.report.trained.facts import Fault
from normwise.training.history import History
from normwise.training.metrics import is_better
from normwise.training.recipe import Recipe
from normwise.training.run_record import Evaluation, RunRecord, State
from normwise.training.standing import best_epoch, deciding, kept_epoch

_NAMES: Final = {"train": "training", "val": "validation", "test": "test"}
_ORDER: Final = ("test", "val", "train")
_FORM: Final = "{:.4g}"


def telling(record: RunRecord) -> tuple[Evaluation, ...]:
    """The evaluations, those first that say most of other images: the run's own test images."""
    return tuple(
        sorted(
            record.evaluations,
            key=lambda one: (_ORDER.index(one.split), one.data != record.data, one.tta != "none"),
        )
    )


def named(found: Evaluation, record: RunRecord) -> str:
    """Which images, such as `4 test images of /data/lakes`."""
    images = "image" if found.images == 1 else "images"
    other = f" of {found.data}" if found.data != record.data else ""
    views = f" (mean of their {found.tta})" if found.tta != "none" else ""
    return f"{found.images} {_NAMES[found.split]} {images}{other}{views}"


def answer(record: RunRecord, recipe: Recipe, history: History, folder: str) -> str:
    """What the page says in a paragraph; its commands can be pasted into a shell."""
    sentences = {State.finished: _finished, State.running: _on_its_way, State.diverged: _diverged}
    return " ".join(
        sentences.get(record.state, _ended)(record, recipe, history, shlex.quote(folder))
    )


def _finished(record: RunRecord, recipe: Recipe, history: History, folder: str) -> Iterator[str]:
    metric, found = str(recipe.training.metric), telling(record)
    for one in found[:2]:
        yield _reached(one, record, metric)
    kept = f"epoch {kept_epoch(history, recipe.training)} of {recipe.training.epochs}"
    if recipe.training.keep == "last":
        yield f"The weights are those after {kept}, the last one."
    elif deciding(history, metric) == metric:
        yield f"{kept.capitalize()} was the best; its weights are the model's."
    else:
        yield (
            f"In no epoch was {metric} a number, so that the validation loss chose {kept}, whose "
            "weights are the model's."
        )
    if record.why:
        yield f"Training ended early: {record.why}."
    if all(one.split == "val" for one in found):
        if recipe.training.keep == "best":
            yield (
                "The validation images have chosen that epoch, so their value is a little too good."
            )
        if record.images.get("test"):
            yield f"What it reaches on the test images, `normwise evaluate {folder}` adds here."


def _reached(found: Evaluation, record: RunRecord, metric: str) -> str:
    value = found.metrics.values.get(metric, math.nan)
    said = f"It reaches {metric} {number(value, _FORM)} on {named(found, record)}"
    if found.floor is None:
        return f"{said}."
    least = found.floor.metrics.values.get(metric, math.nan)
    easy = f"the simplest answer, {found.floor.constant.name},"
    if not math.isfinite(least):
        return f"{said}, where {easy} has none."
    if math.isfinite(value) and is_better(metric, value, least):
        return f"{said}, where {easy} reaches {number(least, _FORM)}."
    return f"{said}. That is no better than {easy} which reaches {number(least, _FORM)}."


def _on_its_way(record: RunRecord, recipe: Recipe, history: History, folder: str) -> Iterator[str]:
    yield f"This run had not come to its end when this was written: {_done(recipe, history)}."
    yield from _so_far(recipe, history)
    yield f"If nothing trains it any more, `normwise train {folder} --resume` goes on with it."


def _diverged(record: RunRecord, recipe: Recipe, history: History, folder: str) -> Iterator[str]:
    yield f"This run diverged, so that there is no model. {record.why}"
    yield f"Before that, {_done(recipe, history)}."
    yield from _so_far(recipe, history)


def _ended(record: RunRecord, recipe: Recipe, history: History, folder: str) -> Iterator[str]:
    how = "was interrupted" if record.state is State.interrupted else "failed"
    yield f"This run {how}; {_done(recipe, history)}. {record.why}".rstrip()
    yield from _so_far(recipe, history)
    yield f"`normwise train {folder} --resume` goes on with it."


def _done(recipe: Recipe, history: History) -> str:
    epochs = recipe.training.epochs
    if not history:
        return f"no epoch of {epochs} was done"
    return f"{len(history)} of {epochs} epochs {'was' if len(history) == 1 else 'were'} done"


def _so_far(recipe: Recipe, history: History) -> Iterator[str]:
    metric = str(recipe.training.metric)
    if best := best_epoch(history, metric):
        name = deciding(history, metric)
        value = number(history[best - 1][f"val_{name}"], _FORM)
        yield f"The best of them was epoch {best}, with {name} {value} on the validation images."


def checked(faults: Sequence[Fault]) -> str:
    """How many errors and warnings the check has; nothing where there are none."""
    counts = {kind: sum(one.severity == kind for one in faults) for kind in ("error", "warning")}
    told = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    return f"`normwise check` has {' and '.join(told)} of the network: see below." if told else ""


def course_note(history: History, recipe: Recipe) -> str:
    """How long it took."""
    if not history:
        return ""
    seconds = sum(row["seconds"] for row in history)
    speeds = sorted(row["patches_per_second"] for row in history)
    epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
    return (
        f"{epochs} in {seconds:,.0f} s, validation included; {speeds[len(speeds) // 2]:,.3g} "
        f"patches a second in the median epoch, {recipe.training.batch_size} a step."
    )
