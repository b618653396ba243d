"""The words of a comparison's page: how it was made, what it can't say, how to repeat it."""

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from normwise.comparison.halving import Race
from normwise.comparison.statistics import LEAST_FOR_BOOTSTRAP
from normwise.comparison.summary import Summary
from normwise.distributed.where import Where
from normwise.report.compared.facts import Table
from normwise.report.page.facts import Cell
from normwise.report.page.numbers import number
from normwise.training.recipe_changes import as_setting, told_settings

_CHANGE_PATCHES: Final = frozenset({"training.batch_size", "training.steps", "training.epochs"})


def intervals(summary: Summary) -> str:
    """How intervals and p were made, and corrected for what."""
    count = summary.race.comparisons if summary.race else len(summary.pairs)
    said = (
        f"Intervals and p by the t-distribution of the paired differences, {summary.unit[:-1]} by "
        f"{summary.unit[:-1]}, each interval for its pair alone; p adjusted for {count} "
        f"comparison{'s' if count != 1 else ''} after Holm, so that any false difference among all "
        "of them has a probability of 5 % at most. "
    )
    if summary.race is not None:
        said += (
            f"Corrected for the {summary.race.comparisons} pairs of all variants that began, for "
            "these were picked among them; intervals know nothing of that. "
        )
    if summary.overlap:
        said += (
            "Variances are corrected for training images that the pairs share (Nadeau and Bengio "
            "2003). "
        )
    if not any(pair.paired.bootstrap for pair in summary.pairs):
        said += (
            f"No bootstrap: from fewer than {LEAST_FOR_BOOTSTRAP} independent pairs it would be "
            "far too sure of itself (with 3 it misses the truth in a quarter of all cases). "
        )
    else:
        said += "Bias-corrected bootstrap intervals stand in comparison.json. "
    return said + (
        "Effect: the mean difference in standard deviations of the differences, corrected for few "
        "pairs (Hedges)."
    )


def equal(summary: Summary) -> Iterator[str]:
    """What was held equal, a sentence each."""
    experiment, recipe = summary.experiment, summary.first.recipe
    training, varied = recipe["training"], {
        text.partition("=")[0] for variant in experiment.variants for text in variant.settings
    }  # fmt: skip
    seeds = [seed for seed, _ in experiment.blocks()]
    yield (
        f"Seeds {min(seeds)} to {max(seeds)}, the same for every variant: in each, layers that "
        "networks share by name and shape begin with the same weights, and dropout drops the same "
        "values."
    )
    if varied & _CHANGE_PATCHES or any(key.startswith("data.") for key in varied):
        yield "Patches are drawn by the same seeds; what is varied changes which ones those are."
    else:
        yield "The same patches in the same order, varied in the same way."
    steps = sorted({one.cost.steps for line in summary.lines for one in line.outcomes})
    many = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    took = [cost for cost in summary.costs.values() if math.isfinite(cost)]
    within = f", in {min(took):.3g} to {max(took):.3g} s" if took else ""
    yield f"Budget: {many} training steps a trial were made{within}."
    for key in ("training.batch_size", "training.learning_rate", "training.loss", "network.name"):
        if key not in varied:
            section, name = key.split(".")
            yield f"{key}: {recipe[section][name]}"
    if summary.race is not None:
        yield (
            "Halving: all variants were judged at the same steps of the same schedule, which is "
            "that of the full length; those that went on did so from where they stood."
        )
    if training["budget"]:
        yield f"No epoch was begun after {training['budget']:g} s."
    folds = experiment.folds
    images = summary.first.images
    own = "a split for each seed" if summary.overlap else "one split"
    where = f"{folds} folds" if folds else own
    yield f"Images: {where}; in each trial {images.train} train, {images.evaluated} are measured."


def limits(summary: Summary) -> Iterator[str]:
    """What the numbers can't say, a sentence each."""
    experiment = summary.experiment
    if summary.overlap:
        yield "Each pair of trials has its own split, so that chance of the images counts, too."
    else:
        yield (
            "All trials have the same split: the intervals tell the chance of weights and patches, "
            "not that of other images. For that, use --folds."
        )
    if summary.split == "val":
        yield (
            "The measured images have also chosen the best epoch, for every variant alike, so that "
            "the values themselves are a little too good."
        )
    yield (
        f"One learning rate and one budget for all: what another would give isn't known. "
        f"{experiment.seeds} seed{'s' if experiment.seeds != 1 else ''} a variant."
    )
    if summary.race is not None:
        yield from _selection(summary)
    if any(line.diverged for line in summary.lines):
        yield "Trials that diverged are left out of means and differences, which flatters them."
    cut = sum(bool(one.stopped) for line in summary.lines for one in line.outcomes)
    if cut:
        yield (
            f"{cut} trials ended before their last epoch, by time or patience: their learning rate "
            "hadn't come to the end of its schedule."
        )
    shared = {one.cost.at_once for line in summary.lines for one in line.outcomes}
    if max(shared) > 1:
        yield f"Up to {max(shared)} trials shared the machine: their times are no benchmark."
    if any(pair.adjusted <= pair.paired.level for pair in summary.pairs):
        yield "A difference beyond chance needn't be one that matters: look at its size."


def _selection(summary: Summary) -> Iterator[str]:
    yield (
        "Variants that were stopped have no final number and stand in no difference. Their "
        "learning rate hadn't come down: one that gains most at the end may have been stopped "
        "wrongly. The same command without --halving trains them to the end, too."
    )
    judge = "validation images" if summary.split == "test" else "very images that are measured"
    yield (
        f"Those that went on were picked with the same seeds, by the {judge}, so that their means "
        "are a little too good; to compare two of them by themselves, take seeds that picked "
        "nothing (--set training.seed=1000)."
    )


def stopped(summary: Summary) -> Table | None:
    """The variants that were stopped early, by name, and what they had come to; None if none."""
    race = summary.race
    if race is None:
        return None
    head = (
        ("stopped after", "of the full length"),
        (f"validation {race.metric}", "the best by then, mean over the trials"),
        ("worst that went on", "the same of the last variant that was kept there"),
    )
    rows = {
        name: (
            Cell(_length(race, rung.epochs), rung.epochs),
            *(Cell(number(v, "{:.4g}"), v) for v in (rung.mean(name), rung.mean(rung.kept[-1]))),
        )
        for rung in race.rungs
        for name in rung.stopped
    }
    return Table(head, rows)


def _length(race: Race, epochs: int) -> str:
    each, unit = (race.steps, "steps") if race.steps else (1, "epochs")
    return f"{epochs * each:,} of {race.epochs * each:,} {unit}"


def command(summary: Summary, folder: Path, where: Where) -> str:
    """The command that repeats the comparison, or goes on with it."""
    experiment = summary.experiment
    base = experiment.base
    words = ["normwise", "compare", base.data.path]
    words += [w for plan in dict.fromkeys(v.plan for v in experiment.variants)
              for w in ("--norm", plan)]  # fmt: skip
    axes: dict[str, dict[str, None]] = {}
    for variant in experiment.variants:
        for text in variant.settings:
            key, _, value = text.partition("=")
            axes.setdefault(key, {})[value] = None
    words += [w for key, values in axes.items() for w in ("--vary", f"{key}={','.join(values)}")]
    for key, value in told_settings(base).items():
        if key != "norm":
            words += ["--set", f"{key}={as_setting(value)}"]
    words += ["--seeds", str(experiment.seeds)]
    words += ["--halving"] if summary.race else []
    words += ["--folds", str(experiment.folds)] if experiment.folds else []
    return shlex.join([*words, *where.words, "-o", str(folder)])
