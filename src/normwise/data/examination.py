"""What the files of one image and its label hold."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from normwise.data.dataset import Labels
from normwise.data.layout import Pair
from normwise.data.pixels import WINDOW_VALUES, infinite_in, marks_of, missing_in
from normwise.errors import RasterError
from normwise.rasters import Dimensions, Raster, RasterInfo, Window, open_raster, raster_info

_MOST_VALUES = 4096


@dataclass
class Facts:
    """What was found in one pair of files.

    Args:
        pair: The files.
        image: The image's header, None if it can't be read.
        label: The label's header, likewise.
        weight: The header of the weights, likewise; None if there are none.
        values: The values in a mask, None if it was not read.
        labelled: Whether a target has a valid pixel, None if it was not read.
        problems: What is wrong, one line each, without the folder's path.
    """

    pair: Pair
    image: RasterInfo | None = None
    label: RasterInfo | None = None
    weight: RasterInfo | None = None
    values: frozenset[int] | None = None
    labelled: bool | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Examination:
    """How the files are examined.

    Args:
        root: The data folder, which is left out of the messages.
        labels: What the labels are.
        nodata: The image value without a measurement, beside the one that each file names.
        images: Whether to read the pixels of the images.
        answers: Whether to read the pixels of the labels.
        dimensions: 2 if the files must be images, 3 if they must be volumes.
    """

    root: Path
    labels: Labels
    nodata: float | None
    images: bool
    answers: bool
    dimensions: Dimensions = 2

    def run(self, pairs: Iterable[Pair]) -> list[Facts]:
        """Examines every pair.

        Args:
            pairs: The files.

        Returns:
            Facts in the same order; files that can't be read are among the problems.
        """
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(self._examine, pairs))

    def _examine(self, pair: Pair) -> Facts:
        facts = Facts(pair)
        try:
            with open_raster(pair.image, self.dimensions) as raster:
                facts.image = raster.info
                if self.images:
                    facts.problems += self._strange_numbers(raster)
        except RasterError as error:
            facts.problems.append(self._short(error))
        try:
            with open_raster(pair.label, self.dimensions) as raster:
                facts.label = raster.info
                self._examine_label(raster, facts)
        except RasterError as error:
            facts.problems.append(self._short(error))
        if pair.weight is not None:
            try:
                with open_raster(pair.weight, self.dimensions) as raster:
                    facts.weight = raster.info
                    facts.problems += self._weight_problems(raster)
            except RasterError as error:
                facts.problems.append(self._short(error))
        return facts

    def _weight_problems(self, raster: Raster) -> list[str]:
        name, channels = self.relative(raster.info.path), raster.info.channels
        if channels != 1:
            return [f"{name}: weights have one channel, a number for each pixel; found {channels}"]
        negative = infinities = 0
        for spans in _windows(raster) if self.answers else ():
            window = raster.read(*spans)
            known = missing_in(window, raster.info.nodata)
            valid = window if known is None else window[~known]
            negative += int((valid < 0).sum())
            infinities += _infinities(window, raster.info.nodata)
        found = {"negative": negative, "infinite": infinities}
        return [
            f"{name}: {count} weights are {what}; expected numbers from 0 (0 = ignore)"
            for what, count in found.items()
            if count
        ]

    def _examine_label(self, raster: Raster, facts: Facts) -> None:
        if self.labels == "targets":
            if self.answers:
                facts.problems += self._examine_target(raster, facts)
        elif raster.info.channels != 1 or not _may_be_ids(raster.info):
            found = f"{raster.info.channels} channels of {raster.info.dtype}"
            facts.problems.append(
                f"{self.relative(raster.info.path)}: a mask has one channel of whole numbers, "
                f"the class ids; this one has {found}"
            )
        elif self.answers:
            facts.values = self._mask_values(raster, facts)

    def _mask_values(self, raster: Raster, facts: Facts) -> frozenset[int] | None:
        # Masks in NIfTI files are often stored as floats; what counts is that they are whole.
        try:
            return mask_values(raster)
        except ValueError:
            facts.problems.append(
                f"{self.relative(raster.info.path)}: a mask holds whole numbers, the class ids; "
                "this one has fractions"
            )
            return None

    def _strange_numbers(self, raster: Raster) -> list[str]:
        if raster.info.dtype.kind != "f":
            # Integers are read all the same: a truncated file shows only then.
            for spans in _windows(raster):
                raster.read(*spans)
            return []
        told = (self.nodata, raster.info.nodata)
        nans = infinities = 0
        for spans in _windows(raster):
            window = raster.read(*spans)
            nans += int(np.isnan(window).sum())
            infinities += _infinities(window, *told)
        strange = [value for value in told if value is not None and not np.isfinite(value)]
        # What a file's own mask leaves out is read as NaN.
        meant = raster.info.masked or any(np.isnan(value) for value in strange)
        found = {"NaN": 0 if meant else nans, "infinite": 0 if strange else infinities}
        return [
            f"{self.relative(raster.info.path)}: {count} values are {what}; if that means no "
            "measurement, write `nodata: .nan` in dataset.yaml"
            for what, count in found.items()
            if count
        ]

    def _examine_target(self, raster: Raster, facts: Facts) -> list[str]:
        nodata = raster.info.nodata
        facts.labelled = False
        infinities = 0
        for spans in _windows(raster):
            window = raster.read(*spans)
            missing = missing_in(window, nodata)
            facts.labelled |= missing is None or not bool(missing.all())
            infinities += _infinities(window, nodata)
        if not infinities:
            return []
        name = self.relative(raster.info.path)
        return [f"{name}: {infinities} values are infinite; write NaN where there is no label"]

    def relative(self, path: Path) -> str:
        """The path as it is shown in problems."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def _short(self, error: RasterError) -> str:
        return str(error).replace(f"{self.root}{os.sep}", "")


