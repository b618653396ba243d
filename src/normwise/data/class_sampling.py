"""Patches centred on chosen classes, so that rare ones are seen often enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Dataset, Item
from normwise.data.patches import PatchPosition
from normwise.data.sources import Source
from normwise.data.statistics import label_windows
from normwise.errors import DataError

KEPT: Final = 10_000
"""How many pixels of each class are remembered, whatever the size of the data."""

# Set these draws apart from others with the same seed.
_CENTRES, _INDEX = 3, 4

Places = NDArray[np.int64]


@dataclass(frozen=True)
class ClassPositions:
    """How many pixels each class has, and where some of them are, all equally likely.

    Args:
        counts: int64 of shape `(classes,)`.
        places: For each class up to `KEPT` rows: the item's number, then the pixel along each
            axis.
    """

    counts: NDArray[np.int64]
    places: tuple[Places, ...]

    @property
    def present(self) -> tuple[int, ...]:
        """The classes that have a pixel."""
        return tuple(np.flatnonzero(self.counts).tolist())


def class_positions(
    dataset: Dataset, split: str = "train", seed: int = 0, kept: int = KEPT
) -> ClassPositions:
    """Reads all masks once, by windows, and remembers some pixels of each class.

    Each pixel draws a number, and those with the smallest are kept (reservoir sampling), so that
    memory is bounded by `kept` for each class and one window.

    Args:
        dataset: A data set with masks.
        split: The split whose items count.
        seed: The same seed keeps the same pixels.
        kept: How many of each class.

    Raises:
        DataError: If the labels are targets.
    """
    if dataset.task != "segmentation":
        raise DataError(f"{dataset.root}: has targets, not masks; there are no classes to sample.")
    items = dataset.split(split)
    counts = np.zeros(dataset.outputs, np.int64)
    keys = [np.empty(0) for _ in range(dataset.outputs)]
    places: list[Places] = [np.empty((0, 0), np.int64) for _ in range(dataset.outputs)]
    with Source(dataset, items, cache_bytes=0) as source:
        for number, item in enumerate(items):
            rng = np.random.default_rng(np.random.SeedSequence([seed, number, _INDEX]))
            for window in label_windows(dataset, item):
                ids = source.classes(item, *window)
                counts += np.bincount(ids.ravel(), minlength=256)[: dataset.outputs]
                for index in np.unique(ids[ids < dataset.outputs]).tolist():
                    key, place = _found(ids == index, window, number, rng, kept)
                    keys[index], places[index] = _fewest(
                        np.concatenate([keys[index], key]),
                        np.concatenate([places[index].reshape(-1, place.shape[1]), place]),
                        kept,
                    )
    return ClassPositions(counts, tuple(places))


def _found(
    here: NDArray[np.bool_],
    window: Sequence[slice],
    item: int,
    rng: np.random.Generator,
    kept: int,
) -> tuple[NDArray[np.float64], Places]:
    flat = np.flatnonzero(here)
    key, flat = _fewest(rng.random(flat.size), flat, kept)
    pixels = np.unravel_index(flat, here.shape)
    axes = [pixel + span.start for pixel, span in zip(pixels, window, strict=True)]
    return key, np.stack([np.full(flat.size, item), *axes], axis=1).astype(np.int64)


def _fewest(
    keys: NDArray[np.float64], rows: Places, kept: int
) -> tuple[NDArray[np.float64], Places]:
    if keys.size <= kept:
        return keys, rows
    chosen = np.argpartition(keys, kept)[:kept]
    return keys[chosen], rows[chosen]


@dataclass(frozen=True)
class Sampling:
    """Which share of an epoch's patches is centred on pixels of which classes.

    Args:
        index: Where the classes are.
        classes: Class ids, each for the same number of patches (to within one).
        share: The share of the patches, above 0 and up to 1; the others are cut anywhere.
    """

    index: ClassPositions
    classes: tuple[int, ...]
    share: float = 1.0

    @classmethod
    def balanced(cls, index: ClassPositions) -> Self:
        """Every patch is centred on a class, and every class that occurs on as many patches."""
        return cls(index, index.present)

    @classmethod
    def rare(cls, index: ClassPositions, share: float) -> Self:
        """A share of the patches is centred on the classes but the most common one.

        Raises:
            DataError: If no other class occurs.
        """
        common = int(np.argmax(index.counts))
        classes = tuple(found for found in index.present if found != common)
        if not classes:
            raise DataError(
                "data.sampling: the training masks hold one class alone; there is no rarer one."
            )
        return cls(index, classes, share)

    def placed(
        self,
        positions: Sequence[PatchPosition],
        items: Sequence[Item],
        patch: Sequence[int],
        seed: int,
        epoch: int,
    ) -> list[PatchPosition]:
        """The patches of an epoch, some of them moved to where a class is.

        A pure function of its arguments. At the border of an image a patch stays inside it, so
        that its pixel is beside the centre.

        Args:
            positions: Where patches would be cut otherwise.
            items: The images, numbered as in the index.
            patch: Size of a patch along each axis, in pixels.
            seed: The run's seed.
            epoch: The epoch, from 0.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch, _CENTRES]))
        moved = list(positions)
        chosen = rng.permutation(len(moved))[: round(self.share * len(moved))]
        # Who gets the odd patches out changes from epoch to epoch.
        order = rng.permutation(np.resize(rng.permutation(self.classes), len(chosen)))
        for number, index in zip(chosen.tolist(), order.tolist(), strict=True):
            places = self.index.places[index]
            item, *pixel = places[rng.integers(len(places))].tolist()
            corner = (
                min(max(at - side // 2, 0), max(size - side, 0))
                for at, side, size in zip(pixel, patch, items[item].shape, strict=True)
            )
            moved[number] = PatchPosition(item, tuple(corner))
        return moved
