"""A finished comparison: its variants, its pairs, and the answer in a paragraph."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from normwise.comparison.experiment import Experiment, Variant
from normwise.comparison.halving import Race
from normwise.comparison.outcome import Norms, Outcome
from normwise.comparison.pairing import all_pairs
from normwise.comparison.pareto import front
from normwise.comparison.verdicts import Pair, Verdict
from normwise.training.metrics import LOWER_IS_BETTER


@dataclass(frozen=True)
class Line:
    """What all trials of one variant say together.

    Attributes:
        variant: The variant.
        outcomes: Its trials, in the order of the experiment's blocks.
        values: The compared metric of each; NaN where a trial gave none.
    """

    variant: Variant
    outcomes: tuple[Outcome, ...] = field(repr=False)
    values: tuple[float, ...]

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers."""
        return [value for value in self.values if math.isfinite(value)]

    @property
    def mean(self) -> float:
        """Their mean; NaN without any."""
        return statistics.fmean(self.numbers) if self.numbers else math.nan

    @property
    def spread(self) -> float:
        """Their standard deviation (n - 1 in the divisor); NaN below 2."""
        return statistics.stdev(self.numbers) if len(self.numbers) > 1 else math.nan

    @property
    def failed(self) -> int:
        """How many trials gave no number."""
        return len(self.values) - len(self.numbers)

    @property
    def diverged(self) -> int:
        """How many of them diverged."""
        return sum(bool(one.diverged) for one in self.outcomes)

    @property
    def undefined(self) -> int:
        """How many of them came to their end, but have no such metric on the images."""
        return self.failed - self.diverged

    @property
    def seconds(self) -> float:
        """What a training took: the median of those that came to their end; NaN without any."""
        return self.median(lambda one: None if one.diverged else one.cost.seconds)

    def median(self, of: Callable[[Outcome], float | None]) -> float:
        """The median of a quantity over the trials that have it; NaN if none does."""
        found = [value for one in self.outcomes if (value := of(one)) is not None]
        finite = [value for value in found if math.isfinite(value)]
        return statistics.median(finite) if finite else math.nan

    def norms(self, of: Callable[[Norms], int]) -> float:
        """The median of a number of the norms; a trial that diverged left no network to count."""
        return self.median(lambda one: None if one.diverged else of(one.norms))


@dataclass(frozen=True)
class Summary:
    """A finished comparison.

    Attributes:
        experiment: Which trials were made.
        outcomes: What each gave: for each variant's name, in the order of the blocks. Variants
            that were stopped early are not among them: they have no final number.
        race: What was stopped early; None if nothing was.
    """

    experiment: Experiment
    outcomes: Mapping[str, Sequence[Outcome]] = field(repr=False)
    race: Race | None = None

    @property
    def first(self) -> Outcome:
        """Any trial, for what all have in common."""
        return next(iter(self.outcomes.values()))[0]

    @property
    def metric(self) -> str:
        """The metric that is compared."""
        return self.first.metric

    @property
    def split(self) -> str:
        """The split that it is compared on."""
        return self.first.split

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is an error."""
        return self.metric in LOWER_IS_BETTER

    @property
    def unit(self) -> str:
        """What trials are paired by."""
        return "seeds" if self.experiment.folds is None else "pairs"

    @property
    def overlap(self) -> float:
        """Evaluated images for each training image where they differ between blocks, else 0."""
        images = [one.images for one in next(iter(self.outcomes.values()))]
        if len({own.key for own in images}) == 1:
            return 0.0
        return statistics.fmean(own.evaluated / max(1, own.train) for own in images)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The variants that were trained to the end, in the order in which they were named."""
        return tuple(
            Line(
                variant,
                tuple(self.outcomes[variant.name]),
                tuple(
                    one.metrics.get(one.split, {}).get(self.metric, math.nan)
                    for one in self.outcomes[variant.name]
                ),
            )
            for variant in self.experiment.variants
            if variant.name in self.outcomes
        )

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two variants, corrected for all of them."""
        values = {line.variant.name: line.values for line in self.lines}
        made = self.race.comparisons if self.race else None
        return all_pairs(
            values,
            lower_is_better=self.lower_is_better,
            overlap=self.overlap,
            comparisons=made,
        )

    @cached_property
    def ranked(self) -> tuple[Line, ...]:
        """The variants by their mean, the best first; one that lost trials is behind all that
        lost fewer, for its mean is one of other trials, as if it had had no hard seed."""
        sign = 1 if self.lower_is_better else -1
        return tuple(
            sorted(
                self.lines,
                key=lambda line: (line.failed, sign * line.mean if line.numbers else math.inf),
            )
        )

    @property
    def costs(self) -> dict[str, float]:
        """What each variant's training took, in seconds: the median of the trials that came to
        their end; NaN without any."""
        return {line.variant.name: line.seconds for line in self.lines}

    @cached_property
    def front(self) -> tuple[str, ...]:
        """Variants that no other beats in mean quality and training time together, the cheapest
        first."""
        sign = -1.0 if self.lower_is_better else 1.0
        costs = [
            cost if not line.failed else math.nan
            for line, cost in zip(self.lines, self.costs.values(), strict=True)
        ]
        places = front([sign * line.mean for line in self.lines], costs)
        return tuple(self.lines[place].variant.name for place in places)

    def said(self, one: str, other: str) -> Pair:
        """The pair of two variants, whichever was named first."""
        return next(pair for pair in self.pairs if {pair.one, pair.other} == {one, other})

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the comparison; NaN stands where there is none."""
        return {
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "split": self.split,
            "seeds": self.experiment.seeds,
            "folds": self.experiment.folds,
            "overlap": self.overlap,
            "variants": [_line(line, line.variant.name in self.front) for line in self.lines],
            "pairs": [_pair(pair, self.unit) for pair in self.pairs],
            "halving": self.race.to_dict() if self.race else None,
        }


