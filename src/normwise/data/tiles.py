"""Tiles that cover every image of a split once, for validation."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from normwise.data.cutting import Array, Floats, check_patch, cut, fill_in, per_channel
from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source


class Tile(NamedTuple):
    """A piece of an image, with the place of its first corner, its label and its weight."""

    item: Item
    corner: tuple[int, ...]
    x: Floats
    y: Array
    weight: Floats


def tiles_of(dataset: Dataset, split: str, patch: tuple[int, ...], fill: Array) -> Iterator[Tile]:
    """Tiles of one shape that cover every image once.

    Args:
        dataset: The data set.
        split: The split whose items are cut.
        patch: Rows and columns of a tile in pixels, of volumes slices, rows and columns.
        fill: The value of each image channel where there is no measurement, of shape
            `(channels,)`.

    Yields:
        Tiles, image by image and row by row, with `x`, `y` and `weight` as in a batch of
        `PatchBatches` but without its first axis. Beyond the image's bottom and right its edge
        values go on, with weight 0.

    Raises:
        DataError: If the split is empty, or `fill` doesn't fit the channels.
        RasterError: If a file can't be read.
    """
    items = dataset.nonempty_split(split)
    check_patch(dataset, patch)
    filled = per_channel(fill, dataset.channels, "fill")
    with Source(dataset, items) as source:
        for item in items:
            starts = [range(0, *pair) for pair in zip(item.shape, patch, strict=True)]
            for corner in product(*starts):
                x, y, weight = cut(source, item, corner, patch)
                fill_in(x, filled)
                yield Tile(item, corner, x, y, weight)
