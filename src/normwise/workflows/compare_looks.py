"""With how many seeds a comparison was looked at while it grew.

A p of 5 % holds for a number of seeds that was fixed beforehand. Whoever adds seeds until a
difference shows has a try with each of them.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from normwise.comparison.summary import Summary


def looks(report: Path, seeds: int) -> tuple[int, ...]:
    """Every number of seeds with which a comparison was reported, this one included.

    Args:
        report: Its `comparison.json`, if it has one yet. One that can't be read is passed over: it
            is about to be replaced.
        seeds: Of the report that is being made.
    """
    try:
        was = json.loads(report.read_text(encoding="utf-8"))
        earlier = {int(number) for number in was.get("looks", [was["seeds"]])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        earlier = set()
    return tuple(sorted({*earlier, seeds}))


def about_looks(summary: Summary, looked: Sequence[int]) -> Iterator[str]:
    """What p holds for, and how to settle what was seen; nothing where nothing is compared."""
    if not summary.pairs:
        return
    seeds = summary.experiment.seeds
    others = [str(number) for number in looked if number != seeds]
    if others:
        yield (
            f"This comparison was also looked at with {_listed(others)} "
            f"seed{'s' if others != ['1'] else ''}, and each look is another try: with two equal "
            "plans a p up to 0.05 turns up in 10 % of all comparisons that are looked at with 3, "
            "4 and 5 seeds, in 15 % up to 8."
        )
    else:
        yield (
            "p holds for a number of seeds that was fixed beforehand: each look with more of them "
            "is another try."
        )
    yield (
        "To settle what was seen, compare anew in another folder, with all seeds fresh: "
        f"--set training.seed={fresh(summary)}."
    )


def fresh(summary: Summary) -> int:
    """A first seed far from those that were used."""
    return summary.experiment.base.training.seed + 1000


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
