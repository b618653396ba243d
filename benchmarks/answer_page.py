"""docs/the-question.md, rendered from what was measured; what is missing is said to be missing.

Verdicts are those of the package: paired differences, intervals and p by the t-distribution
(`comparison.statistics`), corrected after Holm (`comparison.multiplicity`), in its own words
(`comparison.verdicts`).
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from answer_design import BATCH, CLAIMS, SETS, Cell, Claim, Contrast, DataSet, Part

from normwise.comparison.multiplicity import holm
from normwise.comparison.statistics import paired
from normwise.comparison.verdicts import Outcome, Pair
from normwise.report.page.numbers import MISSING, number, signed, span
from normwise.rules import BY_NAME
from normwise.training.metrics import LOWER_IS_BETTER

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What was measured under the present design.

    Attributes:
        rows: A training each, of the seeds that are wanted.
        parts: The design.
        seeds: How many seeds are wanted.
        outdated: Trainings that were made under another design; they are not shown.
    """

    rows: Sequence[Row]
    parts: Sequence[Part]
    seeds: int
    outdated: int

    @classmethod
    def of(cls, rows: Sequence[Row], parts: Sequence[Part], seeds: int) -> "Results":
        """Takes out what was measured under another design, and with more seeds than wanted."""
        keys = {
            (s.name, part.name, variant.name): part.key(s, variant)
            for s in SETS
            for part in parts
            for variant in part.variants
        }
        known = [r for r in rows if r["key"] == keys.get((r["set"], r["part"], r["variant"]))]
        wanted = [row for row in known if row["seed"] < seeds]
        return cls(wanted, parts, seeds, len(rows) - len(known))

    def of_cell(self, data_set: str, cell: Cell) -> dict[int, Row]:
        """The trainings of a cell on a set, by seed."""
        return {
            row["seed"]: row
            for row in self.rows
            if (row["set"], row["part"], row["variant"]) == (data_set, cell.part, cell.variant)
        }

    def metric(self, data_set: str) -> str:
        """The metric of a set; empty where nothing was measured."""
        return next((str(row["metric"]) for row in self.rows if row["set"] == data_set), "")


def values(rows: Mapping[int, Row]) -> dict[int, float]:
    """The compared numbers by seed; NaN where a training gave none."""
    return {s: math.nan if row["value"] is None else row["value"] for s, row in rows.items()}


def judged(results: Results, claim: Claim) -> dict[tuple[Contrast, str], Pair]:
    """Every comparison of a claim on every set, corrected together; those not yet made count."""
    asked, found, failed, trials = [], [], [], []
    for contrast in claim.contrasts:
        for data_set in SETS:
            one, other = (
                values(results.of_cell(data_set.name, cell))
                for cell in (contrast.one, contrast.other)
            )
            seeds = sorted(one.keys() & other.keys())
            both = [[own[seed] for seed in seeds] for own in (one, other)]
            asked.append((contrast, data_set.name))
            found.append(paired(*both))
            failed.append(tuple(sum(map(math.isnan, own)) for own in both))
            trials.append(len(seeds))
    adjusted = holm(np.array([one.p for one in found]))
    return {
        (contrast, name): Pair(
            contrast.one.name,
            contrast.other.name,
            own,
            float(p),
            len(found),
            results.metric(name) in LOWER_IS_BETTER,
            (lost[0], lost[1]),
            made,
        )
        for (contrast, name), own, p, lost, made in zip(
            asked, found, adjusted, failed, trials, strict=True
        )
    }


def page(rows: Sequence[Row], parts: Sequence[Part], seeds: int) -> str:
    """The page as Markdown."""
    results = Results.of(rows, parts, seeds)
    verdicts = {claim.title: judged(results, claim) for claim in CLAIMS}
    sections = [
        HEAD.format(state=state(results)),
        "\n".join(["## In short", "", tally(verdicts), "", *short(results, verdicts)]),
        *("\n".join(section(results, c, n, verdicts[c.title])) for n, c in enumerate(CLAIMS, 1)),
        "\n".join(costs(results, len(CLAIMS) + 1)),
        "\n".join(behaviour(results, len(CLAIMS) + 2)),
        "\n".join(weak(results)),
        "\n".join(made(results)),
    ]
    return "\n\n".join(sections) + "\n"


