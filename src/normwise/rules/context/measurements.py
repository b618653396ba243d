"""What probes measured of a model on data: numbers alone, which the rules that need data judge.

None, or nothing in a tuple, stands for what could not be measured; the rules then stay silent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


class StateChange(Protocol):
    """Tries on a live model whether training moves the statistics of batch normalizations."""

    def moved(self, layers: Collection[str]) -> frozenset[str] | None:
        """Those of these layers whose statistics one call in training mode moves.

        None if the model can't be tried. The model itself is not changed.
        """
        ...


@dataclass(frozen=True)
class Gap:
    """How far the statistics of data are from those that a normalization holds.

    All numbers are taken beyond the error of sampling, over channels weighted by gamma squared,
    which is what a channel matters behind the norm.

    Attributes:
        layer: The norm's path.
        mean: Difference of the means in standard deviations of the norm, root mean square.
        ratio: Standard deviation of the data in those of the norm, geometric mean.
        total: What both make of a normalized value, whose standard deviation should be 1: root
            mean square, a channel counting at most 3.
    """

    layer: str
    mean: float
    ratio: float
    total: float


@dataclass(frozen=True)
class Modes:
    """Batch normalizations in training mode beside the same in inference mode, all else alike.

    Attributes:
        gaps: Of what each norm reads in training mode, in the network's order.
        outputs: By how much outputs differ between the modes, root mean square in standard
            deviations of the output; None where outputs don't vary.
    """

    gaps: tuple[Gap, ...]
    outputs: float | None


@dataclass(frozen=True)
class Tiles:
    """The same pixels predicted in two tiles that overlap.

    Attributes:
        size: Pixels of a tile along each axis.
        margin: Pixels from the compared ones to the nearer border of a tile.
        difference: Root mean square of the differences, in the output's units.
        share: The same in standard deviations of the output.
        pinned: The same share when the second tile is predicted with the first one's statistics:
            what the borders of the tiles explain.
        changed: Share of the compared pixels whose class differs; None for outputs that are no
            probabilities.
        layers: The norms whose statistics were pinned.
    """

    size: tuple[int, ...]
    margin: int
    difference: float
    share: float
    pinned: float
    changed: float | None
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Companions:
    """What other samples of a batch do to a sample's output.

    Attributes:
        inference: Difference between a batch of copies of the sample and one with others, root
            mean square in standard deviations of the output.
        rounding: What rounding alone may make of it.
        layer: The first layer whose result differs, None where none was found.
        training: Difference between two batches of the training's size with other samples, batch
            normalizations in training mode; None where that size isn't known.
        batch: That size.
    """

    inference: float
    rounding: float
    layer: str | None
    training: float | None
    batch: int | None


@dataclass(frozen=True)
class Branches:
    """The tensors that a merge joins.

    Attributes:
        layer: The merging layer's path.
        call: Which of its calls, from 0.
        rms: Root mean square of each tensor in the order in which they are read; in inference, or
            in training mode in a network with new norms.
    """

    layer: str
    call: int
    rms: tuple[float, ...]


@dataclass(frozen=True)
class Spreads:
    """How widely each sample varies.

    Attributes:
        input: The input's name.
        ratios: For each sample, its standard deviation in multiples of the median over all
            samples, in the channel where that is largest.
        samples: What each of them is called.
    """

    input: str
    ratios: tuple[float, ...]
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """Batches in the order in which samples come, beside those of shuffled samples.

    Attributes:
        batch: Samples in a batch.
        batches: Number of batches.
        composed: Whether these are the batches of a training, and not an order that a loader may
            shuffle.
        drift: How far the means of batches are from those of all samples, root mean square over
            batches and channels, in standard deviations of all pixels.
        shuffled: What that would be on average if the samples were shuffled.
        chance: Share of shuffled orders whose batches differ as much.
        classes: The same for what the labels say: share of the variance of class fractions that
            lies between batches, and of shuffled orders with as much; None without masks.
    """

    batch: int
    batches: int
    composed: bool
    drift: float
    shuffled: float
    chance: float
    classes: tuple[float, float] | None = None


@dataclass(frozen=True)
class Measurements:
    """Everything that probes measured of one model on one set of data.

    Attributes:
        samples: How many samples were looked at.
        new_data: Whether the data are not of the training, but from where the model is used.
        modes: Both modes of batch normalizations.
        inference: Of what each norm with statistics reads in inference, in the network's order.
        tiles: Overlapping tiles.
        companions: A sample among others.
        merges: The branches of merges.
        spreads: Of the samples, for each input.
        order: Of the samples.
    """

    samples: int
    new_data: bool = False
    modes: Modes | None = None
    inference: tuple[Gap, ...] = ()
    tiles: Tiles | None = None
    companions: Companions | None = None
    merges: tuple[Branches, ...] = ()
    spreads: tuple[Spreads, ...] = ()
    order: Order | None = None
