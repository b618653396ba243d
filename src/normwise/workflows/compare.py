"""Comparing norm plans on one's own data: trials under equal conditions, and what they show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normwise.backend import require_backend
from normwise.comparison.experiment import Experiment, Trial, variants_of
from normwise.comparison.outcome import TRIAL_FILE, Outcome
from normwise.distributed.where import PROCESSES, RAY, Where, where_of
from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import write_text
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import differences
from normwise.workflows.configure import seconds_of
from normwise.workflows.train import recipe_of, with_whole_path

if TYPE_CHECKING:
    from normwise.comparison.summary import Line, Summary
    from normwise.comparison.verdicts import Pair

EXPERIMENT_FILE: Final = "experiment.json"
OUTPUTS: Final = ("comparison.json", "report.md", "report.html")
VALIDATIONS: Final = 20
"""How often a trial of so many steps is validated."""

Say = Callable[[str], None]


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
        steps: Training steps of each trial, validated 20 times; by default what the recipe says.
        budget: Time of each trial's training, in seconds or a text such as `"10min"`.
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
    where = where_of(on, processes, (PROCESSES, RAY))
    experiment = Experiment(recipe, variants_of(plans, vary), seeds, folds)
    folder = Path(fspath(out))
    asked = [
        (trial, experiment.recipe(trial), folder / trial.folder) for trial in experiment.trials()
    ]
    require_backend()
    from normwise.comparison.feasibility import refuse_impossible  # noqa: PLC0415 - needs the backend
    from normwise.data.content_hash import content_hash  # noqa: PLC0415
    from normwise.training.preparing import opened  # noqa: PLC0415

    dataset = opened(asked[0][1])
    fingerprint = content_hash(dataset)
    if not overwrite:
        _refuse_others(folder, experiment, fingerprint)
    if overwrite or not all((own / TRIAL_FILE).is_file() for *_, own in asked):
        refuse_impossible({trial.variant.name: own for trial, own, _ in asked}, dataset)
    _prepare(folder, experiment, fingerprint, overwrite)
    outcomes = _made(asked, where, progress, say)
    return _reported(folder, experiment, outcomes, fingerprint, where)


def _refuse_odd(seeds: int, folds: int | None) -> None:
    _positive("seeds", seeds)
    if folds is not None and folds < 2:
        raise RecipeError(f"folds is {folds}; expected 2 or more, or none.")


def _limits(steps: int | None, budget: str | float | None) -> list[str]:
    found = []
    if steps is not None:
        epochs = min(VALIDATIONS, _positive("steps", steps))
        found += [f"training.epochs={epochs}", f"training.steps={steps // epochs}"]
    if budget is not None:
        found.append(f"training.budget={seconds_of(budget)}")
    return found


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RecipeError(f"{name} is {value!r}; expected a whole number from 1 on.")
    return value


def _prepare(folder: Path, experiment: Experiment, fingerprint: str, overwrite: bool) -> None:
    """Clears what is replaced, and leaves the record of what is compared."""
    if overwrite:
        shutil.rmtree(folder / "trials", ignore_errors=True)
        for name in (EXPERIMENT_FILE, *OUTPUTS):
            (folder / name).unlink(missing_ok=True)
    content = {
        "data": fingerprint,
        "recipe": experiment.base.model_dump(mode="json"),
        "variants": [[v.plan, list(v.settings)] for v in experiment.variants],
        "seeds": experiment.seeds,
        "folds": experiment.folds,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_text(folder / EXPERIMENT_FILE, f"{text}\n")


def _refuse_others(folder: Path, experiment: Experiment, fingerprint: str) -> None:
    """Refuses a folder that holds anything but the same comparison, or a part of it."""
    record = folder / EXPERIMENT_FILE
    if not record.exists():
        if present := [name for name in (*OUTPUTS, "trials") if (folder / name).exists()]:
            raise OutputExistsError(
                f"{folder} holds {present[0]}, but no {EXPERIMENT_FILE} that tells what of. Name "
                "another folder, or replace it with `--overwrite`."
            )
        return
    try:
        was = json.loads(record.read_text(encoding="utf-8"))
        recipe, data, folds = Recipe(**was["recipe"]), was["data"], was["folds"]
    except (OSError, ValueError, TypeError, KeyError, RecipeError) as error:
        raise RunError(f"{record}: no record of a comparison ({error}).") from error
    differing = differences(recipe, experiment.base)
    if data != fingerprint:
        differing.append("the data have changed")
    if folds != experiment.folds:
        differing.append(f"folds is {experiment.folds}, was {folds}")
    if differing:
        raise RunError(
            f"The comparison in {folder} was begun otherwise: {'; '.join(differing)}. Plans, seeds "
            "and varied settings can be added; for the rest name another folder, or replace it "
            "with `--overwrite`."
        )


def _made(
    asked: Sequence[tuple[Trial, Recipe, Path]],
    where: Where,
    progress: bool,
    say: Say,
) -> dict[str, list[Outcome]]:
    """Makes what is missing; what each trial gave, by the variant's name."""
    from normwise.comparison.on_ray import on_ray  # noqa: PLC0415
    from normwise.comparison.processes import in_processes  # noqa: PLC0415
    from normwise.comparison.running import finished, run_trial  # noqa: PLC0415

    missing = [one for one in asked if finished(one[1], one[2]) is None]
    done = len(asked) - len(missing)
    say(f"{len(asked)} trials, {done} of them done already" if done else f"{len(asked)} trials")
    count = _Count(done, len(asked), {trial: folder for trial, _, folder in asked}, say)
    try:
        if where.kind == RAY:
            on_ray(missing, where, count)
        elif where.at_once is not None:
            in_processes(missing, where.at_once, count)
        else:
            for trial, recipe, folder in missing:
                run_trial(recipe, folder, progress=progress)
                count(trial)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The comparison was interrupted; {count.done} of {count.all} trials are done, and "
            "finished epochs of others are kept. The same command goes on."
        ) from None
    outcomes: dict[str, list[Outcome]] = {}
    for trial, recipe, folder in asked:
        outcome = finished(recipe, folder)
        assert outcome is not None
        outcomes.setdefault(trial.variant.name, []).append(outcome)
    return outcomes


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
        assert outcome is not None
        gave = "diverged" if outcome.diverged else f"{outcome.metric} {outcome.value:.4g}"
        self.say(f"{self.done} of {self.all}: {trial.name}: {gave}, {outcome.cost.seconds:.0f} s")


def _reported(
    folder: Path,
    experiment: Experiment,
    outcomes: Mapping[str, Sequence[Outcome]],
    fingerprint: str,
    where: Where,
) -> Comparison:
    from normwise.comparison.answer import answer  # noqa: PLC0415
    from normwise.comparison.summary import Summary  # noqa: PLC0415
    from normwise.workflows.compare_report import write_report  # noqa: PLC0415 - slow to load

    summary = Summary(experiment, outcomes)
    found = Comparison(folder, answer(summary), summary)
    write_report(folder, summary, fingerprint, where)
    return found
