"""Bounded samples of pixels with their targets, of every image in proportion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of
from normwise.data.dataset import Dataset, Item
from normwise.data.pixels import Bools, Pixels
from normwise.data.relations import strips
from normwise.data.sources import Source

Indices = NDArray[np.int64]
Draw = Callable[[Bools, np.random.Generator], Indices]
"""Chooses pixels, given where each of them has labels and the generator of random numbers."""

PIXELS: Final = 200_000
"""How many pixels a sample has at most; an image has at least one of each strip that is read."""


@dataclass(frozen=True)
class PixelSample:
    """Pixels from everywhere in the images.

    Args:
        image: The number of each pixel's image, int64 of shape `(pixels,)`.
        values: Raw values, float64 of shape `(pixels, channels)`; NaN without a measurement.
        labels: Targets, float64 of shape `(pixels, targets)`, NaN without a label; none of masks.
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

    def draw(known: Bools, rng: np.random.Generator) -> Indices:
        return rng.choice(len(known), max(1, round(len(known) * share)), replace=False)

    return _sampled(dataset, items, seed, draw)


def sample_labels(
    dataset: Dataset,
    items: Sequence[Item],
    target: int,
    labelled: int,
    seed: int = 0,
    most: int = PIXELS,
) -> PixelSample:
    """Draws among the pixels that have a label of one target, which may be few among millions.

    Args:
        dataset: A data set with targets.
        items: Some of its items.
        target: The number of the target.
        labelled: How many pixels of these items have a label of it.
        seed: Of the choice.
        most: About how many pixels there are to be.

    Returns:
        The sample, image by image.
    """
    share = min(1.0, most / max(labelled, 1))

    def draw(known: Bools, rng: np.random.Generator) -> Indices:
        places = np.flatnonzero(known[:, target])
        count = min(len(places), max(1, round(len(places) * share)))
        return rng.choice(places, count, replace=False)

    return _sampled(dataset, items, seed, draw)


def _sampled(dataset: Dataset, items: Sequence[Item], seed: int, draw: Draw) -> PixelSample:
    images, values, labels = [], [], []
    with Source(dataset, items, cache_bytes=0) as source:
        for index, item in enumerate(items):
            rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
            for window in strips(item, dataset.channels):
                value, label = _of_window(source, item, window, draw, rng)
                images.append(np.full(len(value), index, np.int64))
                values.append(value)
                labels.append(label)
    return PixelSample(np.concatenate(images), np.concatenate(values), np.concatenate(labels))


def _of_window(
    source: Source, item: Item, window: tuple[slice, ...], draw: Draw, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stored, known = _labels(source, item, window)
    chosen = draw(known, rng)
    pixels, missing = source.image(item, *window)
    value = pixels.reshape(len(known), -1)[chosen].astype(np.float64)
    if missing is not None:
        value[missing.reshape(len(known), -1)[chosen]] = np.nan
    return value, np.where(known[chosen], stored[chosen].astype(np.float64), np.nan)


def _labels(source: Source, item: Item, window: tuple[slice, ...]) -> tuple[Pixels, Bools]:
    """The targets of each pixel, of shape `(pixels, targets)`, and where there are any."""
    if source.dataset.task == "segmentation":
        none = np.empty((prod(span.stop - span.start for span in window), 0), np.bool_)
        return none, none
    targets, unlabelled = source.targets(item, *window)
    stored = targets.reshape(-1, targets.shape[-1])
    if unlabelled is None:
        return stored, np.ones(stored.shape, np.bool_)
    return stored, ~unlabelled.reshape(stored.shape)
