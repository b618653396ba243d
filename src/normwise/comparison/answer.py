"""The answer of a comparison in one paragraph of plain words."""

from collections.abc import Iterator, Sequence

from normwise.comparison.summary import Line, Summary, decided
from normwise.comparison.verdicts import Outcome


def answer(summary: Summary) -> str:
    """What the trials say: which variant is best, which can't be told from it, what it costs."""
    return " ".join(_sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    numbered = [line for line in summary.ranked if line.numbers]
    if not numbered:
        yield "Every trial diverged: there is nothing to compare."
        return
    best, rest = numbered[0], numbered[1:]
    yield _best(summary, best)
    if rest:
        yield from _against(summary, best, rest)
    yield from _diverged(summary)
    yield from _stopped(summary)


def _best(summary: Summary, best: Line) -> str:
    kind = "lowest" if summary.lower_is_better else "highest"
    where = {"test": "test images", "val": "validation images"}[summary.split]
    return (
        f"“{best.variant.name}” has the {kind} mean {summary.metric} on {where}: "
        f"{_number(best)}, over {_counted(len(best.numbers), summary.unit)}."
    )


def _against(summary: Summary, best: Line, rest: Sequence[Line]) -> Iterator[str]:
    name = best.variant.name
    beaten = [line for line in rest if decided(summary, name, line.variant.name)]
    same = [
        line for line in rest if summary.said(name, line.variant.name).outcome is Outcome.IDENTICAL
    ]
    open_ones = [line for line in rest if line not in beaten and line not in same]
    if beaten:
        yield f"It is better than {_names(beaten)} beyond chance."
    if same:
        yield f"It is identical to {_names(same)} in every trial."
    if open_ones:
        trials = _counted(max(len(line.numbers) for line in rest), summary.unit)
        yield f"From {_names(open_ones)} it can't be told: no difference that {trials} can show."
        yield from _next(summary, name, open_ones[0])
        yield from _cheaper(summary, best, open_ones)


def _next(summary: Summary, best: str, second: Line) -> Iterator[str]:
    needed = summary.said(best, second.variant.name).needed
    if needed is None:
        return
    few, many = needed
    upper = f" to {many}" if many and many != few else "" if many else " to more than 1,000"
    yield (
        f"To settle whether it is better than “{second.variant.name}”, about {few}{upper} "
        f"{summary.unit} are needed, if the true difference is the one that was seen."
    )


def _cheaper(summary: Summary, best: Line, others: Sequence[Line]) -> Iterator[str]:
    costs = summary.costs
    own = costs[best.variant.name]
    cheapest = min(
        (line for line in others if not line.diverged),
        key=lambda line: costs[line.variant.name],
        default=best,
    )
    least = costs[cheapest.variant.name]
    if least < 0.95 * own:
        yield (
            f"Of those, “{cheapest.variant.name}” trained fastest, in {least / own:.0%} of the "
            "best one's time."
        )


def _diverged(summary: Summary) -> Iterator[str]:
    for line in summary.lines:
        if line.diverged:
            yield (
                f"“{line.variant.name}” diverged or gave no number in {line.diverged} of "
                f"{len(line.values)} trials."
            )


def _stopped(summary: Summary) -> Iterator[str]:
    race = summary.race
    if race is not None:
        count = race.variants - len(race.kept)
        yield (
            f"Stopped early, by validation {race.metric} at the time: {count} of {race.variants} "
            "variants. They have no final number, and how they would have ended isn't known."
        )


def _names(lines: Sequence[Line]) -> str:
    said = [f"“{line.variant.name}” ({_number(line)})" for line in lines]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _number(line: Line) -> str:
    return f"{line.mean:.4g}"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
