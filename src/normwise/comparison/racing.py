"""A comparison whose worse variants are stopped on the way."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from normwise.comparison.experiment import Experiment
from normwise.comparison.halving import Race, judged, rungs_of, value_after
from normwise.comparison.outcome import Outcome
from normwise.comparison.processes import Asked
from normwise.errors import RecipeError
from normwise.training.history import History, read_history
from normwise.training.recipe import load_recipe
from normwise.training.run_files import HISTORY, RECIPE

_JUDGED_BY = {
    "training.epochs": "the full length",
    "training.steps": "the full length",
    "training.metric": "what they are judged by",
    "data.validation": "the images that they are judged by",
}


def refuse_unequal(experiment: Experiment) -> None:
    """Refuses comparisons whose variants can't be judged at one step.

    Raises:
        RecipeError: If the full length, the metric or the validation images vary, or a trial may
            end by itself.
    """
    varied = {text.partition("=")[0] for one in experiment.variants for text in one.settings}
    for key in sorted(varied & _JUDGED_BY.keys()):
        raise RecipeError(
            f"--halving stops variants at equal steps of one length, by one metric; --vary {key} "
            f"changes {_JUDGED_BY[key]}. Compare those without --halving and --budget."
        )
    training = experiment.base.training
    for key in ("budget", "early_stopping"):
        if getattr(training, key) is not None or f"training.{key}" in varied:
            raise RecipeError(
                f"training.{key} ends trials by themselves, --halving at equal steps; leave one "
                "of them out."
            )
    rungs_of(len(experiment.variants), training.epochs)


def raced(
    asked: Sequence[Asked],
    make: Callable[[Sequence[Asked]], None],
    say: Callable[[str], None] = lambda text: None,
) -> Race | None:
    """Trains all variants up to the first rung, the better half up to the next, and so on.

    What is decided follows from the histories of the trials alone: the same call after an
    interruption decides the same.

    Args:
        asked: All trials, with recipes of one length.
        make: Trains what it is given, each up to its `until`, and leaves it to be resumed.
        say: Is told what is stopped.

    Returns:
        What was stopped, and when; None where two variants are all there are.
    """
    names = list(dict.fromkeys(trial.variant.name for trial, *_ in asked))
    epochs = asked[0][1].training.epochs
    alive, rungs, metric, steps = tuple(names), [], "", None
    for epoch in rungs_of(len(names), epochs):
        here = [one for one in asked if one[0].variant.name in alive]
        make(
            [
                (replace(trial, until=epoch), recipe, folder)
                for trial, recipe, folder in here
                if Outcome.read(folder) is None and len(_history(folder)) < epoch
            ]
        )
        training = load_recipe(here[0][2] / RECIPE).training
        metric, steps = str(training.metric), training.steps
        values: dict[str, list[float]] = {}
        for trial, _, folder in here:
            own = values.setdefault(trial.variant.name, [])
            own.append(value_after(epoch, _history(folder), metric))
        rung = judged(epoch, values, metric)
        stopped = ", ".join(f"{name} ({rung.mean(name):.4g})" for name in rung.stopped)
        say(f"stopped after {epoch} of {epochs} epochs, by validation {metric}: {stopped}")
        rungs.append(rung)
        alive = rung.kept
    return Race(metric, epochs, steps, tuple(rungs)) if rungs else None


def _history(folder: Path) -> History:
    path = folder / HISTORY
    return read_history(path) if path.is_file() else ()
