"""The time of a whole comparison, turned into training steps once and for all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from normwise.comparison.experiment import Experiment
from normwise.comparison.feasibility import refuse_impossible
from normwise.comparison.pace import steps_for
from normwise.data.dataset import Dataset
from normwise.errors import RunError
from normwise.training.recipe_changes import with_settings


def planned(
    experiment: Experiment,
    budget: float,
    dataset: Dataset,
    record: Path | None,
    say: Callable[[str], None],
) -> Experiment:
    """The comparison with the steps of its trials.

    They are measured once: a comparison that was interrupted goes on with those that it was begun
    with, for rungs and schedules hang on them.

    Args:
        experiment: What is compared, with the number of epochs.
        budget: Seconds.
        dataset: The data.
        record: What the comparison was begun with, if it was; None begins anew.
        say: Is told the steps.

    Raises:
        RunError: If it was begun with another budget.
        RecipeError: If the time is too short, or a variant can't be trained.
        PlanError: If a variant can't be built.
    """
    steps = _recorded(record, budget) if record is not None and record.is_file() else None
    if steps is None:
        recipes = {trial.variant.name: experiment.recipe(trial) for trial in experiment.trials()}
        refuse_impossible(recipes, dataset)
        blocks = sum(1 for _ in experiment.blocks())
        epochs = experiment.base.training.epochs
        total = steps_for(budget, recipes, dataset, blocks, epochs)
        steps = total // epochs
        say(f"{total:,} training steps to the end, as measured on this machine")
    return replace(experiment, base=with_settings(experiment.base, [f"training.steps={steps}"]))


def _recorded(record: Path, budget: float) -> int | None:
    try:
        was = json.loads(record.read_text(encoding="utf-8"))
        before, steps = was["budget"], was["recipe"]["training"]["steps"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # what is wrong with the record is told by who compares the rest of it
    if before != budget:
        begun = "without --budget" if before is None else f"with a budget of {before:g} s"
        raise RunError(
            f"The comparison in {record.parent} was begun {begun}, this is one of {budget:g} s, "
            "which would make other steps. Say the same as before, name another folder, or "
            "replace it with `--overwrite`."
        )
    return int(steps) if steps else None
