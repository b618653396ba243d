"""A data folder that has been read: its items, splits and the meaning of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from normwise.data.description import IGNORE
from normwise.data.reading import Record
from normwise.data.scaling import Percentiles
from normwise.errors import DataError
from normwise.rasters import Dimensions, ImageFiles

Split = Literal["train", "val", "test"]
Task = Literal["segmentation", "regression"]
Labels = Literal["masks", "targets"]

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Item:
    """One image with its label.

    Args:
        name: The stem that both files share.
        image: The image file, or the files of its bands.
        label: The mask or target file.
        split: `train`, `val` or `test`.
        height: Rows.
        width: Columns.
        origin: Where it begins in its files, one number an axis, if it is a part of them.
        depth: Slices of a volume; None for an image.
        weight: The file with a weight for each pixel, None for weights of 1.
        group: What it has in common with images that must not stand in another split, or None.
    """

    name: str
    image: ImageFiles
    label: Path | None
    split: Split
    height: int
    width: int
    origin: tuple[int, ...] = ()
    depth: int | None = None
    weight: Path | None = None
    group: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """`(rows, columns)` of an image, `(slices, rows, columns)` of a volume."""
        plane = (self.height, self.width)
        return plane if self.depth is None else (self.depth, *plane)


@dataclass(frozen=True)
class Dataset:
    """A data folder, checked, with all choices resolved.

    Args:
        root: The folder.
        task: `segmentation` (masks of class ids) or `regression` (targets).
        items: Every image of every split, by split and name. Where too few train to spare one,
            each of them is two items, a part that trains and a part that validates.
        channels: Image channels that are used.
        outputs: Classes, or label channels that are used.
        classes: Names of the classes, by id; empty for regression.
        bands: Names of the image channels that are used.
        target_names: Names of the label channels that are used; empty for segmentation.
        nodata: Image values that hold no measurement, in any channel. NaN never does.
        ignore: The class id without a label, 255.
        dtype: Type of the image files' pixels.
        band_index: The channels of the files that are used, from 0. None: all.
        target_index: The label channels that are used, from 0. None: all.
        class_ids: From the values in the mask files to the class ids.
        colours: One colour for each class, or empty.
        notes: What was decided and should be known, one line each.
        scaling: What is done to each whole image before anything else sees it. None: nothing.
        dimensions: 2 for images, 3 for volumes.
        record: How its images were read, for those who read others like them.
    """

    root: Path
    task: Task
    items: tuple[Item, ...]
    channels: int
    outputs: int
    classes: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    nodata: float | None = None
    ignore: int = IGNORE
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    band_index: tuple[int, ...] | None = None
    target_index: tuple[int, ...] | None = None
    class_ids: Mapping[int, int] = field(default_factory=dict, hash=False)
    colours: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scaling: Percentiles | None = None
    dimensions: Dimensions = 2
    record: Record = field(default_factory=Record, hash=False)

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of one split.

        Args:
            name: `train`, `val` or `test`.

        Returns:
            Its items by name; empty if the folder has no such split.

        Raises:
            DataError: If there is no split of that name.
        """
        if name not in SPLITS:
            raise DataError(f"{name!r} is no split. Expected one of {', '.join(SPLITS)}.")
        return tuple(item for item in self.items if item.split == name)

    def nonempty_split(self, name: str) -> tuple[Item, ...]:
        """The items of one split, of which there have to be some; as `split`.

        Raises:
            DataError: If there is no such split, or it is empty.
        """
        items = self.split(name)
        if not items:
            raise DataError(f"{self.root}: the split {name} is empty.")
        return items
