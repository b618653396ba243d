"""The images of a split in one piece, with their labels."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.training.loading import Array

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
    items = dataset.split(split)
    if not items:
        raise DataError(f"{dataset.root} has no images in the split {split!r}.{_others(dataset)}")
    with Source(dataset, items) as source:
        for item in items:
            yield whole_item(source, item, fill)


def _others(dataset: Dataset) -> str:
    counts = {name: len(dataset.split(name)) for name in reversed(SPLITS)}
    filled = [name for name, count in counts.items() if count]
    if not filled:
        return ""
    told = ", ".join(f"{name} ({counts[name]})" for name in filled)
    return f" There are images in {told}; choose one, for example `--split {filled[0]}`."


def whole_item(source: Source, item: Item, fill: Sequence[float]) -> Whole:
    """One image in one piece, as `whole_items` yields it."""
    spans = tuple(slice(0, size) for size in item.shape)
    stored, missing = source.image(item, *spans)
    image = stored.astype(np.float32)
    seen: npt.NDArray[Any] = np.ones(item.shape, bool)
    if missing is not None:
        image[missing] = np.broadcast_to(np.asarray(fill, np.float32), image.shape)[missing]
        seen = np.asarray(~missing.all(-1))
    own = source.weights(item, *spans)
    if source.dataset.task == "segmentation":
        classes = source.classes(item, *spans)
        valid = (classes != source.dataset.ignore) & seen
        weight = valid.astype(np.float32) if own is None else valid * own
        return item, image, np.where(valid, classes, 0).astype(np.int32), weight
    stored, unlabelled = source.targets(item, *spans)
    labelled = np.ones(stored.shape, bool) if unlabelled is None else ~unlabelled
    labelled &= seen[..., None]
    values = np.where(labelled, stored, 0).astype(np.float32)
    weight = labelled.astype(np.float32) if own is None else labelled * own[..., None]
    return item, image, values, weight
