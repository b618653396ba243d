"""Where tiles stand along an axis: which pixels count in each, and what it has to see for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normwise.errors import NetworkError


@dataclass(frozen=True)
class Demand:
    """What a network asks of tiles along an axis.

    Attributes:
        stride: They begin at its multiples, in pixels, and their sizes are such.
        before: Halo before the pixels that count, where a tile doesn't begin with the image.
        after: Halo behind them, where it doesn't end with the image.
        mirrored: Whether the axis is looked at from its end.
    """

    stride: int
    before: int
    after: int
    mirrored: bool = False

    def padded(self, size: int) -> int:
        """The size of an image, continued to a multiple of the stride."""
        return -(-size // self.stride) * self.stride

    def used(self, size: int, tile: int) -> int:
        """How many pixels of a tile the network gets: as many whole strides as it has room for.

        Its size may be no multiple, where another member of an ensemble was built for that size.

        Args:
            size: Pixels of the image along the axis.
            tile: Size of the tiles.
        """
        return min(self.padded(size), tile // self.stride * self.stride)

    def seen(self, span: slice, size: int) -> slice:
        """A span of the image as it lies along the axis when looked at, or back."""
        return slice(size - span.stop, size - span.start) if self.mirrored else span

    def window(self, core: slice, size: int, tile: int) -> slice | None:
        """Where a tile stands that makes the pixels of a core right; None if its size is too small.

        A tile whose edge is the image's needs no halo there. The last one is not shifted beyond
        the image but back, so that all tiles have one size.

        Args:
            core: Pixels along the axis as it is looked at.
            size: Pixels of the image along the axis.
            tile: Size of the tile; see `used`.

        Returns:
            Pixels as the core's; the end may lie beyond the image, which is continued there.
        """
        padded, used = self.padded(size), self.used(size, tile)
        start = max(0, core.start - self.before) // self.stride * self.stride
        start = min(start, padded - used)
        stop = start + used
        return slice(start, stop) if stop == padded or core.stop + self.after <= stop else None


def cores(size: int, tile: int, demands: Sequence[Demand]) -> tuple[slice, ...]:
    """The parts of an axis that one tile each makes right, as few as there can be.

    Args:
        size: Pixels of the image along the axis.
        tile: Size of the tiles.
        demands: Those of all networks and views that predict each part.

    Raises:
        NetworkError: Tiles of that size are too small; with the smallest that is enough.
    """
    made, start = [], 0
    while start < size:
        stop = _furthest(start, size, tile, demands)
        if stop == start:
            raise NetworkError(
                f"tiles of {tile} pixels are too small: with a stride of "
                f"{max(d.stride for d in demands)} and a halo of "
                f"{max(d.before for d in demands)}+{max(d.after for d in demands)} pixels none of "
                f"their own are left. Use {_enough(demands)} or more."
            )
        made.append(slice(start, stop))
        start = stop
    return tuple(made)


def _furthest(start: int, size: int, tile: int, demands: Sequence[Demand]) -> int:
    """How far a core can reach that begins at a pixel; where it fits, all shorter ones fit."""
    low, high = start, min(size, start + tile)
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(slice(start, middle), size, tile, demands):
            low = middle
        else:
            high = middle - 1
    return low


def _fits(core: slice, size: int, tile: int, demands: Sequence[Demand]) -> bool:
    return all(d.window(d.seen(core, size), size, tile) is not None for d in demands)


def _enough(demands: Sequence[Demand]) -> int:
    """A size that has pixels of its own wherever it stands."""
    step = max(demand.stride for demand in demands)
    return max(-(-(d.before + d.after + 2 * d.stride) // step) * step for d in demands)
