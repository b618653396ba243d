"""Comparing norm plans on one's own data: trials under equal conditions, and what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normwise.backend import require_backend
from normwise.comparison.experiment import Experiment, variants_of
from normwise.comparison.outcome import TRIAL_FILE, Outcome
from normwise.distributed.where import PROCESSES, RAY, Where, where_of
from normwise.errors import RecipeError
from normwise.training.recipe import Recipe
from normwise.workflows.amounts import seconds_of
from normwise.workflows.compare_record import (
    EXPERIMENT_FILE,
    ground_of,
    prepare,
    refuse_others,
    refuse_unknown,
)
from normwise.workflows.compare_trials import Asked, Say, made
from normwise.workflows.train import recipe_of, with_whole_path

if TYPE_CHECKING:
    from normwise.comparison.halving import Race
    from normwise.comparison.summary import Line, Summary
    from normwise.comparison.verdicts import Pair

VALIDATIONS: Final = 20
"""About how often a trial of so many steps is validated; of few steps, after each."""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: Its folder: `report.html`, `report.md`, `comparison.json`, and the run folders of
            all trials in `trials/`.
        answer: The answer in a paragraph.
        summary: The numbers.
    """

    folder: Path
    answer: str
    summary: Summary = field(repr=False)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the trials of each variant say: `.variant.name`, `.mean`, `.spread`, `.values`."""
        return self.summary.lines

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two variants: `.paired` (differences, interval, effect), `.adjusted`,
        `.outcome`, `.verdict()`."""
        return self.summary.pairs


def compare(  # noqa: PLR0913 - each is an option of the command
    data: Recipe | Mapping[str, Any] | str | PathLike[str],
    plans: Sequence[str],
    *,
    out: str | PathLike[str],
    seeds: int = 3,
    folds: int | None = None,
    vary: Sequence[str] = (),
    settings: Sequence[str] = (),
    steps: int | None = None,
    halving: bool = False,
    budget: str | float | None = None,
    processes: int | None = None,
    on: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    say: Say = lambda text: None,
) -> Comparison:
    """Trains the same network under different norm plans and says what the trials show.

    Trials of one seed are paired: the layers that their networks share begin with the same
    weights, and they see the same patches in the same order. Every finished trial is kept; the
    same call goes on with a comparison that was interrupted, and more seeds, plans or varied
    settings add to one that is done.

    Args:
        data: A data folder, a recipe file, a `Recipe` or its settings: what all trials have in
            common.
        plans: Norm plans; the scaling of the input belongs to each unless it names another.
        out: The folder of the comparison.
        seeds: Trials of each variant, with seeds counted on from the recipe's.
        folds: Cross-validation: each seed trains once for each of so many folds.
        vary: Texts like `"network.decoder_activation=null,relu"`: every plan with each value.
        settings: Texts like `"training.batch_size=4"` that replace settings for all trials.
        steps: Training steps of each trial, rounded to about 20 epochs, after each of which it is
            validated; by default what the recipe says.
        halving: Successive halving, for many plans: stop the worse half after a share of the
            steps, and again, until two are left to be trained to the end.
        budget: Time of the whole comparison, in seconds or a text such as `"30min"`: by halving,
            with as many steps as this machine can make in about that time.
        processes: Make each trial in a process of its own, so many at once; their memory is
            measured then. By default they are made one after another in this process.
        on: `"processes"`, two at once unless `processes` says how many; `"ray"` or
            `"ray=ADDRESS"` makes each a task of a Ray cluster, with the same result.
        overwrite: Replace the comparison in that folder.
        progress: Show the course of each training.
        say: Is told of each trial.

    Returns:
        The comparison: `.answer`, `.lines`, `.pairs`, `.folder` with `report.html`.

    Raises:
        PlanError: A text is no plan, or a plan can't hold in the network.
        RecipeError: Unknown or impossible settings, or nothing to compare.
        DataError: The data can't be used.
        RunError: The folder holds another comparison, or a trial's process failed.
        OutputExistsError: The folder holds results of something else.
        DistributionError: Ray isn't installed, the cluster doesn't answer, or its machines don't
            see the same files or have other versions.

    Example:
        ```python
        found = nw.compare("rivers", ["batch@pre-activation", "none"], out="comparison")
        print(found.answer)
        ```
    """
    recipe = with_whole_path(recipe_of(data, [*settings, *_limits(steps, budget)]))
    _refuse_odd(seeds, folds)
    _refuse_unread(recipe, settings)
    where = where_of(on, processes, (PROCESSES, RAY))
    experiment = Experiment(recipe, variants_of(plans, vary), seeds, folds)
    folder = Path(fspath(out))
    backend = require_backend()
    from normwise.comparison.feasibility import (  # noqa: PLC0415 - needs the backend
        refuse_impossible,
        refuse_other_images,
    )
    from normwise.comparison.racing import refuse_unequal  # noqa: PLC0415
    from normwise.training.preparing import opened  # noqa: PLC0415
    from normwise.workflows.compare_budget import planned  # noqa: PLC0415

    if halving or budget is not None:
        refuse_unequal(experiment)
    dataset = opened(next(recipe for _, recipe, _ in _asked(experiment, folder)))
    seconds = None if budget is None else seconds_of(budget)
    if seconds is not None:
        record = None if overwrite else folder / EXPERIMENT_FILE
        experiment = planned(experiment, seconds, dataset, record, say)
    asked = _asked(experiment, folder)
    ground = ground_of(recipe.data.path, dataset, backend)
    refuse_unknown(folder, overwrite)
    if not overwrite:
        refuse_others(folder, experiment, ground)
    if overwrite or not all((own / TRIAL_FILE).is_file() for *_, own in asked):
        # Those of the first seed and fold, as the data were opened.
        block = asked[: len(experiment.variants)]
        firsts = {trial.variant.name: own for trial, own, _ in block}
        refuse_impossible(firsts, dataset)
        refuse_other_images(firsts, dataset)
    prepare(folder, experiment, ground, seconds, overwrite)
    race, outcomes = made(asked, halving or seconds is not None, where, progress, say)
    return _reported(folder, experiment, race, outcomes, ground.fingerprint, where)


