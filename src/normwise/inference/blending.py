"""Overlapping tiles whose predictions are blended, where no halo makes them exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, gcd
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.graph.tiling import Tiling

Array = npt.NDArray[Any]
Region = tuple[slice, ...]

_LEAST: Final = 4
"""Tiles overlap by a quarter at least, and by half at most."""
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


def row_of(size: int, tile: int, stride: int, halo: tuple[int, int]) -> Row:
    """Tiles that overlap by the receptive field, if that is between a quarter and half of them.

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
    overlap = min(max(sum(halo), tile // _LEAST), tile // 2)
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

    It holds the rows of pixels that tiles still reach, over the whole width of the image.

    Attributes:
        rows: The tiles along every axis.
        begin: Pixels along the first axis that are done already, and aren't given back again.
        compared: How many of the first channels are compared between neighbours; None for all.
        mismatch: What neighbours differ by, along the last axis that has several tiles.
    """

    rows: tuple[Row, ...]
    begin: int = 0
    compared: int | None = None
    mismatch: Mismatch = field(default_factory=Mismatch)
    _sum: Array | None = None
    _begin: int = 0
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
            After the last tile of a row the rows of pixels that are done, if there are any: which,
            and their values.
        """
        region = self.region(place)
        self._compare(region, values)
        size = tuple(row.spans[-1].stop for row in self.rows)
        if self._sum is None:
            self._begin = region[0].start
            self._sum = np.zeros((0, *size[1:], values.shape[-1]), np.float32)
        missing = region[0].stop - self._begin - len(self._sum)
        if missing > 0:
            fresh = np.zeros((missing, *self._sum.shape[1:]), np.float32)
            self._sum = np.concatenate([self._sum, fresh])
        weighted = np.asarray(values, np.float32)
        for axis, (row, i) in enumerate(zip(self.rows, place, strict=True)):
            shape = [-1 if a == axis else 1 for a in range(values.ndim)]
            weighted = weighted * row.weights[i].reshape(shape)
        first = slice(region[0].start - self._begin, region[0].stop - self._begin)
        self._sum[(first, *region[1:])] += weighted
        last = all(i == len(row.spans) - 1 for row, i in zip(self.rows[1:], place[1:], strict=True))
        return self._done(place[0], self._sum) if last else None

    def _done(self, row: int, held: Array) -> tuple[Region, Array] | None:
        spans, begin = self.rows[0].spans, self._begin
        end = spans[row + 1].start if row + 1 < len(spans) else spans[row].stop
        self._sum, self._begin = held[end - begin :].copy(), end
        known = max(begin, self.begin)
        if known >= end:
            return None
        rest = tuple(slice(0, side) for side in held.shape[1:-1])
        return (slice(known, end), *rest), held[known - begin : end - begin]

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
