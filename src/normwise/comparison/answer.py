"""The answer of a comparison in one paragraph of plain words."""

import math
import statistics
from collections.abc import Iterator, Sequence

from normwise.comparison.summary import Line, Summary
from normwise.comparison.verdicts import Pair, Verdict


def answer(summary: Summary) -> str:
    """What the trials say: which variant is best, which can't be told from it, what it costs."""
    return " ".join(_sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    numbered = [line for line in summary.ranked if line.numbers]
    if not numbered:
        yield _nothing(summary)
        return
    best, rest = numbered[0], numbered[1:]
    yield _best(summary, best, rest)
    if rest:
        yield from _against(summary, best, rest)
    yield from _failed(summary)
    yield from _stopped(summary)


def _nothing(summary: Summary) -> str:
    trials = sum(len(line.values) for line in summary.lines)
    diverged = sum(line.diverged for line in summary.lines)
    if diverged == trials:
        return "Every trial diverged: there is nothing to compare."
    what = (
        f"{diverged} of {trials} trials diverged, in the others" if diverged else "In every trial"
    )
    return (
        f"{what} {summary.metric} is undefined on the {_where(summary)}: there is nothing to "
        "compare. Name another metric (--set training.metric=...), or measure on other images."
    )


def _best(summary: Summary, best: Line, rest: Sequence[Line]) -> str:
    kind = "lowest" if summary.lower_is_better else "highest"
    often = f"{len(best.numbers)} of {len(best.values)} trials" if best.failed else "every trial"
    # Means of other trials are no reason to call one of them the highest.
    among = any(line.failed > best.failed for line in rest)
    which = f"Of the variants that gave a number most often (in {often}), " if among else ""
    return (
        f"{which}“{best.variant.name}” has the {kind} mean {summary.metric} on "
        f"{_where(summary)}: {best.mean:.4g}, over {_counted(len(best.numbers), summary.unit)}."
    )


def _against(summary: Summary, best: Line, rest: Sequence[Line]) -> Iterator[str]:
    found: dict[Verdict, list[Line]] = {}
    for line in rest:
        found.setdefault(_pair(summary, best, line).of(best.variant.name), []).append(line)
    for outcome in (Verdict.BETTER, Verdict.WORSE):
        if lines := found.get(outcome):
            yield f"It is {outcome} than {_names(summary, best, lines)} beyond chance."
    if same := found.get(Verdict.IDENTICAL):
        yield f"It is identical to {_names(summary, best, same)} in every trial."
    undecided, unjudged = (found.get(o, []) for o in (Verdict.UNDECIDED, Verdict.UNJUDGED))
    if undecided:
        yield from _undecided(summary, best, undecided)
    yield from _unjudged(summary, best, unjudged)
    yield from _cheaper(summary, best, [line for line in rest if line in (*undecided, *unjudged)])


def _undecided(summary: Summary, best: Line, lines: Sequence[Line]) -> Iterator[str]:
    counts = sorted({_pair(summary, best, line).paired.pairs for line in lines})
    few = f"{counts[0]} to " if len(counts) > 1 else ""
    trials = f"{few}{_counted(counts[-1], summary.unit)}"
    names = _names(summary, best, lines)
    yield f"From {names} it can't be told: no difference that {trials} can show."
    yield from _next(summary, best, lines[0])


def _next(summary: Summary, best: Line, second: Line) -> Iterator[str]:
    needed = _pair(summary, best, second).needed
    if needed is None:
        return
    few, many = needed
    upper = f" to {many}" if many and many != few else "" if many else " to more than 1,000"
    yield (
        f"To settle whether it differs from “{second.variant.name}”, about {few}{upper} "
        f"fresh {summary.unit} are needed, if the true difference is the one that was seen."
    )


def _unjudged(summary: Summary, best: Line, lines: Sequence[Line]) -> Iterator[str]:
    why: dict[str, list[Line]] = {}
    for line in lines:
        why.setdefault(_reason(_pair(summary, best, line), summary.unit), []).append(line)
    for reason, own in why.items():
        yield f"Against {_names(summary, best, own)} {reason}."


def _reason(pair: Pair, unit: str) -> str:
    """Why a pair can't be judged."""
    pairs = pair.paired.pairs
    if not pairs:
        return f"nothing can be said: no {unit.removesuffix('s')} gave a number for both"
    if pairs == 1:
        return "one pair of trials can't tell a difference from chance"
    return f"the difference is the same in {_counted(pairs, unit)}: no spread to judge it by"


def _cheaper(summary: Summary, best: Line, others: Sequence[Line]) -> Iterator[str]:
    complete = [line for line in others if not line.failed]
    cheapest = min(complete, key=lambda line: line.seconds, default=best)
    if cheapest.seconds < 0.95 * best.seconds:
        yield (
            f"Of what can't be told from it, “{cheapest.variant.name}” trained fastest, in "
            f"{cheapest.seconds / best.seconds:.0%} of the best one's time."
        )


def _failed(summary: Summary) -> Iterator[str]:
    for line in summary.lines:
        name, trials = line.variant.name, len(line.values)
        if line.diverged:
            yield f"“{name}” diverged in {line.diverged} of {trials} trials."
        if line.undefined:
            yield (
                f"In {line.undefined} of {trials} trials of “{name}” {summary.metric} is "
                f"undefined on the {_where(summary)}."
            )


def _stopped(summary: Summary) -> Iterator[str]:
    race = summary.race
    if race is not None:
        count = race.variants - len(race.kept)
        yield (
            f"Stopped early, by validation {race.metric} at the time: {count} of {race.variants} "
            "variants. They have no final number, and how they would have ended isn't known."
        )


def _pair(summary: Summary, one: Line, other: Line) -> Pair:
    return summary.said(one.variant.name, other.variant.name)


def _where(summary: Summary) -> str:
    return {"test": "test images", "val": "validation images"}[summary.split]


def _names(summary: Summary, best: Line, lines: Sequence[Line]) -> str:
    said = [f"“{line.variant.name}” ({_number(summary, best, line)})" for line in lines]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _number(summary: Summary, best: Line, line: Line) -> str:
    """The mean of a variant; where it lost other trials than the best one, both means of the
    trials that are left of both."""
    both = [
        pair for pair in zip(line.values, best.values, strict=True) if all(map(math.isfinite, pair))
    ]
    if not both or len(both) == len(line.numbers) == len(best.numbers):
        return f"{line.mean:.4g}"
    own, other = (statistics.fmean(values) for values in zip(*both, strict=True))
    trials = _counted(len(both), summary.unit)
    return f"{own:.4g} against {other:.4g} in the {trials} with both"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