def _line(line: Line, on_front: bool) -> dict[str, Any]:
    return {
        "name": line.variant.name,
        "plan": line.variant.plan,
        "settings": list(line.variant.settings),
        "values": list(line.values),
        "mean": line.mean,
        "spread": line.spread,
        "diverged": line.diverged,
        "undefined": line.undefined,
        "on_front": on_front,
        "training_seconds": line.seconds,
        "seconds_per_step": line.median(lambda one: one.cost.seconds_per_step),
        "seconds_per_megapixel": line.median(lambda one: one.cost.seconds_per_megapixel),
        "parameters": line.median(lambda one: one.cost.parameters),
        "statistics": line.median(lambda one: one.cost.statistics),
        "peak_memory": line.median(lambda one: one.cost.peak_memory),
        "norms": line.norms(lambda norms: norms.layers),
        "foldable": line.norms(lambda norms: norms.foldable),
        "disparity": line.median(lambda one: one.probes.disparity),
        "tile_mismatch": line.median(lambda one: one.probes.tile_mismatch),
        "batch_dependence": line.median(lambda one: one.probes.batch_dependence),
        "inference_dependence": line.median(lambda one: one.probes.inference_dependence),
        "findings": sorted({finding for one in line.outcomes for finding, _ in one.norms.findings}),
        "steps": [one.cost.steps for one in line.outcomes],
        "seconds": [one.cost.seconds for one in line.outcomes],
    }


def _pair(pair: Pair, unit: str) -> dict[str, Any]:
    found = pair.paired
    return {
        "one": pair.one,
        "other": pair.other,
        "differences": list(found.differences),
        "mean": found.mean,
        "interval": list(found.interval),
        "interval_by": "paired t-distribution"
        + (", corrected for overlapping training images" if found.overlap else ""),
        "bootstrap": list(found.bootstrap) if found.bootstrap else None,
        "effect": found.effect,
        "p": found.p,
        "adjusted_p": pair.adjusted,
        "outcome": str(pair.outcome),
        "needed": list(pair.needed) if pair.needed else None,
        "detectable": pair.detectable,
        "verdict": pair.verdict(unit),
    }


def decided(summary: Summary, one: str, other: str) -> bool:
    """Whether two variants differ beyond chance."""
    return summary.said(one, other).outcome in (Verdict.BETTER, Verdict.WORSE)
