"""The symmetric views of an image, flipped and turned, whose predictions can be averaged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from typing import Any, Final, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from normwise.errors import NormwiseError

Array = npt.NDArray[Any]

Views = Literal["none", "flips", "flips-and-turns"]
"""Which views are predicted: the image alone, with its flips, or with all flips and turns."""

_QUARTER_TURNS: Final = 4
_PLANE: Final = (-3, -2)


@dataclass(frozen=True)
class View:
    """An image as it is seen in a mirror, or turned.

    Args:
        turns: Quarter turns in the plane of rows and columns, made first.
        flips: Axes of an image of shape (..., rows, columns, channels) that are flipped after
            it, counted from the end: -2 for columns.
    """

    turns: int = 0
    flips: tuple[int, ...] = ()

    def of(self, image: Array) -> Array:
        """The view of an image, shape (..., rows, columns, channels)."""
        return np.flip(np.rot90(image, self.turns, _PLANE), self.flips)

    def back(self, seen: Array) -> Array:
        """What was predicted for the view, as it lies in the image."""
        return np.rot90(np.flip(seen, self.flips), -self.turns, _PLANE)

    def axes(self, count: int) -> tuple[tuple[int, bool], ...]:
        """For each of its axes over space, the image's axis that lies there, and if from its end.

        Args:
            count: Number of axes over space.
        """
        return _axes(self, count)


@cache
def _axes(view: View, count: int) -> tuple[tuple[int, bool], ...]:
    """Told by a tiny image of the places of its own pixels."""
    seen = view.of(np.moveaxis(np.indices((2,) * count), 0, -1))
    steps = (
        seen[tuple(int(axis == a) for a in range(count))] - seen[(0,) * count]
        for axis in range(count)
    )
    return tuple((int(np.flatnonzero(step)[0]), bool(step.min() < 0)) for step in steps)


def check_views(kind: str) -> Views:
    """The kind, if it is one.

    Raises:
        NormwiseError: If it isn't.
    """
    if kind not in get_args(Views):
        raise NormwiseError(f"tta is {kind!r}; allowed: {', '.join(get_args(Views))}.")
    return cast("Views", kind)


def views_of(kind: Views, axes: int, turns: bool = True) -> tuple[View, ...]:
    """The views of an image, the image itself first.

    Args:
        kind: `"none"`, `"flips"` along each axis (4 views of an image, 8 of a volume), or
            `"flips-and-turns"`: flips and quarter turns in the plane of rows and columns (8
            views of an image, 16 of a volume).
        axes: 2 for images, 3 for volumes.
        turns: Whether the model can take turned images; if not, only half turns are left, which
            are flips.

    Raises:
        NormwiseError: Another kind.
    """
    if check_views(kind) == "none":
        return (View(),)
    if kind == "flips" or not turns:
        each = range(-1 - axes, -1)
        subsets = chain.from_iterable(combinations(each, count) for count in range(axes + 1))
        return tuple(View(0, subset) for subset in subsets)
    # A turn and a flip along one axis of the plane make all eight of its symmetries.
    along = [(), (-2,)] if axes == len(_PLANE) else [(), (-2,), (-4,), (-4, -2)]
    return tuple(View(turn, flips) for flips in along for turn in range(_QUARTER_TURNS))


def takes_turns(input_shape: tuple[int | None, ...]) -> bool:
    """Whether a model takes images turned by a quarter: not if built for unequal sides."""
    return input_shape[-3:-2] == input_shape[-2:-1]
