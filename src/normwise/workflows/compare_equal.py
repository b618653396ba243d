"""What was held equal in a comparison, by the settings that each trial came to have."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Self

from normwise.comparison.summary import Summary
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import as_setting, flat_settings

RATE: Final = "training.learning_rate"
_TOLD: Final = ("training.batch_size", RATE, "training.loss", "network.name")
_OF_PATCHES: Final = ("training.batch_size", "training.steps", "training.epochs")


@dataclass(frozen=True)
class Held:
    """The settings of all trials, with every choice made.

    Attributes:
        rows: Of each variant the settings of its trials by dotted key, in the order of the blocks.
    """

    rows: tuple[tuple[Mapping[str, Any], ...], ...]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Those of a finished comparison."""
        return cls(
            tuple(
                tuple(flat_settings(Recipe(**one.recipe)) for one in line.outcomes)
                for line in summary.lines
            )
        )

    def values(self, key: str) -> list[Any]:
        """Every value that a setting had in any trial, once."""
        found: list[Any] = []
        for row in chain.from_iterable(self.rows):
            if row.get(key) not in found:
                found.append(row.get(key))
        return found

    def one_value(self, *keys: str) -> bool:
        """Whether all trials had the same of each of these settings."""
        return all(len(self.values(key)) == 1 for key in keys)

    def unlike(self) -> list[str]:
        """The settings that decide about patches and differ between trials that are paired."""
        keys = dict.fromkeys(chain.from_iterable(chain.from_iterable(self.rows)))
        blocks = list(zip(*self.rows, strict=True))
        return [
            key
            for key in keys
            if (key.startswith("data.") or key in _OF_PATCHES)
            and any(row.get(key) != first.get(key) for first, *rest in blocks for row in rest)
        ]


def equal(summary: Summary) -> Iterator[str]:
    """What was held equal, a sentence each."""
    held = Held.of(summary)
    yield _seeds(summary)
    yield _patches(held)
    yield _length(summary)
    for key in _TOLD:
        yield from _setting(summary, held, key)
    if summary.race is not None:
        yield (
            "Halving: all variants were judged at the same steps of the same schedule, which is "
            "that of the full length; those that went on did so from where they stood."
        )
    (budget, *others) = held.values("training.budget")
    if budget and not others:
        yield f"No epoch was begun after {budget:g} s."
    yield _images(summary)


def seeds_draw(summary: Summary) -> bool | None:
    """Whether it depends on the seed which images train; None where older trials don't tell."""
    keys = [{one.images.training for one in line.outcomes} for line in summary.lines]
    return None if any("" in own for own in keys) else any(len(own) > 1 for own in keys)


def _seeds(summary: Summary) -> str:
    seeds = sorted({seed for seed, _ in summary.experiment.blocks()})
    named = f"Seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"Seed {seeds[0]}"
    return (
        f"{named}, the same for every variant: in each, layers that networks share by name and "
        "shape begin with the same weights, and dropout drops the same values."
    )


def _patches(held: Held) -> str:
    unlike = [
        f"{key} is {' or '.join(as_setting(value) for value in held.values(key))}"
        for key in held.unlike()
    ]
    if not unlike:
        return "The same patches in the same order, varied in the same way."
    return f"Patches are drawn by the same seeds, but aren't the same ones: {', '.join(unlike)}."


def _length(summary: Summary) -> str:
    steps = span([one.cost.steps for line in summary.lines for one in line.outcomes], ",")
    took = [cost for cost in summary.costs.values() if math.isfinite(cost)]
    within = f", in {min(took):.3g} to {max(took):.3g} s" if took else ""
    return f"Budget: {steps} training steps a trial were made{within}."


def _setting(summary: Summary, held: Held, key: str) -> Iterator[str]:
    found = _found_rates(summary) if key == RATE else []
    if found:
        yield f"{key}: found anew for each trial (auto), {span(found, 'g')}"
    elif held.one_value(key):
        yield f"{key}: {held.values(key)[0]}"


def _found_rates(summary: Summary) -> list[float]:
    """The learning rates of the trials that searched one."""
    return [
        one.recipe["training"]["learning_rate"]
        for line in summary.lines
        for one in line.outcomes
        if one.asked["training"]["learning_rate"] == "auto"
    ]


def _images(summary: Summary) -> str:
    images = [one.images for line in summary.lines for one in line.outcomes]
    train = span([own.train for own in images], "")
    measured = span([own.evaluated for own in images], "")
    return f"Images: {_split(summary)}; in each trial {train} train, {measured} are measured."


def _split(summary: Summary) -> str:
    if summary.experiment.folds:
        return f"{summary.experiment.folds} folds"
    if summary.overlap:
        return "a split for each seed"
    drawn = seeds_draw(summary)
    if drawn is None:
        return "one set that is measured"
    if drawn:
        return "one set that is measured; which of the others validate is drawn by the seed"
    keys = {one.images.training for line in summary.lines for one in line.outcomes}
    return "one split" if len(keys) == 1 else "one split a variant"


def span(values: Sequence[float], form: str) -> str:
    """A number, or the least and the greatest of several."""
    least, most = (format(value, form) for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"
