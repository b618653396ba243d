"""Making the trials of a comparison that are still missing: here, in processes or on Ray."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normwise.comparison.experiment import Trial
from normwise.comparison.outcome import Outcome
from normwise.distributed.where import RAY, Where
from normwise.training.recipe import Recipe

if TYPE_CHECKING:
    from normwise.comparison.halving import Race

Say = Callable[[str], None]
Asked = tuple[Trial, Recipe, Path]
"""A trial with its recipe and its folder."""


def made(
    asked: Sequence[Asked],
    halving: bool,
    where: Where,
    progress: bool,
    say: Say,
) -> tuple[Race | None, dict[str, list[Outcome]]]:
    """Makes what is missing.

    Args:
        asked: All trials of the comparison.
        halving: Whether the worse variants are stopped early.
        where: Where trials are made.
        progress: Whether to show the course of each training.
        say: Is told of each trial.

    Returns:
        What was stopped, and what each other trial gave, by variant.

    Raises:
        RunError: If trials that are paired were measured on different images, or one of them can't
            be made.
    """
    from normwise.comparison.racing import raced  # noqa: PLC0415
    from normwise.comparison.running import finished  # noqa: PLC0415
    from normwise.comparison.same_images import refuse_unpaired  # noqa: PLC0415

    race = None
    if halving:
        race = raced(asked, lambda part: _train(part, len(part), where, progress, say), say)
    if race is not None:
        asked = [one for one in asked if one[0].variant.name in race.kept]
    missing = [one for one in asked if finished(one[1], one[2]) is None]
    done = len(asked) - len(missing)
    say(f"{len(asked)} trials, {done} of them done already" if done else f"{len(asked)} trials")
    _train(missing, len(asked), where, progress, say)
    outcomes: dict[str, list[Outcome]] = {}
    for trial, recipe, folder in asked:
        outcome = finished(recipe, folder)
        assert outcome is not None
        outcomes.setdefault(trial.variant.name, []).append(outcome)
    refuse_unpaired(outcomes)
    return race, outcomes


def _train(
    missing: Sequence[Asked],
    total: int,
    where: Where,
    progress: bool,
    say: Say,
) -> None:
    from normwise.comparison.on_ray import on_ray  # noqa: PLC0415
    from normwise.comparison.processes import in_processes  # noqa: PLC0415
    from normwise.comparison.running import run_trial  # noqa: PLC0415

    done = total - len(missing)
    count = _Count(done, total, {trial: folder for trial, _, folder in missing}, say)
    try:
        if where.kind == RAY:
            on_ray(missing, where, count)
        elif where.at_once is not None:
            in_processes(missing, where.at_once, count)
        else:
            for trial, recipe, folder in missing:
                run_trial(recipe, folder, progress=progress, until=trial.until)
                count(trial)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The comparison was interrupted; {count.done} of {count.all} trials are done, and "
            "finished epochs of others are kept. The same command goes on."
        ) from None


@dataclass
class _Count:
    """Says how many trials are done."""

    done: int
    all: int
    folders: Mapping[Trial, Path]
    say: Say

    def __call__(self, trial: Trial) -> None:
        self.done += 1
        outcome = Outcome.read(self.folders[trial])
        if outcome is None:
            self.say(f"{self.done} of {self.all}: {trial.name}: to epoch {trial.until}")
            return
        value = f"{outcome.value:.4g}" if math.isfinite(outcome.value) else "undefined"
        gave = "diverged" if outcome.diverged else f"{outcome.metric} {value}"
        self.say(f"{self.done} of {self.all}: {trial.name}: {gave}, {outcome.cost.seconds:.0f} s")
