"""What is known of the data that a layer reads, and how it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normwise.surgery.batches import Batch, Missing
from normwise.surgery.moments import Doubles

SETTLED = 1e-4
"""Standard deviations by which the statistics of a norm that reads its own results may be off."""


@dataclass(frozen=True)
class Population:
    """Statistics of what a layer reads, over all data.

    Attributes:
        mean: float64 of shape `(channels,)`.
        variance: Population variance (divided by the count), likewise.
        count: Values seen in each channel.
        moved: For a norm that reads its own results: how far they are from those of what it reads
            while it holds them, in standard deviations; the largest number of its channels.
    """

    mean: Doubles
    variance: Doubles
    count: int
    moved: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether they are those of what the norm reads while it holds them."""
        return self.moved <= SETTLED


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        statistics: From the paths of layers to statistics.
        passes: Passes over the data.
        samples: Samples in one pass.
        uncalled: Paths of layers that the model holds and never calls.
    """

    statistics: Mapping[str, Population]
    passes: int
    samples: int
    uncalled: tuple[str, ...] = ()

    def warnings(self, names: Mapping[str, str] | None = None) -> list[str]:
        """What isn't as exact as it should be, for reports.

        Args:
            names: What layers are called there, where it isn't their paths.
        """
        return [
            f"warning: {(names or {}).get(path, path)} reads its own results, and in "
            f"{self.passes} passes over the data no statistics were found that are right for it: "
            f"those that it holds are still {one.moved:.2g} standard deviations from those of what "
            "it reads with them. Give each of its calls a normalization of its own."
            for path, one in self.statistics.items()
            if not one.settled
        ]


class Track(Protocol):
    """Wraps the batches of a pass to show how far it is."""

    def __call__(self, batches: Iterable[Batch], title: str, total: int) -> Iterable[Batch]:
        """The same batches; `total` is 0 where nobody knows how many there are."""
        ...


def untracked(batches: Iterable[Batch], title: str, total: int) -> Iterable[Batch]:
    """Shows nothing."""
    return batches


@dataclass(frozen=True)
class MeasureSettings:
    """How statistics are measured.

    Attributes:
        fast: One pass, each batch normalized by its own statistics, instead of the exact way.
        missing: What marks missing values in the input, and what stands in their place.
        track: Shows how far a pass is.
    """

    fast: bool = False
    missing: Missing = field(default_factory=Missing)
    track: Track = untracked
