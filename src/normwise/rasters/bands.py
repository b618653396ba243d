"""An image whose bands stand in several files, one after the other.

What calls a pixel missing holds for the bands of its own file alone. A nodata value that all files
name is the image's; else pixels with the value of their own file are read as NaN, as if masked.
"""

import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.gdal_mask import masked_dtype
from normwise.rasters.nodata import common, differ, number_of, without_marked
from normwise.rasters.raster import Pixels, Raster, Window

# A transform is rounded when it is written; so far may a corner of an image be off, in pixels.
_SAME_PLACE = 0.1


class Bands(Raster):
    """An image of several files of one size and place.

    Args:
        files: Their paths, in the order of the bands.
        rasters: The open files, which are closed with the image.

    Raises:
        RasterError: If they differ in size, coordinate system, transform or affine.
    """

    def __init__(self, files: tuple[Path, ...], rasters: Sequence[Raster]) -> None:
        infos = [raster.info for raster in rasters]
        _check(files, rasters)
        self._differ = differ((info.nodata, info.dtype) for info in infos)
        dtype = np.result_type(*(info.dtype for info in infos))
        info: Any = replace(
            infos[0],
            channels=sum(info.channels for info in infos),
            dtype=masked_dtype(dtype) if self._differ else dtype,
            nodata=math.nan if self._differ else common(info.nodata for info in infos),
            band_names=_names(files, rasters),
            masked=self._differ or any(info.masked for info in infos),
            alpha=None,
        )
        super().__init__(info, rasters[0].block)
        self.windowed = all(raster.windowed for raster in rasters)
        self.files = files
        self._places = [
            (raster, channel) for raster in rasters for channel in range(raster.info.channels)
        ]
        self._closing = ExitStack()
        for raster in rasters:
            self._closing.callback(raster.close)

    def close(self) -> None:
        """Closes every file."""
        self._closing.close()

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        parts = [self._band(window, *self._places[channel]) for channel in channels]
        return np.concatenate(parts, axis=-1).astype(self.info.dtype, copy=False)

    def _band(self, window: Window, raster: Raster, channel: int) -> Pixels:
        """A band; NaN where it has the value of its own file, unless all share that."""
        pixels = raster.read(*window, channels=[channel])
        number = number_of(raster.info.nodata) if self._differ else None
        return without_marked(pixels, number, self.info.dtype)


def _check(files: tuple[Path, ...], rasters: Sequence[Raster]) -> None:
    first = rasters[0].info
    for path, raster in zip(files, rasters, strict=True):
        info = raster.info
        odd = [
            word
            for word, one, other in (
                ("size", first.shape, info.shape),
                ("coordinate system", first.crs, info.crs),
            )
            if one != other
        ]
        places = ((first.transform, info.transform), (first.affine, info.affine))
        if not all(_same_place(one, other, first.shape) for one, other in places):
            odd.append("transform")
        if odd:
            sizes = ["x".join(map(str, shape)) for shape in (info.shape, first.shape)]
            raise RasterError(
                f"{path}: differs from {files[0].name} in {', '.join(odd)} ({sizes[0]} beside "
                f"{sizes[1]} pixels). The bands of one image share one grid; resample them to it."
            )


def _same_place(one: Any, other: Any, shape: tuple[int, ...]) -> bool:
    """Whether two maps from pixels to coordinates put all corners of an image at one place.

    Args:
        one: Takes columns, rows and, of a volume, slices; a square matrix in rows, or None.
        other: Likewise.
        shape: Of the image, `(rows, columns)` or `(slices, rows, columns)`.
    """
    if one is None or other is None:
        return one is other
    axes = math.isqrt(np.size(tuple(one))) - 1
    first, second = (np.reshape(tuple(each), (axes + 1, axes + 1)) for each in (one, other))
    sides = (*shape[::-1], *[1] * axes)[:axes]
    corners = np.array([(*corner, 1) for corner in product(*((0, side) for side in sides))])
    apart = np.linalg.norm(corners @ (first - second)[:-1].T, axis=1).max()
    pixel = np.linalg.norm(first[:-1, :-1], axis=0).min()
    return bool(apart <= _SAME_PLACE * pixel)


def _names(files: tuple[Path, ...], rasters: Sequence[Raster]) -> tuple[str, ...]:
    """What tells the files apart, for those that name no bands themselves."""
    stems = [path.name.split(".")[0] for path in files]
    ends = [re.split(r"[_\-. ]", stem)[-1] for stem in stems]
    words = ends if len(set(ends)) == len(ends) else stems
    names: list[str] = []
    for own, raster in zip(words, rasters, strict=True):
        count = raster.info.channels
        told = raster.info.band_names if count > 1 else ()
        names += told or [own if count == 1 else f"{own} {band + 1}" for band in range(count)]
    return tuple(names)
