"""What docs/the-question.md says of a pair of plans, in words; and the heads of its tables."""

from collections.abc import Iterable, Iterator, Sequence

from normwise.comparison.verdicts import Pair, Verdict
from normwise.report.page.numbers import MISSING, signed


def brief(pair: Pair) -> str:
    """A verdict in a word, with the difference."""
    count, size = pair.paired.pairs, signed(pair.paired.mean)
    if not count:
        return noted("no number", lost(pair)) if any(pair.failed) else "not yet run"
    if pair.outcome in (Verdict.BETTER, Verdict.WORSE):
        return noted(f"**{pair.outcome}**", size, lost(pair))
    if pair.outcome is Verdict.IDENTICAL:
        return "identical"
    if pair.outcome is Verdict.UNJUDGED:
        return noted(single(pair) if count == 1 else "the same each time", size, lost(pair))
    return noted("open", size, lost(pair))


def verdict(pair: Pair) -> str:
    """A verdict for a sentence that goes on with `on` and the set."""
    count = pair.paired.pairs
    if not count:
        return noted("no seed gave two numbers", lost(pair)) if any(pair.failed) else "not yet run"
    if pair.outcome in (Verdict.BETTER, Verdict.WORSE, Verdict.IDENTICAL):
        return noted(str(pair.outcome), lost(pair))
    if pair.outcome is Verdict.UNDECIDED:
        return noted(f"no difference that {count} seeds can show", lost(pair))
    if count == 1:
        return noted(f"{single(pair)}, which tells nothing of chance", lost(pair))
    said = f"the same difference in {count} seeds"
    return noted(said, "no spread to judge it by", lost(pair))


def ahead(pairs: Iterable[Pair]) -> str:
    """In how many pairs of trainings the first was better, those apart that came to the same."""
    first = [(d < 0) == p.lower_is_better for p in pairs for d in p.paired.differences if d]
    return f"{sum(first)} of {len(first)}" if first else MISSING


def noted(said: str, *notes: str) -> str:
    """A text with notes in parentheses; empty ones are left out."""
    kept = "; ".join(filter(None, notes))
    return f"{said} ({kept})" if kept else said


def lost(pair: Pair) -> str:
    """How many trainings of the first and of the second gave no number; empty if all did."""
    one, other = pair.failed
    return f"{one} and {other} of {pair.trials} gave no number" if one or other else ""


def single(pair: Pair) -> str:
    """What one pair of numbers is: one seed, unless others were lost."""
    return "one pair of numbers" if any(pair.failed) else "one seed"


def table_head(names: Sequence[str]) -> Iterator[str]:
    """The head of a table."""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
