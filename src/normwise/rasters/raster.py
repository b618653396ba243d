"""An open image file whose windows can be read."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from normwise.errors import RasterError
from normwise.rasters.info import RasterInfo

Pixels = NDArray[Any]
Window = tuple[slice, ...]
ImageFiles = Path | tuple[Path, ...]
"""The file of an image, or the files of its bands in their order."""


class Raster(ABC):
    """An open image file. Use it as a context manager; one thread at a time.

    Attributes:
        info: Size, type and place of the image.
        files: The file, or the files of its bands.
        windowed: Whether a window costs about its share of the file. If False, the whole image
            is decoded for it, and may be kept until `close`.
        block: Rows and columns, of a volume slices, rows and columns, that the file stores
            together; windows made of whole blocks are read fastest.
    """

    windowed: bool = True

    def __init__(self, info: RasterInfo, block: tuple[int, ...] | None = None) -> None:
        self.info = info
        self.files: ImageFiles = info.path
        self.block = block or (*(1 for _ in info.shape[1:]), info.width)

    def read(self, *spans: slice | None, channels: Sequence[int] | None = None) -> Pixels:
        """Reads a window.

        Args:
            *spans: Rows and columns to read, of a volume slices, rows and columns; as for a
                numpy array but without a step. None, or left out: all.
            channels: Channels to read, counted from 0, in this order. None: all.

        Returns:
            Array of shape `(rows, columns, channels)` or `(slices, rows, columns, channels)` in
            the file's own dtype.

        Raises:
            RasterError: If the file is truncated or unreadable, or lacks a channel.
        """
        sizes = self.info.shape
        if len(spans) > len(sizes):
            raise RasterError(f"{self.info.path}: has {len(sizes)} axes, not {len(spans)}.")
        wanted = (*spans, *[None] * (len(sizes) - len(spans)))
        window = tuple(self._span(*pair) for pair in zip(wanted, sizes, strict=True))
        chosen = self._channels(channels)
        shape = (*(span.stop - span.start for span in window), len(chosen))
        if 0 in shape:
            return np.zeros(shape, self.info.dtype)
        return self._read(window, chosen)

    def windows(self, pixels: int = 512 * 512) -> Iterator[Window]:
        """Windows that cover the image once, made of whole blocks.

        Args:
            pixels: About how many pixels a window may have; one block is never divided.

        Yields:
            A slice for each axis, row by row.
        """
        steps: list[int] = []
        for axis in reversed(range(len(self.block))):
            wanted = pixels // (prod(self.block[:axis]) * prod(steps))
            steps.insert(0, _whole_blocks(self.block[axis], wanted, self.info.shape[axis]))
        spans = (
            [slice(start, min(start + step, size)) for start in range(0, size, step)]
            for step, size in zip(steps, self.info.shape, strict=True)
        )
        yield from product(*spans)

    @abstractmethod
    def close(self) -> None:
        """Releases the file; reading is not possible afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        """Reads a window that is not empty and lies inside the image."""

    def _span(self, wanted: slice | None, size: int) -> slice:
        start, stop, step = (wanted or slice(None)).indices(size)
        if step != 1:
            raise RasterError(f"{self.info.path}: a window has no step, but {step} was asked for.")
        return slice(start, max(start, stop))

    def _channels(self, wanted: Sequence[int] | None) -> Sequence[int]:
        count = self.info.channels
        if wanted is None:
            return range(count)
        if not all(0 <= channel < count for channel in wanted):
            raise RasterError(
                f"{self.info.path}: channels {list(wanted)} were asked for, but the file has "
                f"{count}, counted from 0."
            )
        return wanted


class WholeRaster(Raster):
    """An image that can only be decoded as a whole."""

    windowed = False

    def __init__(self, info: RasterInfo) -> None:
        super().__init__(info, info.shape)
        self._pixels: Pixels | None = None

    def close(self) -> None:
        """Forgets the decoded image."""
        self._pixels = None

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        if self._pixels is None:
            self._pixels = self._decode()
        # A copy: what the caller does to its window must not reach the next one.
        return pick(self._pixels[window], channels).copy()

    @abstractmethod
    def _decode(self) -> Pixels:
        """The whole image, `(rows, columns, channels)`, of a volume `(slices, rows, ...)`."""


def pick(pixels: Pixels, channels: Sequence[int]) -> Pixels:
    """The chosen channels of an array `(..., channels)`; the array itself if that is all."""
    if len(channels) == pixels.shape[-1] and list(channels) == list(range(len(channels))):
        return pixels
    return pixels[..., list(channels)]


def _whole_blocks(block: int, wanted: int, size: int) -> int:
    return max(1, min(size, max(1, wanted // block) * block))
