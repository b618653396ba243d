"""Successive halving: many variants begin, the worse half is stopped at each rung.

After Jamieson and Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter
optimization", AISTATS, and Li et al. (2018), "Hyperband", JMLR 18(185). Three things differ here:

- Survivors go on from where they stood, on the learning-rate schedule of the full length. So all
  variants are judged at the same step of the same schedule, and a survivor's trial is bit for bit
  that of a comparison without halving. The price: at a rung no learning rate has come down yet, so
  that a variant which gains most at the end can be stopped.
- Two variants reach the end, not one: a comparison needs a pair.
- A variant is judged by the mean over the same seeds, of the best validation value so far. Test
  images play no part in what is stopped.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from normwise.errors import RecipeError
from normwise.training.metrics import LOWER_IS_BETTER

LAST_ONES: Final = 2
"""How many variants are trained to the end."""


@dataclass(frozen=True)
class Rung:
    """Where variants were judged.

    Attributes:
        epochs: After how many epochs.
        values: For each variant's name, a number a trial: its best validation value by then; NaN
            where the trial had diverged.
        kept: The variants that went on, the best first.
    """

    epochs: int
    values: Mapping[str, tuple[float, ...]]
    kept: tuple[str, ...]

    @property
    def stopped(self) -> tuple[str, ...]:
        """The variants that didn't go on, in the order in which they were named."""
        return tuple(name for name in self.values if name not in self.kept)

    def mean(self, name: str) -> float:
        """What a variant was judged by; NaN where every trial had diverged."""
        numbers = [value for value in self.values[name] if math.isfinite(value)]
        return statistics.fmean(numbers) if numbers else math.nan


@dataclass(frozen=True)
class Race:
    """What was stopped, and when.

    Attributes:
        metric: What the rungs judged by.
        epochs: Of the full length.
        steps: Training steps an epoch; None for one pass over the data.
        rungs: From the first to the last.
    """

    metric: str
    epochs: int
    steps: int | None
    rungs: tuple[Rung, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """The variants that were trained to the end."""
        return self.rungs[-1].kept

    @property
    def variants(self) -> int:
        """How many began."""
        return len(self.rungs[0].values)

    @property
    def comparisons(self) -> int:
        """Pairs of all variants that began.

        p-values are corrected for all of them. The survivors' trials are those that they would
        have had without halving, so a false difference among them is a false difference among
        all pairs: however they were picked, its probability stays at the level.
        """
        return math.comb(self.variants, 2)

    def to_dict(self) -> dict[str, Any]:
        """The rungs as plain values."""
        return {
            "metric": f"validation {self.metric}",
            "epochs": self.epochs,
            "steps_per_epoch": self.steps,
            "comparisons_corrected_for": self.comparisons,
            "rungs": [
                {
                    "epochs": rung.epochs,
                    "values": {name: list(values) for name, values in rung.values.items()},
                    "kept": list(rung.kept),
                    "stopped": list(rung.stopped),
                }
                for rung in self.rungs
            ],
        }


def rungs_of(variants: int, epochs: int) -> tuple[int, ...]:
    """After which epochs variants are judged: half the length, before it a quarter, and so on.

    Args:
        variants: How many begin.
        epochs: Of the full length.

    Returns:
        As many rungs as halvings leave two variants; none for two.

    Raises:
        RecipeError: If the epochs are too few for that.
    """
    rounds = math.ceil(math.log2(max(variants, LAST_ONES) / LAST_ONES))
    found = [-(-epochs // 2**further) for further in range(rounds, 0, -1)]
    if len({*found, epochs}) <= rounds:
        raise RecipeError(
            f"training.epochs is {epochs}: {variants} variants are judged {rounds} times on the "
            f"way, after whole epochs; give {2**rounds} epochs or more, or --steps, which makes "
            "about 20."
        )
    return tuple(found)


def epochs_trained(variants: int, epochs: int) -> int:
    """Epochs of all variants together, for each seed; without halving `variants * epochs`."""
    total, done, left = 0, 0, variants
    for rung in (*rungs_of(variants, epochs), epochs):
        total, done = total + left * (rung - done), rung
        left = _half(left)
    return total


def value_after(epochs: int, history: Sequence[Mapping[str, float]], metric: str) -> float:
    """The best validation value of a trial's first epochs; NaN if it didn't come that far."""
    values = [row[f"val_{metric}"] for row in history[:epochs]]
    numbers = [value for value in values if math.isfinite(value)]
    if len(values) < epochs or not numbers:
        return math.nan
    return min(numbers) if metric in LOWER_IS_BETTER else max(numbers)


def judged(epochs: int, values: Mapping[str, Sequence[float]], metric: str) -> Rung:
    """A rung with its better half; one with trials that diverged is behind all without.

    Args:
        epochs: Where it is.
        values: As in `Rung`.
        metric: What they are of.
    """
    rung = Rung(epochs, {name: tuple(own) for name, own in values.items()}, ())
    sign = 1 if metric in LOWER_IS_BETTER else -1

    def place(name: str) -> tuple[int, float]:
        mean = rung.mean(name)
        lost = sum(not math.isfinite(value) for value in rung.values[name])
        return lost, math.inf if math.isnan(mean) else sign * mean

    # Equal ones keep the order in which they were named.
    ranked = sorted(rung.values, key=place)
    return Rung(epochs, rung.values, tuple(ranked[: _half(len(ranked))]))


def _half(variants: int) -> int:
    return max(min(LAST_ONES, variants), -(-variants // 2))
