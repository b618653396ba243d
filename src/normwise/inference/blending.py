"""Overlapping tiles whose predictions are blended, where no halo makes them exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.graph.tiling import Tiling, overlap_of
from normwise.inference.sums import Sums

Array = npt.NDArray[Any]
Region = tuple[slice, ...]

_SIGMA: Final = 1 / 8
"""Width of the weights in tiles: those of nnU-Net (Isensee et al. 2021, Nature Methods 18)."""


@dataclass(frozen=True)
class Row:
    """Tiles along one axis and their weights.

    Attributes:
        spans: The pixels of each, the last one ending with the image.
        weights: Of the pixels of each tile; those of a pixel add up to 1 over all tiles.
    """

    spans: tuple[slice, ...]
    weights: tuple[Array, ...]

    def last(self, i: int) -> slice:
        """The pixels of a tile that none after it reaches."""
        start, stop = self.spans[i].start, self.spans[i].stop
        return slice(start, self.spans[i + 1].start if i + 1 < len(self.spans) else stop)


def row_of(size: int, tile: int, stride: int, halo: tuple[int, int]) -> Row:
    """Tiles that overlap as they should; see `overlap_of`.

    Args:
        size: Pixels of the image along the axis.
        tile: Size of the tiles.
        stride: Tiles begin at its multiples; of one that doesn't divide the tile, at those of the
            largest number that divides both.
        halo: Pixels before and behind that a network sees, global layers left out.
    """
    stride = gcd(stride, tile)  # else steps could leave gaps between small tiles
    padded = ceil(size / stride) * stride
    if padded <= tile:
        return Row((slice(0, size),), (np.ones(size, np.float32),))
    overlap = overlap_of(tile, halo)
    count = ceil((padded - overlap) / (tile - overlap))
    steps = (padded - tile) // stride
    starts = [round(steps * i / (count - 1)) * stride for i in range(count)]
    spans = tuple(slice(start, min(start + tile, size)) for start in dict.fromkeys(starts))
    bell = np.exp(-0.5 * ((np.arange(tile) - (tile - 1) / 2) / (_SIGMA * tile)) ** 2)
    total = np.zeros(size)
    for span in spans:
        total[span] += bell[: span.stop - span.start]
    weights = (bell[: s.stop - s.start] / total[s] for s in spans)
    return Row(spans, tuple(np.asarray(weight, np.float32) for weight in weights))


def rows_of(
    size: Sequence[int], tile: Sequence[int], strides: Sequence[int], tilings: Sequence[Tiling]
) -> tuple[Row, ...]:
    """The tiles along every axis, for networks that all see the same tiles.

    Args:
        size: Pixels of the image along each axis.
        tile: Pixels of the tiles along each axis.
        strides: Along each axis a multiple of all networks' strides, in whatever view.
        tilings: Those of the networks.
    """
    rows = []
    for axis, (pixels, side, stride) in enumerate(zip(size, tile, strides, strict=True)):
        halo = max((tiling.halo[axis] for tiling in tilings), key=sum)
        rows.append(row_of(pixels, side, stride, halo))
    return tuple(rows)


@dataclass
class Mismatch:
    """How far neighbouring tiles differ where they overlap.

    Attributes:
        squares: Sum of the squared differences of pixels.
        count: Their number.
    """

    squares: float = 0.0
    count: int = 0

    def add(self, one: Array, other: Array) -> None:
        """Counts two predictions of the same pixels; those without data don't count."""
        squares = np.square(np.asarray(one, np.float64) - other)
        known = np.isfinite(squares)
        self.squares += float(squares[known].sum())
        self.count += int(known.sum())

    @property
    def rms(self) -> float | None:
        """The root mean square of the differences; None where nothing was compared."""
        return (self.squares / self.count) ** 0.5 if self.count else None


@dataclass
class Blender:
    """Adds up tiles that come row by row, and gives back what no further tile reaches.

    The sums of a row of tiles reach over the whole width of the image. Where a folder is named they
    lie there, and memory holds a few tiles, however large the image is.

    Attributes:
        rows: The tiles along every axis.
        begin: Pixels along the first axis that are done already, and aren't given back again.
        compared: How many of the first channels are compared between neighbours; None for all.
        folder: Where the sums lie; None holds them in memory.
        mismatch: What neighbours differ by, along the last axis that has several tiles.
    """

    rows: tuple[Row, ...]
    begin: int = 0
    compared: int | None = None
    folder: Path | None = None
    mismatch: Mismatch = field(default_factory=Mismatch)
    _sums: Sums | None = None
    _before: tuple[Region, Array] | None = None

    def places(self) -> Iterator[tuple[int, ...]]:
        """The number of each tile along every axis, in the order in which they have to come."""
        first, *rest = self.rows
        left = [i for i, span in enumerate(first.spans) if span.stop > self.begin]
        yield from product(left, *(range(len(row.spans)) for row in rest))

    def region(self, place: Sequence[int]) -> Region:
        """The pixels of a tile."""
        return tuple(row.spans[i] for row, i in zip(self.rows, place, strict=True))

    def add(self, place: Sequence[int], values: Array) -> tuple[Region, Array] | None:
        """Adds a tile.

        Args:
            place: Its number along every axis.
            values: What was predicted for its pixels, shape (..., outputs).

        Returns:
            Those of its pixels that no tile after it reaches, if there are any: which, and their
            values.

        Raises:
            RasterError: The disk is full.
        """
        region = self.region(place)
        self._compare(region, values)
        weighted = np.asarray(values, np.float32)
        for axis, (row, i) in enumerate(zip(self.rows, place, strict=True)):
            shape = [-1 if a == axis else 1 for a in range(values.ndim)]
            weighted = weighted * row.weights[i].reshape(shape)
        sums = self._held(values.shape[-1])
        total = sums.read(region)
        total += weighted
        done = tuple(row.last(i) for row, i in zip(self.rows, place, strict=True))
        inside = tuple(slice(span.stop - span.start) for span in done)
        found = total[inside].copy()
        total[inside] = 0  # for the rows of pixels that come in their place
        sums.write(region, total)
        known = max(done[0].start, self.begin)
        if known >= done[0].stop:
            return None
        return (slice(known, done[0].stop), *done[1:]), found[known - done[0].start :]

    def close(self) -> None:
        """Gives back what holds the sums."""
        if self._sums is not None:
            self._sums.close()
        self._sums = None

    def _held(self, outputs: int) -> Sums:
        if self._sums is None:
            first, *rest = (row.spans for row in self.rows)
            height = max(span.stop - span.start for span in first)
            shape = (height, *(spans[-1].stop for spans in rest), outputs)
            self._sums = Sums(shape, self.folder)
        return self._sums

    def _compare(self, region: Region, values: Array) -> None:
        """With the tile before it, which is its neighbour along the last axis that has several."""
        values = values[..., : self.compared]
        axis = max((a for a, row in enumerate(self.rows) if len(row.spans) > 1), default=0)
        if self._before is not None:
            other, seen = self._before
            start, stop = region[axis].start, other[axis].stop
            if other[:axis] == region[:axis] and other[axis].start < start < stop:
                across = (slice(None),) * axis
                first, last = (*across, slice(stop - start)), (*across, slice(start - stop, None))
                self.mismatch.add(values[first], seen[last])
        self._before = region, values
