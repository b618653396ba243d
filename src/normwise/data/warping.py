"""Scale, small rotation and elastic deformation of a patch, in the plane of rows and columns.

Each pixel of the patch is looked up at a place in the window around it. Images and measured
targets are interpolated linearly, class ids take the nearest pixel. Where the place lies beyond
the window, the image goes on with its edge values and the weight is 0.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

Array = NDArray[Any]
Places = tuple[NDArray[np.float32], NDArray[np.float32]]

_REACH = 3.0
"""Elastic displacements are cut off at so many standard deviations."""
_KNOTS = 4
"""Knots of the elastic field along the shorter side."""


@dataclass(frozen=True)
class Warp:
    """What may happen to the geometry of a patch, beyond flips and quarter turns.

    Args:
        scale: Largest change of size: 0.25 means between 1/1.25 and 1.25 times as large.
        angle: Largest rotation, in degrees.
        elastic: Standard deviation of a smooth displacement, in pixels.
    """

    scale: float = 0.0
    angle: float = 0.0
    elastic: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether anything is changed at all."""
        return self.scale > 0 or self.angle > 0 or self.elastic > 0

    def margin(self, rows: int, columns: int) -> tuple[int, int]:
        """How far beyond a patch its pixels may be looked up, in rows and in columns."""
        return self._beyond(rows, columns), self._beyond(columns, rows)

    def _beyond(self, side: int, other: int) -> int:
        # Half the side of the turned patch is largest where the turn brings a corner to the axis.
        turn = min(np.deg2rad(self.angle), np.arctan2(other, side))
        half = (side * np.cos(turn) + other * np.sin(turn)) / 2 * (1 + self.scale)
        return int(np.ceil(half + _REACH * self.elastic - side / 2)) + 1

    def places(self, rows: int, columns: int, rng: np.random.Generator) -> Places:
        """Where each pixel of a patch is looked up.

        Args:
            rows: Of the patch.
            columns: Of the patch.
            rng: All chance comes from here.

        Returns:
            Rows and columns in pixels from the patch's first pixel, float32 of shape
            `(rows, columns)` each.
        """
        # Everything is drawn in any case, so that one option does not change the others' draws.
        turn = np.deg2rad(self.angle * rng.uniform(-1, 1))
        larger = (1 + self.scale) ** rng.uniform(-1, 1)
        down = np.arange(rows, dtype=np.float32)[:, None] - (rows - 1) / 2
        right = np.arange(columns, dtype=np.float32)[None] - (columns - 1) / 2
        cosine, sine = np.cos(turn) / larger, np.sin(turn) / larger
        places = [
            cosine * down - sine * right + (rows - 1) / 2,
            sine * down + cosine * right + (columns - 1) / 2,
        ]
        if self.elastic > 0:
            shift = self.elastic * _smooth(rows, columns, rng)
            places = [place + part for place, part in zip(places, shift, strict=True)]
        first, second = (np.asarray(place, np.float32) for place in places)
        return first, second


def _smooth(rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Two fields of smooth noise of standard deviation 1, shape (2, rows, columns)."""
    spacing = min(rows, columns) / _KNOTS
    knots = tuple(max(2, round(side / spacing) + 1) for side in (rows, columns))
    coarse = rng.standard_normal((2, *knots)).clip(-_REACH, _REACH)
    down, right = (_spline(*pair) for pair in zip(knots, (rows, columns), strict=True))
    return np.asarray(down @ coarse @ right.T).clip(-_REACH, _REACH)


@lru_cache(maxsize=16)
def _spline(knots: int, side: int) -> Array:
    """Cubic interpolation from knots to pixels along one axis, shape (side, knots)."""
    made = zoom(np.eye(knots), (side / knots, 1), order=3, mode="nearest", grid_mode=True)
    return np.asarray(made)


def warped(image: Array, label: Array, weight: Array, places: Places) -> tuple[Array, Array, Array]:
    """Image, label and weight of a window, looked up at places in it.

    Args:
        image: Shape `(..., rows, columns, channels)`; NaN where there is no measurement, and
            likewise wherever such a pixel is touched.
        label: Shape as the image's without channels, or with outputs instead; class ids if
            integers, else targets.
        weight: Shape as the label's, or without outputs.
        places: Rows and columns in the window, from its first pixel.

    Returns:
        The same for the shape of `places`. The weight is 0 beyond the window, where every channel
        of the image is missing, and for targets wherever a pixel without label is touched.
    """
    inside = _inside(places, image.shape[-3:-1])
    axis = image.ndim - 3
    made = _linear(image, places, axis)
    if np.issubdtype(label.dtype, np.integer):
        nearest = tuple(np.rint(place).astype(np.intp) for place in places)
        label, weight = (_at(array, nearest, axis) for array in (label, weight))
        weight = weight.copy()
    else:
        touched = _linear((weight == 0).astype(np.float32), places, axis) > 0
        weight = np.where(touched, np.float32(0), _linear(weight, places, axis))
        label = _linear(label, places, axis)
    seen = inside & ~np.isnan(made).all(axis=-1)
    weight *= seen if weight.ndim == seen.ndim else seen[..., None]
    return made, label, weight


def _inside(places: Places, size: tuple[int, ...]) -> Array:
    found = np.ones(places[0].shape, bool)
    for place, side in zip(places, size, strict=True):
        # Half a pixel belongs to the outermost pixels.
        found &= (place >= -0.5) & (place <= side - 0.5)
    return found


def _at(array: Array, indices: tuple[Array, ...], axis: int) -> Array:
    """Pixels by row and column; those beyond the array are its edge's."""
    rows, columns = (
        index.clip(0, side - 1)
        for index, side in zip(indices, array.shape[axis : axis + 2], strict=True)
    )
    return np.asarray(array[(slice(None),) * axis + (rows, columns)])


def _linear(array: Array, places: Places, axis: int) -> Array:
    lower = [np.floor(place).astype(np.intp) for place in places]
    shares = [place - low.astype(np.float32) for place, low in zip(places, lower, strict=True)]
    shares = [share.reshape(*share.shape, *[1] * (array.ndim - axis - 2)) for share in shares]
    (row, column), (down, right) = lower, shares
    top = _between(array, (row, column), (row, column + 1), right, axis)
    bottom = _between(array, (row + 1, column), (row + 1, column + 1), right, axis)
    return np.asarray(top + (bottom - top) * down)


def _between(
    array: Array, one: tuple[Array, ...], two: tuple[Array, ...], share: Array, axis: int
) -> Array:
    first = _at(array, one, axis)
    return np.asarray(first + (_at(array, two, axis) - first) * share)
