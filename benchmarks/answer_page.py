"""docs/the-question.md, rendered from what was measured; what is missing is said to be missing.

Verdicts are those of the package: paired differences, intervals and p by the t-distribution
(`comparison.statistics`), corrected after Holm (`comparison.multiplicity`), in its own words
(`comparison.verdicts`).
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from answer_costs import behaviour, costs
from answer_design import CLAIMS, SETS, Claim, Contrast, Part
from answer_results import Results, Row, pairs_of, values
from answer_texts import FAMILY, HEAD, LEGEND, MADE, PLANNED, SHOWN, UNSAID, WEAK
from answer_words import ahead, brief, lost, noted, table_head, verdict
from scipy import stats

from normwise.comparison.multiplicity import holm
from normwise.comparison.statistics import LEVEL, paired
from normwise.comparison.verdicts import Pair, Verdict
from normwise.report.page.numbers import MINUS, MISSING, number, signed, span
from normwise.rules import BY_NAME
from normwise.training.metrics import LOWER_IS_BETTER


def judged(results: Results, claim: Claim) -> dict[tuple[Contrast, str], Pair]:
    """Every comparison of a claim on every set, corrected together; those not yet made count."""
    asked, found, failed, trials = [], [], [], []
    for contrast in claim.contrasts:
        for data_set in SETS:
            one, other = (
                values(results.of_cell(data_set.name, cell))
                for cell in (contrast.one, contrast.other)
            )
            seeds, _ = pairs_of(results, contrast, data_set.name)
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
    """The page as Markdown; before anything can be compared, what is asked and how."""
    results = Results.of(rows, parts, seeds)
    verdicts = {claim.title: judged(results, claim) for claim in CLAIMS}
    begun = any(pair.trials for found in verdicts.values() for pair in found.values())
    sections = shown(results, verdicts) if begun else planned(results)
    return "\n\n".join(sections) + "\n"


def shown(
    results: Results, verdicts: Mapping[str, Mapping[tuple[Contrast, str], Pair]]
) -> Iterator[str]:
    """The sections with what was measured."""
    yield HEAD.format(claims=SHOWN, state=state(results, UNSAID))
    yield "\n".join(["## In short", "", tally(verdicts), "", *short(results, verdicts)])
    for place, claim in enumerate(CLAIMS, 1):
        yield "\n".join(section(results, claim, place, verdicts[claim.title]))
    for part in (
        costs(results, len(CLAIMS) + 1),
        behaviour(results, len(CLAIMS) + 2),
        weak(results),
        made(results, "How it was made"),
    ):
        yield "\n".join(part)


def planned(results: Results) -> Iterator[str]:
    """The sections of a page without results: the claims, and what is to be trained for them."""
    yield HEAD.format(claims=PLANNED, state=state(results))
    yield "\n".join(["## What is asked", "", *listed()])
    yield "\n".join(made(results, "How it is measured"))
    yield from outdated(results)


def listed() -> Iterator[str]:
    """The claims, with what is compared for each."""
    for place, claim in enumerate(CLAIMS, 1):
        compared = "; ".join(contrast.with_network for contrast in claim.contrasts)
        yield f"{place}. **{claim.title}** {claim.said} To be compared: {compared}."


def state(results: Results, unsaid: str = "") -> str:
    """How much is there, and what that means for the rest."""
    wanted = len(SETS) * results.seeds * sum(len(part.variants) for part in results.parts)
    there = len(results.rows)
    if there >= wanted:
        return f"All {wanted} trainings are there."
    return f"**{there} of {wanted} trainings are there**{unsaid}."


def tally(verdicts: Mapping[str, Mapping[tuple[Contrast, str], Pair]]) -> str:
    """What is beyond chance, among how many comparisons."""
    every = [one for found in verdicts.values() for one in found.items()]
    made = [one for one in every if one[1].paired.pairs > 1]
    if not made:
        return "Nothing was compared with two seeds yet, so that nothing can be told from chance."
    shown: dict[str, list[str]] = {}
    for (contrast, name), pair in made:
        if pair.outcome in (Verdict.BETTER, Verdict.WORSE):
            said = noted(f"{contrast.with_network}: {pair.outcome}", lost(pair))
            shown.setdefault(said, []).append(name)
    count = sum(map(len, shown.values()))
    said = f"Of {len(made)} comparisons with two seeds or more (of {len(every)} in all), "
    if not count:
        return f"{said}none shows a difference beyond chance."
    told = "\n".join(f"- {what} on {', '.join(names)}" for what, names in shown.items())
    show = "shows" if count == 1 else "show"
    return f"{said}{count} {show} a difference beyond chance:\n\n{told}"


def short(
    results: Results, verdicts: Mapping[str, Mapping[tuple[Contrast, str], Pair]]
) -> Iterator[str]:
    """A line for each comparison, a column for each set and one for all their pairs."""
    sets = (titled(results, s.name) for s in SETS)
    yield from table_head(["compared", *sets, "pairs for the first"])
    for found in verdicts.values():
        for contrast in dict.fromkeys(contrast for contrast, _ in found):
            pairs = [found[contrast, data_set.name] for data_set in SETS]
            cells = [contrast.with_network, *map(brief, pairs), ahead(pairs)]
            yield f"| {' | '.join(cells)} |"
    yield from ("", LEGEND)


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
    seeds, _ = pairs_of(results, contrast, name)
    both = [s for s in seeds if math.isfinite(one[s]) and math.isfinite(other[s])]
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
    deviation = f" ± {number(statistics.stdev(found), '{:.2g}')}" if len(found) > 1 else ""
    return number(statistics.fmean(found), "{:.4g}").replace("-", MINUS) + deviation


def weak(results: Results) -> Iterator[str]:
    """What these numbers can't say."""
    yield from ("## Where this evidence is weak", "", f"- {few(results.seeds)}")
    yield from (f"- {point}" for point in WEAK)
    without = Counter(
        (row["set"], "diverged" if row["diverged"] else f"gave no {row['metric']}")
        for row in results.rows
        if row["value"] is None
    )
    for (name, how), count in sorted(without.items()):
        yield f"- Of the trainings on {name}, {count} {how}: left out of means and differences."
    for data_set in SETS:
        asked = [contrast for claim in CLAIMS for contrast in claim.contrasts]
        unlike = sum(len(pairs_of(results, one, data_set.name)[1]) for one in asked)
        if unlike:
            yield (
                f"- Of the pairs on {data_set.name}, {unlike} had other training images on either "
                "side: left out."
            )
    yield from (f"- {said}" for said in outdated(results))