def _asked(experiment: Experiment, folder: Path) -> list[Asked]:
    """Each trial with its recipe and its folder."""
    return [
        (trial, experiment.recipe(trial), folder / trial.folder) for trial in experiment.trials()
    ]


def _refuse_odd(seeds: int, folds: int | None) -> None:
    _positive("seeds", seeds)
    if folds is not None and folds < 2:
        raise RecipeError(f"folds is {folds}; expected 2 or more, or none.")


def _refuse_unread(recipe: Recipe, settings: Sequence[str]) -> None:
    """Refuses what would be told and change nothing: each trial has its own plan, fold, folder."""
    named = {text.partition("=")[0].strip() for text in settings}
    if "norm" in named:
        raise RecipeError("--set norm would change nothing: name plans with --norm.")
    if "out" in named:
        raise RecipeError(
            "--set out would change nothing: trials have folders of their own, in the one that "
            "--out names."
        )
    if recipe.data.fold is not None:
        raise RecipeError(
            "a comparison trains on every fold or on none; say how many with --folds, and set "
            "data.fold=null."
        )


def _limits(steps: int | None, budget: str | float | None) -> list[str]:
    if steps is None:
        # The steps that the time suffices for are found once the data are known.
        return [] if budget is None else [f"training.epochs={VALIDATIONS}"]
    if budget is not None:
        raise RecipeError(
            f"steps is {steps} and the budget {budget!r}, which finds the steps itself; name one "
            "of them (--steps goes with --halving)."
        )
    each = max(1, round(_positive("steps", steps) / VALIDATIONS))
    return [f"training.epochs={round(steps / each)}", f"training.steps={each}"]


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RecipeError(f"{name} is {value!r}; expected a whole number from 1 on.")
    return value


def _reported(
    folder: Path,
    experiment: Experiment,
    race: Race | None,
    outcomes: Mapping[str, Sequence[Outcome]],
    fingerprint: str,
    where: Where,
) -> Comparison:
    from normwise.comparison.answer import answer  # noqa: PLC0415
    from normwise.comparison.summary import Summary  # noqa: PLC0415
    from normwise.workflows.compare_report import write_report  # noqa: PLC0415 - slow to load

    summary = Summary(experiment, outcomes, race)
    found = Comparison(folder, answer(summary), summary)
    write_report(folder, summary, fingerprint, where)
    return found