def state(results: Results) -> str:
    """How much is there."""
    wanted = len(SETS) * results.seeds * sum(len(part.variants) for part in results.parts)
    there = len(results.rows)
    if there >= wanted:
        return f"All {wanted} trainings are there."
    return (
        f"**{there} of {wanted} trainings are there**; what is missing is marked, and nothing is "
        "said of it."
    )


def tally(verdicts: Mapping[str, Mapping[tuple[Contrast, str], Pair]]) -> str:
    """What is beyond chance, among how many comparisons."""
    every = [one for found in verdicts.values() for one in found.items()]
    made = [one for one in every if one[1].paired.pairs > 1]
    if not made:
        return "Nothing was compared with two seeds yet, so that nothing can be told from chance."
    shown: dict[str, list[str]] = {}
    for (contrast, name), pair in made:
        if pair.outcome in (Outcome.BETTER, Outcome.WORSE):
            said = f"{contrast.name}: {pair.outcome}"
            shown.setdefault(said, []).append(name)
    count = sum(map(len, shown.values()))
    said = f"Of {len(made)} comparisons with two seeds or more (of {len(every)} in all), "
    if not count:
        return f"{said}none shows a difference beyond chance."
    told = "\n".join(f"- {what} on {', '.join(names)}" for what, names in shown.items())
    return f"{said}{count} show a difference beyond chance:\n\n{told}"


def short(
    results: Results, verdicts: Mapping[str, Mapping[tuple[Contrast, str], Pair]]
) -> Iterator[str]:
    """A line for each comparison, a column for each set."""
    yield from table_head(["compared", *(titled(results, s.name) for s in SETS)])
    for found in verdicts.values():
        for contrast in dict.fromkeys(contrast for contrast, _ in found):
            cells = (brief(found[contrast, data_set.name]) for data_set in SETS)
            yield f"| {contrast.name} | {' | '.join(cells)} |"
    yield from ("", LEGEND)


def brief(pair: Pair) -> str:
    """A verdict in a word, with the difference."""
    if not pair.paired.pairs:
        return "no number" if any(pair.failed) else "not yet run"
    size = signed(pair.paired.mean)
    if pair.outcome in (Outcome.BETTER, Outcome.WORSE):
        return f"**{pair.outcome}** ({size})"
    if pair.outcome is Outcome.IDENTICAL:
        return "identical"
    if pair.outcome is Outcome.UNJUDGED:
        return f"{'one seed' if pair.paired.pairs == 1 else 'the same each time'} ({size})"
    return f"open ({size})"


def spoken(found: Mapping[tuple[Contrast, str], Pair]) -> str:
    """What the comparisons of a claim say together, in sentences."""
    return " ".join(
        sentence(contrast, {name: pair for (own, name), pair in found.items() if own == contrast})
        for contrast in dict.fromkeys(contrast for contrast, _ in found)
    )


def sentence(contrast: Contrast, pairs: Mapping[str, Pair]) -> str:
    """What one comparison says over all sets."""
    by_outcome: dict[str, list[str]] = {}
    for name, pair in pairs.items():
        by_outcome.setdefault(verdict(pair), []).append(name)
    told = [
        f"{said} on {', '.join(names)}" if len(by_outcome) > 1 else said
        for said, names in by_outcome.items()
    ]
    return f"{contrast.one.name.capitalize()} against {contrast.other.name}: {'; '.join(told)}."


def verdict(pair: Pair) -> str:
    """A verdict for a sentence that goes on with `on` and the set."""
    count = pair.paired.pairs
    if not count:
        return "no seed gave two numbers" if any(pair.failed) else "not yet run"
    if pair.outcome in (Outcome.BETTER, Outcome.WORSE, Outcome.IDENTICAL):
        return str(pair.outcome)
    if pair.outcome is Outcome.UNDECIDED:
        return f"no difference that {count} seeds can show"
    if count == 1:
        return "one seed, which tells nothing of chance"
    return f"the same difference in {count} seeds (no spread to judge it by)"


def section(
    results: Results, claim: Claim, place: int, found: Mapping[tuple[Contrast, str], Pair]
) -> Iterator[str]:
    """A claim with what was measured and what others have published."""
    yield from (f"## {place}. {claim.title}", "", claim.said, "", f"**Measured.** {spoken(found)}")
    yield from ("", claim.note, "")
    heads = ["set", "compared", "first", "second", "difference", "95 % interval", "adjusted p"]
    yield from table_head([*heads, "what it says"])
    for (contrast, name), pair in found.items():
        yield f"| {' | '.join(measured(results, contrast, name, pair))} |"
    yield from ("", "What else is known:", "")
    own = [point for rule in claim.rules for point in BY_NAME[rule].page.evidence]
    yield from (f"- {point}" for point in (*own, *claim.evidence))