def dimensions_of(pairs: Iterable[Pair]) -> Dimensions:
    """Whether the files are images or volumes, by the first pair that can be read.

    Args:
        pairs: The files.

    Returns:
        3 if the image or its label says that it is a volume; 2 otherwise, and where the label of
        a volume is a plain image: then its slices are channels.
    """
    for pair in pairs:
        try:
            image, label = raster_info(pair.image), raster_info(pair.label)
        except RasterError:
            continue
        flat = label.depth is None and label.channels == 1 and image.depth != 1
        return 2 if flat or image.depth is label.depth is None else 3
    return 2


def mask_values(raster: Raster) -> frozenset[int]:
    """The values in a mask.

    Args:
        raster: An open mask.

    Returns:
        Every value; no more than a few thousand, since such a file is no mask.

    Raises:
        ValueError: If a value is not whole.
    """
    found: set[int] = set()
    for spans in _windows(raster):
        found.update(_unique(raster.read(*spans), raster.info.masked))
        if len(found) > _MOST_VALUES:
            break
    return frozenset(found)


def _windows(raster: Raster) -> Iterable[Window]:
    return raster.windows(WINDOW_VALUES // raster.info.channels)


def _may_be_ids(info: RasterInfo) -> bool:
    """Whether pixels can be class ids: whole numbers, or what formats and masks make of them."""
    return info.dtype.kind != "f" or bool(info.nifti) or info.masked


def _unique(pixels: np.ndarray[Any, Any], masked: bool = False) -> list[int]:
    if pixels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist()
    found = np.unique(pixels)
    if masked:
        found = found[~np.isnan(found)]
    if found.dtype.kind == "f" and not np.array_equal(found, np.round(found)):
        raise ValueError("fractions")
    values: list[int] = found.astype(np.int64).tolist()
    return values


def _infinities(window: np.ndarray[Any, Any], *nodata: float | None) -> int:
    """How many values are infinite, but for those that mark missing pixels."""
    found = infinite_in(window, marks_of(*nodata))
    return 0 if found is None else int(found.sum())
