"""The words of a comparison's page: how it was made, what it can't say, how to repeat it."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from normwise.comparison.halving import Race
from normwise.comparison.statistics import LEAST_FOR_BOOTSTRAP
from normwise.comparison.summary import Summary
from normwise.comparison.versions import mixed
from normwise.distributed.where import Where
from normwise.report.compared.facts import Table
from normwise.report.page.facts import Cell
from normwise.report.page.numbers import number
from normwise.training.recipe_changes import as_setting, told_settings
from normwise.workflows.compare_equal import RATE, Held, seeds_draw
from normwise.workflows.compare_looks import about_looks, fresh

_LENGTH: Final = ("training.epochs", "training.steps", "training.budget", "training.early_stopping")


def intervals(summary: Summary) -> str:
    """How intervals and p were made, and corrected for what."""
    count = summary.race.comparisons if summary.race else len(summary.pairs)
    said = (
        f"Intervals and p by the t-distribution of the paired differences, {summary.unit[:-1]} by "
        f"{summary.unit[:-1]}, each interval for its pair alone; p adjusted for {count} "
        f"comparison{'s' if count != 1 else ''} after Holm, so that any false difference among all "
        "of them has a probability of 5 % at most, if the number of seeds was fixed beforehand. "
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


def limits(summary: Summary, looked: Sequence[int] = ()) -> Iterator[str]:
    """What the numbers can't say, a sentence each.

    Args:
        summary: The numbers.
        looked: Every number of seeds with which they were reported.
    """
    held = Held.of(summary)
    chosen = "best" in held.values("training.keep")
    yield _images(summary)
    if summary.split == "val" and chosen:
        yield (
            "The measured images have also chosen the best epoch, for every variant alike, so that "
            "the values themselves are a little too good."
        )
    yield from _settings(summary, held, chosen)
    yield from about_looks(summary, looked)
    if summary.race is not None:
        yield from _selection(summary)
    if any(line.diverged for line in summary.lines):
        yield "Trials that diverged are left out of means and differences, which flatters them."
    if any(line.undefined for line in summary.lines):
        yield f"Trials whose {summary.metric} is undefined are left out of means and differences."
    yield from mixed(summary.outcomes)
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


def _images(summary: Summary) -> str:
    if summary.overlap:
        return "Each pair of trials has its own split, so that chance of the images counts, too."
    drawn = seeds_draw(summary)
    more = ""
    if drawn is not None:
        more = (
            "; which of the others validate is drawn by the seed, so that the intervals hold the "
            "chance of the training images, too"
            if drawn
            else ", and all seeds train on the same ones: the intervals tell the chance of weights "
            "and patches alone"
        )
    return (
        f"All trials are measured on the same images{more}. What other images would say isn't in "
        "the intervals; for that, use --folds."
    )


def _settings(summary: Summary, held: Held, chosen: bool) -> Iterator[str]:
    seeds = summary.experiment.seeds
    alike = {"learning rate": held.one_value(RATE), "budget": held.one_value(*_LENGTH)}
    common = " and ".join(f"one {what}" for what, one in alike.items() if one)
    if common:
        yield f"{common.capitalize()} for all: what another would give isn't known."
    metrics = held.values("training.metric")
    if chosen and len(metrics) > 1:
        yield (
            f"The best epochs were chosen by different metrics ({', '.join(metrics)}); all are "
            f"compared by {summary.metric}."
        )
    if not held.one_value("data.bands"):
        yield (
            "A pixel counts unless all bands of a variant miss it: where bands have nodata, "
            "variants of other bands are measured on other pixels, and their difference may come "
            "of that."
        )
    yield f"{seeds} seed{'s' if seeds != 1 else ''} a variant."


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
        f"nothing (--set training.seed={fresh(summary)})."
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