def measured(results: Results, contrast: Contrast, name: str, pair: Pair) -> Iterator[str]:
    """The cells of a line: means and deviations, difference, interval, p, verdict."""
    found = pair.paired
    yield titled(results, name)
    yield contrast.name
    one, other = (values(results.of_cell(name, c)) for c in (contrast.one, contrast.other))
    # Means of other seeds would not differ by what stands beside them.
    both = [s for s in one if math.isfinite(one[s]) and math.isfinite(other.get(s, math.nan))]
    yield from (spread([own[seed] for seed in both]) for own in (one, other))
    yield signed(found.mean)
    yield span(found.interval)
    yield number(pair.adjusted, "{:.2g}")
    yield pair.verdict() if found.pairs or any(pair.failed) else "not yet run"


def titled(results: Results, name: str) -> str:
    """A set with its metric, once that is known."""
    metric = results.metric(name)
    direction = "lower" if metric in LOWER_IS_BETTER else "higher"
    return f"{name} ({metric}, {direction} is better)" if metric else name


def spread(found: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if not found:
        return MISSING
    deviation = f" ± {statistics.stdev(found):.2g}" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.4g}{deviation}"


def costs(results: Results, place: int) -> Iterator[str]:
    """Time and parameters of each plan of the U-Net, beside the network without normalization."""
    (part,) = (part for part in results.parts if part.name == "where")
    yield from (f"## {place}. What it costs", "", COSTS, "")
    columns = [f"step, {s.name}" for s in SETS]
    yield from table_head(
        ["plan", "norms", "trained", "kept beside", *columns, "predict", "memory"]
    )
    for variant in part.variants:
        cell = Cell(part.name, variant.name, variant.name)
        rows = [row for s in SETS for row in results.of_cell(s.name, cell).values()]
        steps = (ratio(results, s, cell, "seconds_per_step") for s in SETS)
        predict = ratio(results, None, cell, "seconds_per_megapixel")
        memory = ratio(results, None, cell, "peak_memory")
        counts = (amounts(rows, key) for key in ("norms", "parameters", "statistics"))
        yield f"| {' | '.join([f'`{variant.name}`', *counts, *steps, predict, memory])} |"


def behaviour(results: Results, place: int) -> Iterator[str]:
    """What probes say of the trained U-Nets, whatever they reach."""
    yield from (f"## {place}. What it does beside", "", BEHAVIOUR, "")
    columns = {
        "training mode against inference": "disparity",
        "between overlapping tiles": "tile_mismatch",
        "by the others of a batch, in training": "batch_dependence",
    }
    yield from table_head(["plan", *columns])
    for part in (part for part in results.parts if part.name != "question"):
        for variant in part.variants:
            cell = Cell(part.name, variant.name, variant.name)
            rows = [row for s in SETS for row in results.of_cell(s.name, cell).values()]
            found = (probed(rows, key) for key in columns.values())
            yield f"| {' | '.join([f'`{variant.name}`', *found])} |"


def probed(rows: Sequence[Row], key: str) -> str:
    """The median of what a probe measured over sets and seeds."""
    found = [value for row in rows if (value := row["probes"][key]) is not None]
    return f"{statistics.median(found):.2g}" if found else MISSING


def amounts(rows: Sequence[Row], key: str) -> str:
    """A count, or its range over sets with other channels."""
    found = sorted({row[key] for row in rows if row[key] is not None})
    if not found:
        return MISSING
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def ratio(results: Results, data_set: DataSet | None, cell: Cell, key: str) -> str:
    """The median over seeds of a cost beside that of the network without normalization."""
    found = []
    for own in [data_set] if data_set else SETS:
        base = results.of_cell(own.name, Cell("where", "none", "none"))
        for seed, row in results.of_cell(own.name, cell).items():
            if row[key] and seed in base and base[seed][key]:
                found.append(row[key] / base[seed][key])
    return f"{statistics.median(found):.2f}" if found else MISSING


def weak(results: Results) -> Iterator[str]:
    """What these numbers can't say."""
    yield from ("## Where this evidence is weak", "", *(f"- {point}" for point in WEAK))
    lost = Counter(
        (row["set"], "diverged" if row["diverged"] else f"gave no {row['metric']}")
        for row in results.rows
        if row["value"] is None
    )
    for (name, how), count in sorted(lost.items()):
        yield f"- Of the trainings on {name}, {count} {how}: left out of means and differences."
    if results.outdated:
        yield (
            f"- {results.outdated} results were made under another design than the present one "
            "and are not shown."
        )


