"""What is known of the data that a layer reads, and how it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normwise.surgery.batches import Batch, Missing
from normwise.surgery.moments import Doubles


@dataclass(frozen=True)
class Population:
    """Statistics of what a layer reads, over all data.

    Attributes:
        mean: float64 of shape `(channels,)`.
        variance: Population variance (divided by the count), likewise.
        count: Values seen in each channel.
        settled: False for a norm that depends on itself and still changed in the last pass.
    """

    mean: Doubles
    variance: Doubles
    count: int
    settled: bool = True


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        statistics: From the paths of layers to statistics.
        passes: Passes over the data.
        samples: Samples in one pass.
    """

    statistics: Mapping[str, Population]
    passes: int
    samples: int


class Track(Protocol):
    """Wraps the batches of a pass to show how far it is."""

    def __call__(self, batches: Iterable[Batch], title: str, total: int) -> Iterable[Batch]:
        """The same batches; `total` is 0 where nobody knows how many there are."""
        ...


def untracked(batches: Iterable[Batch], title: str, total: int) -> Iterable[Batch]:
    """Shows nothing."""
    return batches


@dataclass(frozen=True)
class Settings:
    """How statistics are measured.

    Attributes:
        fast: One pass, each batch normalized by its own statistics, instead of the exact way.
        missing: What marks missing values in the input, and what stands in their place.
        track: Shows how far a pass is.
    """

    fast: bool = False
    missing: Missing = field(default_factory=Missing)
    track: Track = untracked
