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

FEWEST_A_CHANNEL: Final = 10
"""Pixels for each channel, without which a fit tells nothing of other pixels."""

# Of the largest singular value: copies of a channel share its weight.
_ALIKE: Final = 1e-6
# Of the mean: a constant whose mean is rounded has no less of a standard deviation.
_ROUNDING: Final = 1e-9


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

    @classmethod
    def of(cls, values: Doubles, labels: Doubles) -> "Relations":
        """Relations of some pixels.

        Args:
            values: Their channels, float64 of shape `(pixels, channels)` without NaN.
            labels: Their targets or indicators, `(pixels, outputs)`, likewise.

        Returns:
            Their mean and covariance; zeros of no pixel.
        """
        joined = np.concatenate([values, labels], axis=1)
        mean = joined.mean(0) if len(joined) else np.zeros(joined.shape[1])
        joined -= mean
        covariance = joined.T @ joined / max(len(joined), 1)
        return cls(values.shape[1], mean, covariance, len(joined))

    @property
    def std(self) -> Doubles:
        """Standard deviation of all variables, `(variables,)`; exactly 0 of a constant one."""
        found = np.sqrt(np.diag(self.covariance))
        return np.where(found > _ROUNDING * np.abs(self.mean), found, 0.0)

    @property
    def correlation(self) -> Doubles:
        """Pearson's r of all variables, `(variables, variables)`; 0 beside a constant one."""
        scale = np.outer(self.std, self.std)
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
        scale = np.where(self.std > 0, self.std, 1.0)[inputs]
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

    @property
    def tells(self) -> bool:
        """Whether there are enough pixels to tell what the channels explain: 10 for each."""
        return self.count >= FEWEST_A_CHANNEL * max(self._varying, 1)

    def adjusted_r2(self) -> Doubles:
        """The share of each target's variance that the channels would explain in other pixels.

        Of few pixels many channels explain much, whatever they are. The adjustment is Ezekiel's
        (1930): without an explanation 0 is expected, however many there are.

        Returns:
            float64 of shape `(targets,)`, 0 to 1; 0 where there are too few pixels to tell.
        """
        unexplained = 1 - self.linear_fit().r2
        if not self.tells:
            return np.zeros_like(unexplained)
        left = unexplained * (self.count - 1) / (self.count - 1 - self._varying)
        return np.clip(1 - left, 0, 1)

    @property
    def _varying(self) -> int:
        return int((self.std[: self.channels] > 0).sum())


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
    return Relations.of(*labelled_pixels(source, item, window))
