"""Where patches are cut: a pure function of seed and epoch."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Item
from normwise.errors import DataError

# Sets these draws apart from others with the same seed.
_POSITIONS = 1


class PatchPosition(NamedTuple):
    """The first corner of a patch: the item's number, and one number an axis in pixels.

    An image has the axes rows and columns, a volume slices, rows and columns.
    """

    item: int
    corner: tuple[int, ...]


def patch_positions(
    items: Sequence[Item], patch: tuple[int, ...], seed: int, epoch: int, count: int
) -> list[PatchPosition]:
    """Where the patches of an epoch are cut.

    There is no hidden state: a resumed training sees the very same patches. Each image is
    visited in proportion to its area or volume, and at least once if `count` allows it.

    Args:
        items: The images.
        patch: Size of a patch along each axis, in pixels.
        seed: The run's seed.
        epoch: The epoch, from 0.
        count: How many patches to place.

    Returns:
        `count` positions in random order. A patch that is larger than its image has its corner
        at 0 in that axis, and sticks out.

    Raises:
        DataError: If there are no items.
    """
    if not items:
        raise DataError("There are no images to cut patches from.")
    rng = np.random.default_rng(np.random.SeedSequence([seed, epoch, _POSITIONS]))
    areas = np.array([prod(item.shape) for item in items], np.float64)
    order = rng.permutation(np.repeat(np.arange(len(items)), _visits(areas, count, rng)))
    corners = [
        _corners([items[index].shape[axis] for index in order], side, rng)
        for axis, side in enumerate(patch)
    ]
    places = zip(order.tolist(), *corners, strict=True)
    return [PatchPosition(item, tuple(corner)) for item, *corner in places]


def epoch_patches(items: Sequence[Item], patch: tuple[int, ...]) -> int:
    """How many patches make an epoch: as many as would cover every image.

    Args:
        items: The images.
        patch: Size of a patch along each axis, in pixels.

    Returns:
        Their number; at least one for each image.
    """
    return sum(max(1, round(prod(item.shape) / prod(patch))) for item in items)


def _corners(sizes: list[int], patch: int, rng: np.random.Generator) -> list[int]:
    free = np.maximum(np.array(sizes, np.int64) - patch, 0)
    corners: list[int] = rng.integers(0, free, endpoint=True).tolist()
    return corners


def _visits(areas: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each image is visited; the sum is `count`."""
    images = len(areas)
    if count < images:
        chosen = rng.choice(images, size=count, replace=False, p=areas / areas.sum())
        return np.bincount(chosen, minlength=images)
    # One visit each comes first; the rest makes up for what that gives to small images.
    wish = np.maximum(areas * count / areas.sum() - 1, 0)
    wish = wish * (count - images) / wish.sum() if wish.sum() > 0 else np.zeros(images)
    visits = 1 + np.floor(wish).astype(np.int64)
    left = count - int(visits.sum())
    chance = wish - np.floor(wish) + 1e-9
    lucky = rng.choice(images, size=left, replace=False, p=chance / chance.sum())
    visits[lucky] += 1
    return visits
