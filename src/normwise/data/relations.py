"""How channels go with each other and with the labels: one covariance, in one pass."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of
from normwise.data.dataset import Dataset, Item
from normwise.data.pixels import WINDOW_VALUES
from normwise.data.sources import Source
from normwise.errors import DataError

Doubles = NDArray[np.float64]

# Of the largest singular value: copies of a channel share its weight.
_ALIKE: Final = 1e-6


@dataclass(frozen=True)
class LinearFit:
    """Targets as a linear function of the channels of the same pixel.

    Args:
        weights: float64 of shape `(channels, targets)`, in target units for each input unit.
        offset: float64 of shape `(targets,)`, in target units.
        residual_std: Standard deviation of what is left, likewise.
        r2: The share of each target's variance that it explains, 0 to 1.
    """

    weights: Doubles
    offset: Doubles
    residual_std: Doubles
    r2: Doubles


@dataclass(frozen=True)
class Relations:
    """Mean and covariance of image channels and labels over pixels that have all of them.

    Args:
        channels: How many of the variables are image channels; the others are targets, or one
            indicator (0 or 1) for each class.
        mean: float64 of shape `(variables,)`.
        covariance: float64 of shape `(variables, variables)`, divided by the count.
        count: Pixels.
    """

    channels: int
    mean: Doubles
    covariance: Doubles
    count: int

    @property
    def correlation(self) -> Doubles:
        """Pearson's r of all variables, `(variables, variables)`; 0 beside a constant one."""
        std = np.sqrt(np.diag(self.covariance))
        scale = np.outer(std, std)
        found = np.zeros_like(scale)
        np.divide(self.covariance, scale, out=found, where=scale > 0)
        return found

    def merge(self, other: "Relations") -> "Relations":
        """Relations over the pixels of both (Chan, Golub & LeVeque 1979)."""
        count = self.count + other.count
        share = other.count / max(count, 1)
        delta = other.mean - self.mean
        spread = self.covariance * (1 - share) + other.covariance * share
        return Relations(
            self.channels,
            self.mean + delta * share,
            spread + np.outer(delta, delta) * share * (1 - share),
            count,
        )

    def linear_fit(self) -> LinearFit:
        """The least-squares fit of the labels by the channels."""
        inputs, targets = slice(None, self.channels), slice(self.channels, None)
        std = np.sqrt(np.diag(self.covariance))
        scale = np.where(std > 0, std, 1.0)[inputs]
        within = self.covariance[inputs, inputs] / np.outer(scale, scale)
        across = self.covariance[inputs, targets] / scale[:, None]
        scaled = np.linalg.lstsq(within, across, rcond=_ALIKE)[0]
        variance = np.diag(self.covariance)[targets]
        explained = np.clip((scaled * across).sum(0), 0, variance)
        weights = scaled / scale[:, None]
        return LinearFit(
            weights,
            self.mean[targets] - self.mean[inputs] @ weights,
            np.sqrt(variance - explained),
            np.divide(explained, variance, out=np.zeros_like(variance), where=variance > 0),
        )


def relations(dataset: Dataset, split: str = "train") -> Relations:
    """Relations of channels and labels, in one pass and bounded memory.

    Args:
        dataset: The data set; its scaling counts.
        split: The split whose items count.

    Returns:
        Their mean and covariance.

    Raises:
        DataError: If the split is empty, or no pixel has all channels and a label.
    """
    items = dataset.split(split)
    with Source(dataset, items, cache_bytes=0) as source:

        def of_item(item: Item) -> Relations:
            parts = (_of_window(source, item, window) for window in strips(item, dataset.channels))
            return reduce(Relations.merge, parts)

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            found = list(pool.map(of_item, items))
    if not sum(part.count for part in found):
        raise DataError(
            f"{dataset.root}: no pixel of the split {split} has both all channels and a label."
        )
    return reduce(Relations.merge, found)


def strips(item: Item, channels: int) -> Iterator[tuple[slice, ...]]:
    """Windows over the whole breadth of an item, each of about 2 million values."""
    first, *rest = sizes_of(item)
    step = max(1, WINDOW_VALUES // (prod(rest) * channels))
    for start in range(0, first, step):
        yield (slice(start, min(start + step, first)), *(slice(0, side) for side in rest))


def labelled_pixels(
    source: Source, item: Item, window: tuple[slice, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels with all channels and a label: `(pixels, channels)` and `(pixels, outputs)`.

    The label of a class is one indicator a class.
    """
    pixels, missing = source.image(item, *window)
    values = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    kept = np.isfinite(values).all(-1)
    if missing is not None:
        kept &= ~missing.reshape(values.shape).any(-1)
    dataset = source.dataset
    if dataset.task == "segmentation":
        classes = source.classes(item, *window).reshape(-1)
        kept &= classes != dataset.ignore
        labels = (classes[:, None] == np.arange(dataset.outputs)).astype(np.float64)
    else:
        stored, unlabelled = source.targets(item, *window)
        labels = stored.reshape(-1, stored.shape[-1]).astype(np.float64)
        kept &= np.isfinite(labels).all(-1)
        if unlabelled is not None:
            kept &= ~unlabelled.reshape(labels.shape).any(-1)
    return values[kept], labels[kept]


def _of_window(source: Source, item: Item, window: tuple[slice, ...]) -> Relations:
    values, labels = labelled_pixels(source, item, window)
    joined = np.concatenate([values, labels], axis=1)
    mean = joined.mean(0) if len(joined) else np.zeros(joined.shape[1])
    joined -= mean
    covariance = joined.T @ joined / max(len(joined), 1)
    return Relations(values.shape[1], mean, covariance, len(joined))
