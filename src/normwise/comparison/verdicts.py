"""What may be said of a pair of plans, in plain words."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from normwise.comparison.power import detectable, pairs_needed, upper_deviation
from normwise.comparison.statistics import Paired


class Verdict(StrEnum):
    """What the trials say of the first plan of a pair."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    IDENTICAL = "identical"
    UNJUDGED = "unjudged"


_TURNED: Final = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


@dataclass(frozen=True)
class Pair:
    """Two plans with what their trials show.

    Attributes:
        one: Name of the first plan.
        other: Name of the second.
        paired: Their differences, first minus second.
        adjusted: p, adjusted for all comparisons that were made.
        comparisons: How many those are.
        lower_is_better: Whether a negative difference speaks for the first.
        failed: For each of the two, how many of its trials gave no number.
        trials: Trials of each.
    """

    one: str
    other: str
    paired: Paired
    adjusted: float
    comparisons: int
    lower_is_better: bool = False
    failed: tuple[int, int] = (0, 0)
    trials: int = 0

    @property
    def outcome(self) -> Verdict:
        """What may be said, at the level of the intervals, adjusted for all comparisons.

        Plans are identical only where every trial of both gave a number: what one that failed
        would have given, nobody knows.
        """
        found = self.paired
        if found.pairs and not any(found.differences) and not any(self.failed):
            return Verdict.IDENTICAL
        if math.isnan(self.adjusted):
            return Verdict.UNJUDGED
        if self.adjusted > found.level:
            return Verdict.UNDECIDED
        return Verdict.BETTER if (found.mean < 0) == self.lower_is_better else Verdict.WORSE

    def of(self, name: str) -> Verdict:
        """The same of either plan of the pair.

        Args:
            name: Its name.
        """
        return self.outcome if name == self.one else _TURNED.get(self.outcome, self.outcome)

    @property
    def needed(self) -> tuple[int, int | None] | None:
        """How many pairs would show the difference that was seen, with a probability of 80 %.

        Returns:
            If the spread is what it seems, and if it is as large as it may well be (None: more
            than 1,000); None where nothing is left to settle, or nothing can be said.
        """
        found = self.paired
        if self.outcome is not Verdict.UNDECIDED or not found.mean:
            return None
        level = found.level / self.comparisons
        seeming = pairs_needed(found.mean / found.deviation, level, found.overlap)
        if seeming is None:
            return None
        largest = upper_deviation(found.deviation, found.pairs)
        return seeming, pairs_needed(found.mean / largest, level, found.overlap)

    @property
    def detectable(self) -> float:
        """The smallest true difference, in units of the metric, that these pairs would show with
        a probability of 80 %, were the spread what it seems."""
        found = self.paired
        level = found.level / self.comparisons
        return detectable(found.pairs, level, found.overlap) * found.deviation

    def verdict(self, unit: str = "seeds") -> str:
        """What the trials say, in a sentence or two.

        Args:
            unit: What the pairs are, such as `seeds`.
        """
        return f"{_judged(self, unit)}{_missing(self)}"


def _judged(pair: Pair, unit: str) -> str:
    found, outcome = pair.paired, pair.outcome
    if not found.pairs:
        return "nothing can be said: no pair of trials gave two numbers"
    if outcome is Verdict.IDENTICAL:
        return f"identical in {_counted(found.pairs, unit)}"
    if outcome is Verdict.UNJUDGED:
        if found.pairs < 2:
            return "one pair of trials can't tell a difference from chance"
        return f"the same difference in {_counted(found.pairs, unit)}: no spread to judge it by"
    if outcome is Verdict.UNDECIDED:
        return f"no difference that {_counted(found.pairs, unit)} can show{_more(pair, unit)}"
    return f"{outcome} by {abs(found.mean):.3g}, beyond chance (adjusted p {pair.adjusted:.2g})"


def _more(pair: Pair, unit: str) -> str:
    needed = pair.needed
    if needed is None:
        return ""
    few, many = needed
    if many == few:
        return f"; about {few} fresh {unit} would settle a true difference of this size"
    upper = f"to {many}" if many is not None else "to more than 1,000"
    return f"; {few} {upper} fresh {unit} would settle a true difference of this size"


def _missing(pair: Pair) -> str:
    told = [
        f"{name} gave no number in {failed} of {pair.trials} trials"
        for name, failed in zip((pair.one, pair.other), pair.failed, strict=True)
        if failed
    ]
    return f"; {' and '.join(told)}, which are left out here" if told else ""


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
