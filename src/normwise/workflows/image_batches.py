"""Batches of raw pixels from a folder of images, read piece by piece, as often as wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.data.as_trained import as_trained, refuse_other_order
from normwise.data.description import read_description
from normwise.data.image_files import images_of
from normwise.data.pixels import Marks, marks_of, missing_in
from normwise.data.reading import Record
from normwise.errors import DataError
from normwise.rasters import SUFFIXES, Dimensions, ImageFiles, Raster, open_raster, raster_info

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]

_Reader = Callable[[tuple[slice, ...]], Floats]

BATCH_PIXELS = 256 * 256
"""Pixels in a batch of small tiles; what a network makes of them is far larger."""

LARGEST_BATCH = 32


def image_files(folder: Path, record: Record | None = None) -> tuple[ImageFiles, ...]:
    """The images of a folder: its own, or those in `images/`, or in `images/` of its splits.

    Images of several files count as one each, as the folder's `dataset.yaml` says.

    Args:
        folder: The folder.
        record: How the images of the model's run were read; the order of bands is theirs.

    Raises:
        DataError: There are none, some lack a band, or their bands stand in an unknown order.
    """
    own, problems = read_description(folder), list[str]()
    told = own if record is None else as_trained(own, record, folder)
    places = [folder / "images", *sorted(folder.glob("*/images")), folder]
    for place in places[:1], places[1:-1], places[-1:]:
        parts = [images_of(folder, part, told, problems) for part in place if part.is_dir()]
        found = [files for part in parts for _, files in sorted(part.files.items())]
        if problems:
            raise DataError(f"{folder}: its images can't be used.", problems)
        if record is not None:
            for part in parts:
                refuse_other_order(own, record, folder, part.bands)
        if found:
            return tuple(found)
    raise DataError(
        f"{folder}: no images; expected files that end in {', '.join(SUFFIXES)}, here or in "
        "images/."
    )


def named(files: ImageFiles) -> Path:
    """The file of an image, or the folder with the files of its bands."""
    return files if isinstance(files, Path) else files[0].parent


@dataclass(frozen=True)
class ImageBatches:
    """Tiles that cover every image once, in batches of one shape; memory doesn't grow with them.

    Missing values are NaN, and so is what lies beyond an image's bottom and right.

    Args:
        files: The images.
        tile: Rows and columns of a tile in pixels; slices, rows and columns for volumes.
        bands: Channels to use, from 0; None: all.
        nodata: The value of missing pixels, beside the one that each file names; None: that alone.
        scaled: What is done to each whole image first, given the values of its missing pixels;
            None: nothing, and images are read by windows.
        channels: How many the model takes; None: as many as the first image has.
    """

    files: tuple[ImageFiles, ...]
    tile: tuple[int, ...]
    bands: Sequence[int] | None = None
    nodata: float | None = None
    scaled: Callable[[Pixels, Marks], Pixels] | None = None
    channels: int | None = None

    @property
    def size(self) -> int:
        """Tiles in a batch."""
        return max(1, min(LARGEST_BATCH, BATCH_PIXELS // prod(self.tile)))

    def __len__(self) -> int:
        """Batches in one pass."""
        tiles = 0
        for number in range(len(self.files)):
            sizes = zip(self.shape_of(number), self.tile, strict=False)
            tiles += prod(ceil(size / step) for size, step in sizes)
        return ceil(tiles / self.size)

    def shape_of(self, number: int) -> tuple[int, ...]:
        """Pixels of an image along each axis."""
        return raster_info(self.files[number], self._axes).shape

    def __iter__(self) -> Iterator[Floats]:
        """Arrays of shape `(tiles, rows, columns, channels)`, with an axis more for volumes.

        Raises:
            RasterError: A file can't be read, or has other axes than a tile.
            DataError: A file has another number of bands than the model takes, or than the first.
        """
        batch: list[Floats] = []
        bands = self.channels
        for path in self.files:
            for tile in self._tiles(path):
                bands = bands or tile.shape[-1]
                self._refuse_other_bands(path, tile, bands)
                batch.append(tile)
                if len(batch) == self.size:
                    yield np.stack(batch)
                    batch = []
        if batch:
            yield np.stack(batch)

    def some(self, limit: int) -> Iterator[tuple[int, Floats]]:
        """Some tiles, spread evenly over the images and over each of them.

        Args:
            limit: Tiles at most.

        Returns:
            Tiles in the order of the images, each with its image's number in `files`.

        Raises:
            RasterError, DataError: As for all tiles.
        """
        chosen = _spread(len(self.files), limit)
        counts = [limit // len(chosen) + (i < limit % len(chosen)) for i in range(len(chosen))]
        bands = self.channels
        for number, count in zip(chosen, counts, strict=True):
            for tile in self._tiles(self.files[number], count):
                bands = bands or tile.shape[-1]
                self._refuse_other_bands(self.files[number], tile, bands)
                yield number, tile

    def _refuse_other_bands(self, path: ImageFiles, tile: Floats, bands: int) -> None:
        if tile.shape[-1] == bands:
            return
        other = f"{named(self.files[0])} has {bands}; the images of a folder need the same"
        if self.channels is not None:
            other = f"the model takes {bands}"
        raise DataError(
            f"{named(path)}: {tile.shape[-1]} bands, but {other}. Name those to use with `bands`, "
            "or take the file out."
        )

    @property
    def _axes(self) -> Dimensions | None:
        return 3 if len(self.tile) == 3 else 2 if len(self.tile) == 2 else None

    def _tiles(self, path: ImageFiles, limit: int | None = None) -> Iterator[Floats]:
        with open_raster(path, self._axes) as raster:
            read = self._reader(raster, marks_of(self.nodata, raster.info.nodata))
            sizes = raster.info.shape
            for corner in self._corners(sizes, limit):
                spans = zip(corner, self.tile, sizes, strict=True)
                yield self._padded(read(tuple(slice(a, min(a + n, end)) for a, n, end in spans)))

    def _corners(self, sizes: Sequence[int], limit: int | None) -> Sequence[tuple[int, ...]]:
        """Where tiles begin; only some of those inside the image, if only some are wanted."""
        axes = list(zip(sizes, self.tile, strict=True))
        if limit is None:
            return list(product(*(range(0, n, step) for n, step in axes)))
        inside = product(*(range(0, max(n - step, 0) + 1, step) for n, step in axes))
        corners = list(inside)
        return [corners[index] for index in _spread(len(corners), limit)]

    def _reader(self, raster: Raster, marks: Marks) -> Callable[[tuple[slice, ...]], Floats]:
        if self.scaled is None:
            return lambda window: _with_nan(raster.read(*window, channels=self.bands), marks)
        pixels = raster.read(channels=self.bands)
        missing = missing_in(pixels, marks)
        whole = np.asarray(self.scaled(pixels, marks), np.float32)
        if missing is not None:
            whole = np.where(missing, np.float32(np.nan), whole)
        return lambda window: whole[window]

    def _padded(self, pixels: Floats) -> Floats:
        missing = [(0, full - own) for full, own in zip(self.tile, pixels.shape, strict=False)]
        return np.pad(pixels, (*missing, (0, 0)), constant_values=np.nan)


def _spread(count: int, wanted: int) -> list[int]:
    """Some of the numbers below a count, as evenly as can be."""
    few = min(count, wanted)
    return [(2 * i + 1) * count // (2 * few) for i in range(few)]


def _with_nan(pixels: Pixels, marks: Marks) -> Floats:
    missing = missing_in(pixels, marks)
    values = pixels.astype(np.float32)
    if missing is not None:
        values[missing] = np.nan
    return values
