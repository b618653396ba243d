"""ImageJ stacks above 4 GB: one header, and behind it the pages, one after the other.

GDAL sees the first of them alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.arrays import NpyRaster
from normwise.rasters.info import RasterInfo
from normwise.rasters.raster import Pixels, Raster, Window


class ImageJStack(Raster):
    """A stack whose pages are channels.

    Args:
        info: What it holds.
        pages: Its pages as the slices of a volume, which is closed with the stack.
    """

    def __init__(self, info: RasterInfo, pages: Raster) -> None:
        super().__init__(info)
        self._pages = pages

    def close(self) -> None:
        """Closes the file."""
        self._pages.close()

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        lengths = (span.stop - span.start for span in window)
        planes = np.empty((len(channels), *lengths), self.info.dtype)
        for plane, page in zip(planes, channels, strict=True):
            plane[...] = self._pages.read(slice(page, page + 1), *window)[0, ..., 0]
        return np.moveaxis(planes, 0, -1)


def open_imagej(info: RasterInfo) -> Raster:
    """Opens a stack of one header.

    Args:
        info: Of the first page, with as many channels as the header tells pages.

    Returns:
        An open raster.

    Raises:
        RasterError: If it lacks pages, or they don't follow each other as they are.
    """
    from tifffile import TiffFile  # noqa: PLC0415

    with TiffFile(info.path, _multifile=False) as file:
        series, order = file.series[0], file.byteorder
        start, found = series.dataoffset, prod(series.shape)
        stored: np.dtype[Any] = np.dtype(series.dtype).newbyteorder(order)
    values = info.channels * info.height * info.width
    held = info.path.stat().st_size - (start or 0)
    if start is None or found != values or held < values * stored.itemsize:
        raise RasterError(
            f"{info.path}: lacks pages of its {info.channels}; the stack is truncated, or an "
            "unusual one. Copy it again, or save it anew."
        )
    pages = replace(info, depth=info.channels, channels=1, band_names=(), alpha=None)
    opened = info.path.open("rb", buffering=0)
    opened.seek(start)
    return ImageJStack(info, NpyRaster(pages, opened, stored))
