"""How large the connected objects of each class are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Dataset, Item
from normwise.data.relations import strips
from normwise.data.sources import Source

IMAGES: Final = 64
"""How many images are looked at, evenly from all."""


@dataclass(frozen=True)
class ObjectSizes:
    """Objects of one class; pixels that touch by a side belong together.

    Args:
        count: Objects that were found.
        smallest: 5th percentile of their sizes in pixels (voxels of a volume).
        median: Median size, likewise.
        largest: 95th percentile, likewise.
        images: The share of images in which the class stands.
    """

    count: int
    smallest: float
    median: float
    largest: float
    images: float


def object_sizes(
    dataset: Dataset, items: Sequence[Item], most: int = IMAGES
) -> tuple[ObjectSizes, ...]:
    """Sizes of the objects of each class.

    Images beyond about 2 million pixels are looked at in strips, which cut objects.

    Args:
        dataset: A data set with masks.
        items: Some of its items.
        most: How many of them are looked at.

    Returns:
        One entry for each class; zeros for a class without any.
    """
    chosen = [items[i] for i in np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)]
    sizes: list[list[NDArray[np.int64]]] = [[] for _ in range(dataset.outputs)]
    images = np.zeros(dataset.outputs)
    with Source(dataset, chosen, cache_bytes=0) as source:
        for item in chosen:
            stands = np.zeros(dataset.outputs, bool)
            for window in strips(item, 1):
                ids = source.classes(item, *window)
                for index, found in enumerate(sizes):
                    found.append(_sizes(ids == index))
                    stands[index] |= bool(len(found[-1]))
            images += stands
    return tuple(
        _described(np.concatenate(found), count / len(chosen))
        for found, count in zip(sizes, images, strict=True)
    )


def _sizes(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    from scipy import ndimage  # noqa: PLC0415 - a second to import

    labels, _ = ndimage.label(inside)
    return np.bincount(labels.ravel())[1:]


def _described(sizes: NDArray[np.int64], images: float) -> ObjectSizes:
    if not len(sizes):
        return ObjectSizes(0, 0.0, 0.0, 0.0, 0.0)
    small, median, large = (float(value) for value in np.percentile(sizes, [5, 50, 95]))
    return ObjectSizes(len(sizes), small, median, large, float(images))
