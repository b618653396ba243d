"""Cutting patches out of the items of a data set, with label and weight."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.rasters import Window

Floats = NDArray[np.float32]
Array = NDArray[Any]
Batch = tuple[Floats, Array, Floats]


def cut(source: Source, item: Item, corner: tuple[int, ...], patch: tuple[int, ...]) -> Batch:
    """A patch of an item with its label and weight, continued where it sticks out.

    Args:
        source: The open files.
        item: The item.
        corner: The patch's first pixel along each axis.
        patch: Its sides.

    Returns:
        `(x, y, weight)`; `x` is NaN where there is no measurement, `y` 0 where there is no label.
    """
    spans = tuple(
        slice(start, min(start + side, size))
        for start, side, size in zip(corner, patch, item.shape, strict=True)
    )
    pixels, missing = source.image(item, *spans)
    image = pixels.astype(np.float32, order="C")
    seen = None
    if missing is not None:
        image[missing] = np.nan
        seen = ~missing.all(axis=-1)
    if source.dataset.task == "segmentation":
        label, weight = _class_patch(source, item, spans)
    else:
        label, weight = _target_patch(source, item, spans)
    own = source.weights(item, *spans)
    if own is not None:
        weight *= own.reshape(*own.shape, *[1] * (weight.ndim - own.ndim))
    if seen is not None:
        weight[~seen] = 0
    return _padded(image, patch, "edge"), _padded(label, patch), _padded(weight, patch)


def _class_patch(source: Source, item: Item, spans: Window) -> tuple[Array, Floats]:
    ids = source.classes(item, *spans)
    labelled = ids != source.dataset.ignore
    return np.where(labelled, ids, np.uint8(0)), labelled.astype(np.float32)


def _target_patch(source: Source, item: Item, spans: Window) -> tuple[Array, Floats]:
    values, missing = source.targets(item, *spans)
    target = values.astype(np.float32, order="C")
    weight = np.ones(target.shape, np.float32)
    if missing is not None:
        target = np.where(missing, np.float32(0), target)
        weight[missing] = 0
    return target, weight


def _padded(array: Array, patch: tuple[int, ...], mode: Any = "constant") -> Array:
    missing = [(0, side - size) for side, size in zip(patch, array.shape, strict=False)]
    if not any(after for _, after in missing):
        return array
    return np.pad(array, (*missing, *[(0, 0)] * (array.ndim - len(patch))), mode=mode)


def fill_in(image: Floats, fill: Floats) -> None:
    """Puts each channel's value where an image is NaN, in place."""
    # A sum is NaN as soon as one value is, and far cheaper than looking at each.
    if np.isnan(np.sum(image, dtype=np.float64)):
        np.copyto(image, fill, where=np.isnan(image))


def check_patch(dataset: Dataset, patch: tuple[int, ...]) -> None:
    """Refuses a patch that has not one side for each axis of the images.

    Raises:
        DataError: It has more or fewer.
    """
    if len(patch) != dataset.dimensions:
        raise DataError(
            f"patch {patch}: expected {dataset.dimensions} numbers, one an axis of the "
            f"{'volumes' if dataset.dimensions == 3 else 'images'} in {dataset.root}."
        )


def per_channel(values: Array, channels: int, name: str) -> Floats:
    """One finite number for each channel; `name` says of what in the error."""
    array = np.asarray(values, np.float32)
    if array.shape != (channels,) or not np.isfinite(array).all():
        raise DataError(f"{name}: expected {channels} finite numbers, got {array.tolist()}.")
    return array
