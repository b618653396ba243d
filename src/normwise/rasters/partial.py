"""An image that is written piece by piece, and goes on where an interruption left it."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
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
_FOUND: Final = "found.json"
_DONE: Final = "done.txt"
_NAME: Final = re.compile(r"\d+(-\d+(_\d+-\d+)*)?")
"""What a piece is called: the ends of its spans, or a number."""
_SHOWN: Final = 40
"""Characters of a value that a message shows; longer ones are named alone."""
_SECONDS: Final = 5.0
"""How much work an interruption may cost: pieces count as done when they are on the disk."""


def partial_folder(out: Path) -> Path:
    """Where the pieces of an output are kept until it is whole: a hidden folder beside it."""
    return out.with_name(f".{out.name}.parts")


def remove_pieces(folder: Path) -> None:
    """Removes the pieces of an image, if there are any.

    Args:
        folder: Where; see `partial_folder`.
    """
    # First what makes them an image: interrupted here, the rest counts as nothing.
    with suppress(OSError):
        (folder / _ABOUT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def begun_with(folder: Path) -> Mapping[str, Any]:
    """What pieces that an interruption left are made from; empty if there are none to go on with.

    Args:
        folder: Where; see `partial_folder`.
    """
    try:
        return _read_about(folder) if _is_begun(folder) else {}
    except RasterError:
        return {}


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
        overwrite: Whether what is there may be thrown away; with `resume`, if it is of another
            image.

    Raises:
        OutputExistsError: There are pieces, and neither `resume` nor `overwrite`.
        RasterError: The pieces are of another image, can't be read or can't be written.
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
        begun = _is_begun(folder)
        if begun and not resume and not overwrite:
            raise OutputExistsError(
                f"{folder}: holds an interrupted prediction. Go on with it (--resume), or replace "
                "it (--overwrite)."
            )
        if not (resume and begun) or (overwrite and not self._goes_on(told)):
            _begin(folder, shape, self.dtype, told)
        refuse_other(folder, told)
        self._start = _pixels_start(folder, shape, self.dtype)
        self.done = _read_done(folder)
        self.found: Any = _read_found(folder)
        self._file = os.open(folder / PIXELS, os.O_RDWR)
        self._waiting: list[str] = []
        self._synced = time.monotonic()

    def _goes_on(self, told: Mapping[str, Any]) -> bool:
        """Whether what is there can be gone on with."""
        try:
            refuse_other(self.folder, told)
            _pixels_start(self.folder, self.shape, self.dtype)
            _read_done(self.folder)
            _read_found(self.folder)
        except RasterError:
            return False
        return True

    @property
    def pixels(self) -> Path:
        """The NPY file, whole when every piece is done."""
        return self.folder / PIXELS

    def write(self, region: Window, values: Pixels, name: str) -> None:
        """Writes a piece.

        Args:
            region: Its pixels.
            values: Shape (..., channels).
            name: What `done` calls it: `0-4_5-9`, the ends of its spans, or a number.

        Raises:
            RasterError: The disk is full.
        """
        block = np.ascontiguousarray(values, self.dtype)
        *outer, line = region
        first = [range(span.start, span.stop) for span in outer]
        with _written(self.folder):
            for place, index in zip(np.ndindex(*map(len, first)), product(*first), strict=True):
                pixel = int(np.ravel_multi_index((*index, line.start), self.shape[:-1]))
                self._put(block[place].tobytes(), pixel * self.shape[-1] * self.dtype.itemsize)
            self._waiting.append(name)
            if time.monotonic() - self._synced > _SECONDS:
                self.sync()

    def remember(self, found: Any) -> None:
        """Keeps what turned out while the pieces were made, for who goes on with them.

        Args:
            found: Anything that JSON holds; it stands in `found`, and again after an interruption.

        Raises:
            RasterError: The disk is full.
        """
        if found != self.found:
            with _written(self.folder):
                write_text(self.folder / _FOUND, json.dumps(found) + "\n")
            self.found = found

    def _put(self, data: bytes, place: int) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, data[written:], self._start + place + written)

    def sync(self) -> None:
        """Brings all pieces to the disk, and only then says that they are done.

        Raises:
            RasterError: The disk is full.
        """
        with _written(self.folder):
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
        except RasterError:
            pass  # the disk is full: these pieces are done again
        finally:
            os.close(self._file)
        if not self.done:
            self.remove()

    def remove(self) -> None:
        """Removes the pieces."""
        remove_pieces(self.folder)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Turns what a full disk raises into an error that says how to go on."""
    try:
        yield
    except OSError as error:
        raise RasterError(
            f"{folder}: can't be written ({error.strerror or error}). What is done is kept: make "
            "room and go on (--resume)."
        ) from error