def few(seeds: int) -> str:
    """What so many seeds show."""
    said = "Few seeds: they show large differences and no others"
    if seeds > 1:
        least = least_shown(seeds, FAMILY)
        said += (
            f"; with {seeds} seeds and {FAMILY} comparisons of a claim the largest difference must "
            f"be more than {least:.1f} times its spread between seeds"
        )
    return (
        f"{said}. “No difference that they can show” does not say that there is none; the verdicts "
        "name how many seeds would tell."
    )


def least_shown(seeds: int, comparisons: int) -> float:
    """From where on the largest of several differences is beyond chance, in standard deviations."""
    return float(stats.t.isf(LEVEL / comparisons / 2, seeds - 1) / math.sqrt(seeds))


def outdated(results: Results) -> Iterator[str]:
    """How much of what was measured is of no use any more."""
    if results.outdated:
        yield (
            f"{results.outdated} results were made under another design than the present one "
            "and are not shown."
        )


def made(results: Results, title: str) -> Iterator[str]:
    """How the numbers come about, and how to repeat a part of them."""
    yield from (f"## {title}", "", MADE, "")
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
    if results.rows:
        yield from ("", with_what(results.rows))


def with_what(rows: Sequence[Row]) -> str:
    """Versions, commits and machines of some trainings, and how long they took together."""
    versions = {", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in rows}
    commits = {f"commit {row['commit']}" for row in rows if row["commit"]}
    machines = {
        f"{row['processors']} {row['machine']} processors, {row['at_once']} trainings at once, "
        f"threads of each: {row['threads']}"
        for row in rows
    }
    hours = sum(row["wall"] for row in rows) / 3600
    told = (*sorted(versions), ", ".join(sorted(commits)), *sorted(machines))
    return f"{'; '.join(filter(None, told))}; trainings of {hours:.1f} h in all."
