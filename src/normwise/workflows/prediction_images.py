"""An image that is read by windows, each as the models of a prediction take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.data.pixels import WINDOW_VALUES, Marks, infinite_in, missing_in
from normwise.errors import NetworkError, RasterError
from normwise.rasters import ImageFiles, Raster, suffix_of
from normwise.rasters.gdal_mask import masked_dtype
from normwise.rasters.info import numeric_dtype

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Region = tuple[slice, ...]
Read = Callable[[Region], tuple[list[Array], Bools]]
"""From a region to the image of each model, and where there is no data, shape (..., 1)."""

_STRIPED: Final = (".tif", ".tiff")
_HELD_ROW: Final = 2**28
_LEAST_SHARE: Final = 0.001


@dataclass
class Infinite:
    """How many of the values that were read are infinite, which is missing to a prediction.

    Attributes:
        values: The infinite ones, without those that are marked as missing.
        read: All of them; what is read twice counts twice.
    """

    values: int = 0
    read: int = 0

    def look(self, pixels: Array, marks: Marks) -> None:
        """Counts those of a window."""
        found = infinite_in(pixels, marks)
        self.add(Infinite(0 if found is None else int(found.sum()), pixels.size))

    def add(self, other: Infinite) -> None:
        """Counts what somebody else read."""
        self.values += other.values
        self.read += other.read

    def __str__(self) -> str:
        share = self.values / max(self.read, 1)
        return f"{share:.1%}" if share >= _LEAST_SHARE else f"less than {_LEAST_SHARE:.1%}"


class Image:
    """An image in memory or an open file, read by windows.

    Args:
        pixels: The array, shape (..., channels), or the open file.
        marks: The values that mark missing pixels; NaN and infinity always do.

    Attributes:
        infinite: What windows that were read for models had of that.
    """

    def __init__(self, pixels: Array | Raster, marks: Marks | None) -> None:
        self._pixels, self.marks, self.infinite = pixels, marks or (), Infinite()
        self._row: tuple[Any, Array] | None = None
        if isinstance(pixels, Raster):
            self.size, self.channels = pixels.info.shape, pixels.info.channels
        else:
            self.size, self.channels = pixels.shape[:-1], pixels.shape[-1]

    @property
    def name(self) -> str:
        """What errors and lines call it."""
        return self._pixels.info.path.name if isinstance(self._pixels, Raster) else "image"

    @property
    def files(self) -> ImageFiles | None:
        """What it is read from; None for an array in memory."""
        return self._pixels.files if isinstance(self._pixels, Raster) else None

    def read(self, region: Region, bands: Sequence[int] | None) -> Array:
        """A window of some channels, None for all."""
        if not isinstance(self._pixels, Raster):
            part = self._pixels[region]
            return part if bands is None else part[..., list(bands)]
        if not self._in_strips(region, bands):
            return self._pixels.read(*region, channels=bands)
        # A file of strips is unpacked over its whole width for each window: once a row is enough.
        key = region[:-1], None if bands is None else tuple(bands)
        if self._row is None or self._row[0] != key:
            self._row = key, self._pixels.read(*region[:-1], channels=bands)
        return self._row[1][..., region[-1], :].copy()

    def _in_strips(self, region: Region, bands: Sequence[int] | None) -> bool:
        """Whether a file stores whole rows, and a row of tiles of it is small enough to be held."""
        assert isinstance(self._pixels, Raster)
        info = self._pixels.info
        if suffix_of(info.path) not in _STRIPED or self._pixels.block[-1] < info.width:
            return False
        values = prod(s.stop - s.start for s in region[:-1]) * info.width
        channels = info.channels if bands is None else len(bands)
        return bool(values * channels * info.dtype.itemsize <= _HELD_ROW)

    def windows(self, bands: Sequence[int] | None) -> Iterator[tuple[Array, Any]]:
        """Windows that cover it, and where they lack data, as percentiles are computed of."""
        whole = [tuple(slice(0, side) for side in self.size)]
        regions = (
            self._pixels.windows(WINDOW_VALUES // self.channels)
            if isinstance(self._pixels, Raster)
            else whole
        )
        for region in regions:
            part = self.read(region, bands)
            yield part, missing_in(part, self.marks)


def numbers_of(array: Array) -> Array:
    """An image in memory as one in a file would be read: real numbers, NaN where it is masked.

    Args:
        array: Shape (rows, columns) or (..., channels), of any numeric type, with or without a
            mask (`numpy.ma`).

    Returns:
        Shape (..., channels); the same memory where nothing has to be changed.

    Raises:
        RasterError: It holds no real numbers.
    """
    dtype = numeric_dtype(Path("image"), array.dtype)
    if np.ma.is_masked(array):
        masked: Any = np.ma.asarray(array)
        pixels = masked.astype(masked_dtype(dtype)).filled(np.nan)
    else:
        pixels = np.ma.getdata(array).astype(dtype, copy=False)
    found: Array = pixels[..., None] if pixels.ndim == 2 else pixels
    return found


@dataclass(frozen=True)
class Intake:
    """What a model takes of an image.

    Attributes:
        model: It, live.
        bands: The channels that it takes, from 0; None for all.
        fill: For each of them what stood for missing values in training; None where nothing tells,
            for the mean that the model scales its input with.
    """

    model: Any
    bands: Sequence[int] | None = None
    fill: Sequence[float] | None = None

    def of(self, count: int) -> list[int]:
        """Its channels of an image that has so many.

        Raises:
            RasterError: The image lacks some.
        """
        if self.bands is None:
            return list(range(count))
        if any(not 0 <= band < count for band in self.bands):
            raise RasterError(
                f"the image has {count} channels, but bands {list(self.bands)} are wanted."
            )
        return list(self.bands)

    def scaling(self, image: Image) -> Callable[[Array], Array] | None:
        """How its images are scaled by what the whole one holds; None for not at all."""
        from normwise.data.scaling import scaled_between  # noqa: PLC0415 - light start-up
        from normwise.training.scaling import scaling_of_model  # noqa: PLC0415

        scaling = scaling_of_model(self.model)
        if scaling is None:
            return None
        bounds = scaling.bounds(lambda: image.windows(self.bands))
        return lambda pixels: scaled_between(pixels, bounds)

    def filled(self, pixels: Array, missing: Bools | None) -> Array:
        """Pixels as it was trained on them: filled where nothing was measured.

        Raises:
            NetworkError: It takes another number of channels.
        """
        from normwise.training.evaluate import input_mean  # noqa: PLC0415 - light start-up

        if missing is None:
            return pixels
        known = self.fill is not None and len(self.fill) == missing.shape[-1]
        mean = np.asarray(self.fill if known else input_mean(self.model), np.float32)
        if mean.shape[-1] != missing.shape[-1]:
            raise NetworkError(
                f"the model takes {mean.shape[-1]} channels, not {missing.shape[-1]}."
            )
        return np.where(missing, np.broadcast_to(mean, missing.shape), pixels)


def reader(intakes: Sequence[Intake], image: Image) -> Read:
    """A function that reads a window of an image as each model takes it.

    Args:
        intakes: What the models take.
        image: The image.

    Returns:
        Called with a region, it gives the models' images and where there is no data. What has to
        be known of the whole image, such as its percentiles, is found before.

    Raises:
        RasterError: The image lacks channels that are wanted, or can't be read.
    """
    scalings = [intake.scaling(image) for intake in intakes]
    union = _union(intakes, image.channels)

    def read(region: Region) -> tuple[list[Array], Bools]:
        raw = image.read(region, union)
        image.infinite.look(raw, image.marks)
        images, empty = [], np.zeros((*raw.shape[:-1], 1), bool)
        for intake, scaled in zip(intakes, scalings, strict=True):
            chosen = _chosen(raw, intake.bands, union)
            missing = missing_in(chosen, image.marks)
            images.append(intake.filled(scaled(chosen) if scaled else chosen, missing))
            if missing is not None:
                empty |= np.all(missing, axis=-1, keepdims=True)
        return images, empty

    return read


def _union(intakes: Sequence[Intake], channels: int) -> list[int] | None:
    """The channels that any model takes; None for all."""
    if any(intake.bands is None for intake in intakes):
        return None
    return sorted({band for intake in intakes for band in intake.of(channels)})


def _chosen(raw: Array, bands: Sequence[int] | None, union: Sequence[int] | None) -> Array:
    """Some channels of those that were read."""
    if bands is None:
        return raw
    return raw[..., list(bands) if union is None else [union.index(band) for band in bands]]
