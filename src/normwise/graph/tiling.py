"""How a network can be applied to an image piece by piece: stride, halo, and what forbids it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm, prod
from typing import Final

_TABLE: Final = (128, 256, 512, 1024, 2048, 4096)
_LEAST: Final = 4
"""Tiles that are blended overlap by a quarter at least, and by half at most."""


@dataclass(frozen=True)
class Obstacle:
    """A layer whose result depends on how an image is cut.

    Attributes:
        layer: The layer, by its path through nested models.
        reason: What it does.
    """

    layer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}"


@dataclass(frozen=True)
class Tiling:
    """What tiles of an image have to keep to, so that they reproduce the whole image.

    A tile begins at a multiple of the stride and its size is one. Where its edge is no edge of the
    image, the halo is what it has to see beyond the pixels that count.

    Attributes:
        stride: Total stride along each spatial axis, in pixels.
        halo: For each axis the pixels before and behind: the fewest that are enough.
        reasons: The layers that see more than a halo, in the order of the graph; there the halo
            is that of the other layers.
        built_for: Pixels along each axis of the only tiles that the network takes, None along an
            axis where it takes any number; empty where tiles may have any size.
        held: What keeps it at that size.
    """

    stride: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    reasons: tuple[Obstacle, ...] = ()
    built_for: tuple[int | None, ...] = ()
    held: tuple[Obstacle, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether tiles with this halo equal the whole image, to rounding."""
        return not self.reasons

    @cached_property
    def smallest(self) -> tuple[int, ...]:
        """The smallest tile, in pixels along each axis, that has a stride of pixels to itself."""
        return tuple(
            _up(sum(halo) + step, step) for halo, step in zip(self.halo, self.stride, strict=True)
        )

    def core(self, tile: Sequence[int]) -> tuple[int, ...]:
        """The pixels along each axis that a tile inside a large image adds; 0 if it is too small.

        Of tiles that can't be exact, which are blended, those beside the overlap.

        Args:
            tile: Its size in pixels along each axis.
        """
        if not self.exact:
            pairs = zip(tile, self.halo, strict=True)
            return tuple(size - overlap_of(size, halo) for size, halo in pairs)
        return tuple(
            max(0, (size - sum(halo)) // step * step)
            for size, halo, step in zip(tile, self.halo, self.stride, strict=True)
        )

    def wasted(self, tile: int | Sequence[int]) -> float:
        """The share of the work that is spent on halos or overlaps, in a large image.

        It is 1 if a tile is too small.

        Args:
            tile: Size in pixels along each axis, or one for all.

        Example:
            >>> Tiling((16,), ((24, 24),)).wasted(128)
            0.375
        """
        sizes = [tile] * len(self.stride) if isinstance(tile, int) else tile
        return 1 - prod(self.core(sizes)) / prod(sizes)

    @property
    def table(self) -> tuple[tuple[int | tuple[int, ...], float], ...]:
        """Sizes of tiles that fit, and the share that is wasted.

        A size is in pixels along every axis, or along each where a network was built for others.
        """
        step = lcm(*self.stride)
        sizes = dict.fromkeys(self._as_built(_up(side, step)) for side in _TABLE)
        rows = ((size, self.wasted(size)) for size in sizes)
        return tuple((_in_short(size), share) for size, share in rows if share < 1)

    def _as_built(self, side: int) -> tuple[int, ...]:
        return tuple(own or side for own in self.built_for or (None,) * len(self.stride))

    def __str__(self) -> str:
        halo = ", ".join(f"{before}+{after}" for before, after in self.halo)
        held = listed(self.held)
        spent = "of the work on halos" if self.exact else "of the work on overlaps"
        lines = [
            f"stride {'x'.join(map(str, self.stride))}, halo {halo} pixels, "
            f"{'exact' if self.exact else 'not exact'}",
            *(f"  {reason}" for reason in self.reasons),
            *([f"  takes {in_words(self.built_for)} pixels alone ({held})"] if held else []),
            *(f"  tiles of {_side(size)}: {share:.0%} {spent}" for size, share in self.table),
        ]
        return "\n".join(lines)


def listed(obstacles: Sequence[Obstacle], most: int = 2) -> str:
    """The first of some obstacles in a line, and how many more there are."""
    more = f" and {len(obstacles) - most} more" if len(obstacles) > most else ""
    return "; ".join(map(str, obstacles[:most])) + more


def in_words(sides: Sequence[int | None]) -> str:
    """A size as text: `256xany`."""
    return "x".join("any" if side is None else str(side) for side in sides)


def _in_short(size: tuple[int, ...]) -> int | tuple[int, ...]:
    return size[0] if len(set(size)) == 1 else size


def _side(size: int | tuple[int, ...]) -> str:
    return str(size) if isinstance(size, int) else in_words(size)


def overlap_of(tile: int, halo: tuple[int, int]) -> int:
    """By how many pixels tiles overlap along an axis that are blended.

    That is the receptive field, if it is between a quarter and half of them.

    Args:
        tile: Pixels of a tile.
        halo: Pixels before and behind that a network sees, global layers left out.
    """
    return min(max(sum(halo), tile // _LEAST), tile // 2)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