@contextmanager
def _read(file: Path) -> Iterator[None]:
    """Turns what a damaged file raises into an error that says how to begin anew."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise RasterError(
            f"{file}: can't be read ({error}); begin anew with --overwrite."
        ) from error


def _is_begun(folder: Path) -> bool:
    """Whether there are pieces of an image."""
    return (folder / _ABOUT).is_file() and (folder / PIXELS).is_file()


def _begin(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any], about: Mapping[str, Any]
) -> None:
    remove_pieces(folder)
    try:
        with _written(folder):
            folder.mkdir(parents=True)
            with (folder / PIXELS).open("wb") as file:
                file.write(_header(shape, dtype))
                # No block is taken before it is written.
                file.truncate(file.tell() + prod(shape) * dtype.itemsize)
            # Last: pieces without it are no image.
            write_text(folder / _ABOUT, json.dumps(about, indent=1, sort_keys=True) + "\n")
    except RasterError:
        remove_pieces(folder)
        raise


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What an NPY file begins with."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    file = BytesIO()
    np.lib.format.write_array_header_2_0(file, header)
    return file.getvalue()


def _pixels_start(folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Where the pixels stand in their file."""
    header = _header(shape, dtype)
    with _read(folder / PIXELS), (folder / PIXELS).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(header)) != header or size != len(header) + prod(shape) * dtype.itemsize:
            raise RasterError(f"{folder}: its pixels are damaged; begin anew with --overwrite.")
    return len(header)


def refuse_other(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuses pieces that are made from something else.

    Args:
        folder: Where; see `partial_folder`.
        about: What they should be made from.

    Raises:
        RasterError: They are, or don't say it.
    """
    found = _read_about(folder)
    keys = sorted({*found, *about})
    # As text: NaN is unlike itself, and tuples become lists on their way through a file.
    before, now = (
        {key: json.dumps(own.get(key), sort_keys=True) for key in keys} for own in (found, about)
    )
    other = [_told(key, before[key], now[key]) for key in keys if before[key] != now[key]]
    if other:
        raise RasterError(
            f"{folder}: holds an interrupted prediction with another {', '.join(other)}. Give the "
            "same to go on, or begin anew with --overwrite."
        )


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / _ABOUT
    with _read(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.{_SHOWN}}, no mapping")
        return found


def _told(key: str, before: str, now: str) -> str:
    """What differs, with the values if they are short."""
    if max(len(before), len(now)) > _SHOWN:
        return key
    return f"{key} ({before} before, {now} now)"


def _read_done(folder: Path) -> frozenset[str]:
    journal = folder / _DONE
    with _read(journal):
        text = journal.read_bytes().decode("ascii") if journal.is_file() else ""
        *lines, cut = text.split("\n")
        if wrong := next((line for line in lines if not _NAME.fullmatch(line)), None):
            raise ValueError(f"{wrong!r:.{_SHOWN}} is no piece")
        if cut:
            # The interruption came while a line was written: its piece is done again.
            os.truncate(journal, len(text) - len(cut))
    return frozenset(lines)


def _read_found(folder: Path) -> Any:
    path = folder / _FOUND
    with _read(path):
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
