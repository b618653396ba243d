"""The images of a split with their labels, in one piece or by windows."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.training.loading import Array

Region = tuple[slice, ...]
Whole = tuple[Item, Array, Array, Array]


def whole_items(dataset: Dataset, split: str, fill: Sequence[float]) -> Iterator[Whole]:
    """Reads the images of a split, one after the other.

    Args:
        dataset: The data set.
        split: `train`, `val` or `test`.
        fill: For each channel, what stands where nothing was measured.

    Yields:
        Item, image (float32, rows x columns x channels, of a volume with slices before), label
        (class ids of rows x columns, or float32 values of rows x columns x outputs), and a weight
        of the label's shape: 0 where there is no label or no measurement, else the pixel's own.

    Raises:
        DataError: If the split is empty.
    """
    items = items_of(dataset, split)
    with Source(dataset, items) as source:
        for item in items:
            yield item, *labelled_part(source, item, whole_of(item), fill)


def items_of(dataset: Dataset, split: str) -> tuple[Item, ...]:
    """The images of a split that has some.

    Raises:
        DataError: If it has none; with the splits that have.
    """
    items = dataset.split(split)
    if not items:
        raise DataError(f"{dataset.root} has no images in the split {split!r}.{_others(dataset)}")
    return items


def _others(dataset: Dataset) -> str:
    counts = {name: len(dataset.split(name)) for name in reversed(SPLITS)}
    filled = [name for name, count in counts.items() if count]
    if not filled:
        return ""
    told = ", ".join(f"{name} ({counts[name]})" for name in filled)
    return f" There are images in {told}; choose one, for example `--split {filled[0]}`."


def whole_of(item: Item) -> Region:
    """All pixels of an image."""
    return tuple(slice(0, size) for size in item.shape)


def image_part(
    source: Source, item: Item, region: Region, fill: Sequence[float]
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """A window of an image.

    Args:
        source: The open files.
        item: The image.
        region: Its pixels.
        fill: For each channel, what stands where nothing was measured.

    Returns:
        float32 of shape (*region, channels), and where anything was measured, of shape (*region).
    """
    stored, missing = source.image(item, *region)
    image = stored.astype(np.float32)
    seen: npt.NDArray[Any] = np.ones(image.shape[:-1], bool)
    if missing is not None:
        image[missing] = np.broadcast_to(np.asarray(fill, np.float32), image.shape)[missing]
        seen = np.asarray(~missing.all(-1))
    return image, seen


def labelled_part(
    source: Source, item: Item, region: Region, fill: Sequence[float]
) -> tuple[Array, Array, Array]:
    """A window of an image with its labels.

    Args:
        source: The open files.
        item: The image.
        region: Its pixels.
        fill: For each channel, what stands where nothing was measured.

    Returns:
        Image, label and weight as `whole_items` yields them.
    """
    image, seen = image_part(source, item, region, fill)
    own = source.weights(item, *region)
    if source.dataset.task == "segmentation":
        classes = source.classes(item, *region)
        valid = (classes != source.dataset.ignore) & seen
        weight = valid.astype(np.float32) if own is None else valid * own
        return image, np.where(valid, classes, 0).astype(np.int32), weight
    stored, unlabelled = source.targets(item, *region)
    labelled = np.ones(stored.shape, bool) if unlabelled is None else ~unlabelled
    labelled &= seen[..., None]
    values = np.where(labelled, stored, 0).astype(np.float32)
    weight = labelled.astype(np.float32) if own is None else labelled * own[..., None]
    return image, values, weight
