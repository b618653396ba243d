"""A bounded sample of pixels with their labels, every image in proportion to its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of
from normwise.data.dataset import Dataset, Item
from normwise.data.relations import strips
from normwise.data.sources import Source

PIXELS: Final = 200_000
"""How many pixels a sample has at most; an image has at least one of each strip that is read."""


@dataclass(frozen=True)
class PixelSample:
    """Pixels from everywhere in the images.

    Args:
        image: The number of each pixel's image, int64 of shape `(pixels,)`.
        values: Raw values, float64 of shape `(pixels, channels)`; NaN without a measurement.
        labels: Targets, or an indicator for each class, float64 of shape `(pixels, outputs)`;
            NaN without a label.
    """

    image: NDArray[np.int64]
    values: NDArray[np.float64]
    labels: NDArray[np.float64]


def sample_pixels(
    dataset: Dataset, items: Sequence[Item], seed: int = 0, most: int = PIXELS
) -> PixelSample:
    """Draws pixels without replacement; every file is read once, in windows.

    Args:
        dataset: The data set.
        items: Some of its items.
        seed: Of the choice.
        most: About how many pixels there are to be.

    Returns:
        The sample, image by image.
    """
    share = min(1.0, most / max(sum(prod(sizes_of(item)) for item in items), 1))
    images, values, labels = [], [], []
    with Source(dataset, items, cache_bytes=0) as source:
        for index, item in enumerate(items):
            rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
            for window in strips(item, dataset.channels):
                value, label = _of_window(source, item, window, share, rng)
                images.append(np.full(len(value), index, np.int64))
                values.append(value)
                labels.append(label)
    return PixelSample(np.concatenate(images), np.concatenate(values), np.concatenate(labels))


def _of_window(
    source: Source, item: Item, window: tuple[slice, ...], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    dataset = source.dataset
    size = prod(span.stop - span.start for span in window)
    chosen = rng.choice(size, max(1, round(size * share)), replace=False)
    pixels, missing = source.image(item, *window)
    value = pixels.reshape(size, -1)[chosen].astype(np.float64)
    if missing is not None:
        value[missing.reshape(size, -1)[chosen]] = np.nan
    if dataset.task == "segmentation":
        ids = source.classes(item, *window).reshape(size)[chosen]
        label = (ids[:, None] == np.arange(dataset.outputs)).astype(np.float64)
        label[ids == dataset.ignore] = np.nan
        return value, label
    stored, unlabelled = source.targets(item, *window)
    label = stored.reshape(size, -1)[chosen].astype(np.float64)
    if unlabelled is not None:
        label[unlabelled.reshape(size, -1)[chosen]] = np.nan
    return value, label
