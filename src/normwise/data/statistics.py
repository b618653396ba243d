"""Mean, variance and range of every channel, and how often each class stands in the masks."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import in_item
from normwise.data.dataset import Dataset, Item
from normwise.data.pixels import WINDOW_VALUES, Bools, Pixels
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.rasters import Window, open_raster

_Doubles = NDArray[np.float64]
_Result = TypeVar("_Result")
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of each channel over all pixels that hold a measurement.

    Args:
        mean: float64 of shape `(channels,)`, in the units of the files.
        variance: Population variance (divided by the count), float64, likewise.
        minimum: Smallest value, float64, likewise.
        maximum: Largest value, float64, likewise.
        count: Pixels with a measurement, int64, likewise.
    """

    mean: _Doubles
    variance: _Doubles
    minimum: _Doubles
    maximum: _Doubles
    count: NDArray[np.int64]

    @property
    def std(self) -> _Doubles:
        """Standard deviation of each channel, float64 of shape `(channels,)`."""
        return np.sqrt(self.variance)

    def merge(self, other: "ChannelStatistics") -> "ChannelStatistics":
        """Statistics of the pixels of both.

        The update of Chan, Golub & LeVeque (1979), which does not lose small variances beside a
        large mean as sums of squares would.

        Args:
            other: Statistics of the same channels over other pixels.

        Returns:
            New statistics.
        """
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        delta = other.mean - self.mean
        spread = self.variance * (1 - share) + other.variance * share
        return ChannelStatistics(
            mean=self.mean + delta * share,
            variance=spread + delta**2 * share * (1 - share),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            count=count,
        )


def channel_statistics(
    dataset: Dataset, split: str = "train", of: Literal["images", "labels"] = "images"
) -> ChannelStatistics:
    """Statistics of each channel in one pass over the files, in bounded memory.

    Args:
        dataset: The data set.
        split: The split whose items count.
        of: `images`, or `labels` for the targets of a regression.

    Returns:
        Statistics of the channels that are used, without nodata and NaN.

    Raises:
        DataError: If the split is empty, a channel has no measurement at all, or the labels are
            masks.

    Example:
        ```python
        statistics = channel_statistics(open_dataset("hls_water", labels="masks"))
        scaled = (pixels - statistics.mean) / statistics.std
        ```
    """
    if of == "labels" and dataset.task == "segmentation":
        raise DataError(f"{dataset.root}: masks hold classes; count them with class_counts.")
    items = dataset.nonempty_split(split)
    with Source(dataset, items, cache_bytes=0) as source:
        read = source.image if of == "images" else source.targets

        def of_item(item: Item) -> ChannelStatistics:
            windows = _windows(dataset, item, images=of == "images")
            return reduce(ChannelStatistics.merge, (_of_window(*read(item, *w)) for w in windows))

        statistics = reduce(ChannelStatistics.merge, _each(items, of_item))
    names = dataset.bands if of == "images" else dataset.target_names
    empty = [name for name, count in zip(names, statistics.count, strict=True) if not count]
    if empty:
        raise DataError(
            f"{dataset.root}: no valid pixel in {', '.join(empty)} of the {of} of the split "
            f"{split}; every value is nodata or NaN. Leave such channels out."
        )
    return statistics


def class_counts(dataset: Dataset, split: str = "train") -> NDArray[np.int64]:
    """How many pixels each class has.

    Args:
        dataset: A data set with masks.
        split: The split whose items count.

    Returns:
        int64 of shape `(classes,)`; ignored pixels are not counted.

    Raises:
        DataError: If the split is empty, or the labels are targets.
    """
    if dataset.task != "segmentation":
        raise DataError(f"{dataset.root}: has targets, not masks; there are no classes to count.")
    items = dataset.nonempty_split(split)
    with Source(dataset, items, cache_bytes=0) as source:

        def of_item(item: Item) -> NDArray[np.int64]:
            total = np.zeros(256, np.int64)
            for window in _windows(dataset, item, images=False):
                total += np.bincount(source.classes(item, *window).ravel(), minlength=256)
            return total

        counts = sum(_each(items, of_item), start=np.zeros(256, np.int64))
    return counts[: dataset.outputs]


def label_windows(dataset: Dataset, item: Item) -> list[Window]:
    """Windows that cover an item's label once, in the coordinates of the item."""
    return _windows(dataset, item, images=False)


def _each(items: tuple[Item, ...], task: Callable[[Item], _Result]) -> Iterator[_Result]:
    # Results come in the order of the items, so that rounding is the same in every run.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(task, items)


def _windows(dataset: Dataset, item: Item, images: bool) -> list[Window]:
    path = item.image if images else item.label
    assert path is not None
    with open_raster(path, dataset.dimensions) as raster:
        return in_item(item, raster.windows(WINDOW_VALUES // raster.info.channels))


def _of_window(pixels: Pixels, missing: Bools | None) -> ChannelStatistics:
    channels = pixels.shape[-1]
    values = _planes(pixels).astype(np.float64)
    if missing is None:
        count = np.full(channels, values.shape[1], np.int64)
        mean = values.mean(axis=1)
        lowest, highest = values.min(axis=1), values.max(axis=1)
    else:
        gone = _planes(missing)
        count = np.asarray((~gone).sum(axis=1), np.int64)
        lowest = np.where(gone, np.inf, values).min(axis=1)
        highest = np.where(gone, -np.inf, values).max(axis=1)
        mean = np.where(gone, 0, values).sum(axis=1) / np.maximum(count, 1)
        values = np.where(gone, mean[:, None], values)
    values -= mean[:, None]
    variance = np.einsum("cp,cp->c", values, values) / np.maximum(count, 1)
    return ChannelStatistics(mean, variance, lowest, highest, count)


def _planes(pixels: NDArray[_Scalar]) -> NDArray[_Scalar]:
    return np.moveaxis(pixels, -1, 0).reshape(pixels.shape[-1], -1)
