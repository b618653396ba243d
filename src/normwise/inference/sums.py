"""Sums for the pixels that tiles still reach, in memory or on the disk, which may hold more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.errors import RasterError

Array = npt.NDArray[Any]
Region = tuple[slice, ...]

_FLOAT: Final = 4


class Sums:
    """An array of float32 that is 0 at first; along the first axis it goes round.

    A row of pixels stands where the one stood that is `shape[0]` before it, so the one before has
    to be 0 again by then.

    Args:
        shape: Rows of pixels that are held at once, pixels along the other axes, and outputs.
        folder: On whose disk the sums lie, in a file without a name that goes with the process;
            None holds them in memory.

    Raises:
        RasterError: The disk is full, or the folder can't be written.
    """

    def __init__(self, shape: tuple[int, ...], folder: Path | None = None) -> None:
        self._shape, self._folder = shape, folder
        with self._written():
            self._file = _file_in(folder)
        self._put(prod(shape) * _FLOAT - 1, memoryview(b"\0"))  # as long as it will be

    def read(self, region: Region) -> Array:
        """The sums of a region, shape (*region, outputs)."""
        found = np.empty((*(s.stop - s.start for s in region), self._shape[-1]), np.float32)
        for place, line in self._lines(region, found):
            self._file.seek(place)
            _all(line, self._file.readinto)
        return found

    def write(self, region: Region, sums: Array) -> None:
        """Puts the sums of a region in the place of those that are there.

        Args:
            region: Its pixels; of the first axis at most as many as are held at once.
            sums: Shape (*region, outputs).

        Raises:
            RasterError: The disk is full.
        """
        for place, line in self._lines(region, np.ascontiguousarray(sums, np.float32)):
            self._put(place, line)

    def close(self) -> None:
        """Gives the memory or the disk back."""
        self._file.close()

    def _lines(self, region: Region, values: Array) -> Iterator[tuple[int, memoryview]]:
        """Each line of values along the last axis, with the byte of the file where it begins."""
        first, *middle, last = region
        rows = np.arange(first.start, first.stop) % self._shape[0]
        others = (np.arange(span.start, span.stop) for span in middle)
        corner = np.ix_(rows, *others, [last.start])
        pixels = np.ravel_multi_index(corner, self._shape[:-1]).ravel().tolist()
        size = self._shape[-1] * _FLOAT
        for pixel, line in zip(pixels, values.reshape(len(pixels), -1), strict=True):
            yield pixel * size, line.data.cast("B")

    def _put(self, place: int, data: memoryview) -> None:
        with self._written():
            self._file.seek(place)
            _all(data, self._file.write)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            needed = prod(self._shape) * _FLOAT / 1e9
            raise RasterError(
                f"{self._folder}: can't be written ({error.strerror or error}). The sums of tiles "
                f"that are blended take up to {needed:.2g} GB of that disk while it works; make "
                "room (an interrupted prediction goes on with --resume)."
            ) from error


def _file_in(folder: Path | None) -> BytesIO | FileIO:
    if folder is None:
        return BytesIO()
    return TemporaryFile(dir=folder, buffering=0)


def _all(data: memoryview, work: Callable[[memoryview], int]) -> None:
    """Reads or writes all of something, of which the system may take a part at a time."""
    while data:
        data = data[work(data) :]
