"""An image that is written piece by piece, and goes on where an interruption left it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from normwise.errors import OutputExistsError, RasterError
from normwise.files import write_text
from normwise.rasters.raster import Pixels, Window

PIXELS: Final = "pixels.npy"
_ABOUT: Final = "about.json"
_DONE: Final = "done.txt"
_SECONDS: Final = 5.0
"""How much work an interruption may cost: pieces count as done when they are on the disk."""


def partial_folder(out: Path) -> Path:
    """Where the pieces of an output are kept until it is whole: a hidden folder beside it."""
    return out.with_name(f".{out.name}.parts")


@final
class PartialImage:
    """The pieces of an image: an NPY file of its full size, and a list of what is in it.

    Args:
        folder: Where; see `partial_folder`.
        shape: Of the whole image, shape (..., channels).
        dtype: Of its pixels.
        about: What the image is made from; an image that is gone on with must be made from the
            same.
        resume: Whether to go on with what is there; without anything it begins.
        overwrite: Whether what is there may be thrown away.

    Raises:
        OutputExistsError: There are pieces, and neither `resume` nor `overwrite`.
        RasterError: The pieces are of another image, or can't be read.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        about: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.shape, self.dtype = folder, shape, np.dtype(dtype)
        told = {**about, "shape": list(shape), "dtype": self.dtype.name}
        if (folder / _ABOUT).is_file() and not resume and not overwrite:
            raise OutputExistsError(
                f"{folder}: holds an interrupted prediction. Go on with it (--resume), or replace "
                "it (--overwrite)."
            )
        if not (resume and (folder / _ABOUT).is_file()):
            _begin(folder, shape, self.dtype, told)
        self.done = _read_done(folder, told)
        self._file = os.open(folder / PIXELS, os.O_RDWR)
        self._start = os.fstat(self._file).st_size - prod(shape) * self.dtype.itemsize
        self._waiting: list[str] = []
        self._synced = time.monotonic()

    @property
    def pixels(self) -> Path:
        """The NPY file, whole when every piece is done."""
        return self.folder / PIXELS

    def write(self, region: Window, values: Pixels, name: str) -> None:
        """Writes a piece.

        Args:
            region: Its pixels.
            values: Shape (..., channels).
            name: What `done` calls it.

        Raises:
            RasterError: The disk is full.
        """
        block = np.ascontiguousarray(values, self.dtype)
        *outer, line = region
        first = [range(span.start, span.stop) for span in outer]
        try:
            for place, index in zip(np.ndindex(*map(len, first)), product(*first), strict=True):
                pixel = int(np.ravel_multi_index((*index, line.start), self.shape[:-1]))
                self._put(block[place].tobytes(), pixel * self.shape[-1] * self.dtype.itemsize)
            self._waiting.append(name)
            if time.monotonic() - self._synced > _SECONDS:
                self.sync()
        except OSError as error:
            raise RasterError(
                f"{self.folder}: can't be written ({error.strerror}). What is done is kept: make "
                "room and go on (--resume)."
            ) from error

    def _put(self, data: bytes, place: int) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, data[written:], self._start + place + written)

    def sync(self) -> None:
        """Brings all pieces to the disk, and only then says that they are done."""
        os.fsync(self._file)
        with (self.folder / _DONE).open("a", encoding="ascii") as journal:
            journal.write("".join(f"{name}\n" for name in self._waiting))
            journal.flush()
            os.fsync(journal.fileno())
        self.done |= frozenset(self._waiting)
        self._waiting, self._synced = [], time.monotonic()

    def close(self) -> None:
        """Brings everything to the disk; without a single piece nothing is left."""
        try:
            if self._waiting:
                self.sync()
        except OSError:
            pass  # the disk is full: these pieces are done again
        finally:
            os.close(self._file)
        if not self.done:
            self.remove()

    def remove(self) -> None:
        """Removes the pieces."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _begin(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any], about: Mapping[str, Any]
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / PIXELS).open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_2_0(file, {**header, "shape": shape})
        # No block is taken before it is written.
        file.truncate(file.tell() + prod(shape) * dtype.itemsize)
    # Last: pieces without it are no image.
    write_text(folder / _ABOUT, json.dumps(about, indent=1, sort_keys=True) + "\n")


def _read_done(folder: Path, about: Mapping[str, Any]) -> frozenset[str]:
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RasterError(
            f"{folder}: can't be read ({error}); begin anew with --overwrite."
        ) from error
    other = sorted(key for key in {*found, *about} if found.get(key) != about.get(key))
    if other:
        raise RasterError(
            f"{folder}: holds an interrupted prediction with another {', '.join(other)}. Give the "
            "same ones to go on, or begin anew with --overwrite."
        )
    journal = folder / _DONE
    text = journal.read_text(encoding="ascii") if journal.is_file() else ""
    *lines, cut = text.split("\n")
    if cut:
        # The interruption came while a line was written: its piece is done again.
        os.truncate(journal, len(text) - len(cut))
    return frozenset(lines)