def made(results: Results) -> Iterator[str]:
    """How the numbers came about, and how to repeat a part of them."""
    yield from ("## How it was made", "", MADE, "")
    yield from (f"- **{s.name}**: {s.what}. {s.source}." for s in SETS)
    yield ""
    for part in results.parts:
        variants = len(part.variants)
        yield (
            f"- **{part.name}**: {part.what}; {variants} variants, {part.epochs} epochs of "
            f"{part.steps} steps."
        )
    (part,) = (part for part in results.parts if part.name == "question")
    yield from ("", "One of these comparisons alone, with a report of its own:", "", "```text")
    yield from (part.command(SETS[0], results.seeds), "```")
    versions = {", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in results.rows}
    machines = {f"{row['processors']} {row['machine']} processors" for row in results.rows}
    if versions:
        hours = sum(row["wall"] for row in results.rows) / 3600
        yield from (
            "",
            f"{'; '.join(sorted(versions))}; {'; '.join(sorted(machines))}; {hours:.1f} h.",
        )


def table_head(names: Sequence[str]) -> Iterator[str]:
    """The head of a table."""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"


HEAD = """<!-- written by benchmarks/answer.py -->

# The question, measured

*How do I include batch normalization in a non-sequential Keras model, and is it in the right
place?* How the network was wired that it was asked with, and what `normwise check` finds in it,
stands [point by point on its own page](question.md). Here is what was said about it, claim by
claim, beside what trainings on real data show: the same network under equal conditions, paired
seed by seed, as `normwise compare` makes them ([what the numbers mean](compare.md)).

That `axis=3` is the default `axis=-1`, and that a normalization is a call like any other, need no
measuring. {state}"""

COSTS = f"""Of the U-Net. Times and memory are ratios to the network without normalization, the
median over seeds (and over sets, where none is named): of a training step with its loading, of a
prediction, of the process's peak. Times are those of trainings with nothing beside them, one after
another; small differences between ratios mean nothing. In inference batch norm before or behind a
convolution can be folded away (`normwise fold`), group and instance norm never; [more on
speed](speed.md). `{BATCH}` and the like: [how plans are written](plans.md)."""

BEHAVIOUR = """Of the trained U-Nets, the median over sets and seeds, all in standard deviations of
the output: by how much an output differs between training mode and inference, between two tiles
that overlap (0: tiles with a halo are exact), and in training mode by which other patches are in
the batch. `normwise check MODEL --data FOLDER` measures the same on your own model."""

LEGEND = """What is said is said of the first of the two, with the mean difference in the metric of
the set. **Better** and **worse**: beyond chance, after correction for all comparisons of a claim.
Open: no difference that so many seeds can show. In the tables of the claims, first and second are
means over the seeds in which both gave a number."""

WEAK = (
    "Few seeds: they show large differences and no others. “No difference that they can show” does "
    "not say that there is none; the verdicts name how many seeds would tell.",
    "One set of test images, with few of them (4 of isl_fluor, 2 of s2_bands): what others would "
    "say isn't in the intervals. They hold the chance of first weights, of patches and, but for "
    "s2_bands, of which training images validate, which the seed draws.",
    "Short trainings of small networks, on 2 processors: faster learning and better learning can't "
    "be told apart. What helps in the first hundreds of steps may not matter in the end.",
    "One learning rate for all plans. A network without normalization may want another than one "
    "with.",
    "The comparisons of one claim on all sets are corrected together after Holm, those of "
    "different claims are not: of twenty claims where nothing differs, one would be said to show a "
    "difference.",
    "Images of uneven exposure (dsb2018_subset) are fed as they are, without the scaling image by "
    "image that `normwise configure` would choose there.",
    "Batch sizes 1 and 2 are judged at the learning rate of 8.",
    "On s2_bands the U-Net learns what a linear function of the standardized input leaves of the "
    "target, whatever the plan: all plans begin near the answer there, and differ less.",
)

MADE = """By `make answer`, from benchmarks/answer.json, where every training stands; the same
command goes on with what is missing. AdamW at the recipe's defaults, a warm-up and a cosine; the
weights after the last epoch, measured on the test images. Patches are mirrored and turned by
quarters."""
