"""How much of each image belongs to each class, as far as a data folder has masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.data.description import IGNORE, read_description
from normwise.data.layout import find_layout
from normwise.errors import DataError, RasterError
from normwise.rasters import ImageFiles, open_raster

LARGEST = 1024
"""Rows and columns that are read of a mask, from its middle."""


def class_shares(folder: Path, images: Sequence[ImageFiles]) -> npt.NDArray[np.float64] | None:
    """The share of each value of the masks, for some images of a folder.

    Args:
        folder: A data folder, or any other folder of images.
        images: Their files.

    Returns:
        `(images, values)`, each row summing up to 1; None where there are no masks, or they can't
        be read.
    """
    try:
        pairs = find_layout(folder, "masks", read_description(folder)).pairs
        labels = {pair.image: pair.label for pair in pairs}
        counts = [_counts(labels[image]) for image in images]
    except (DataError, RasterError, KeyError):
        return None  # folders without masks are checked, too; what is wrong `train` says
    values = sorted(set().union(*counts) - {IGNORE})
    table = np.array([[own.get(value, 0) for value in values] for own in counts], np.float64)
    totals = table.sum(axis=1, keepdims=True)
    return table / np.maximum(totals, 1) if table.size and len(values) > 1 else None


def _counts(path: Path) -> dict[Any, int]:
    with open_raster(path) as raster:
        window = tuple(_middle(size) for size in raster.info.shape)
        values, counts = np.unique(raster.read(*window), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _middle(size: int) -> slice:
    start = max(0, (size - LARGEST) // 2)
    return slice(start, min(size, start + LARGEST))
