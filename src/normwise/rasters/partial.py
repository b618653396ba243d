"""An image that is written piece by piece, and goes on where an interruption left it.

One process at a time writes it: the file of its pixels is locked, and what another process put in
its place never becomes the image of this one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from io import BytesIO
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from normwise.errors import OutputExistsError, RasterError
from normwise.files import write_text
from normwise.rasters.made_from import ABOUT, SHOWN, read_about, reading, refuse_other
from normwise.rasters.own_file import OwnFile
from normwise.rasters.raster import Pixels, Window

PIXELS: Final = "pixels.npy"
_FOUND: Final = "found.json"
_DONE: Final = "done.txt"
_NAME: Final = re.compile(r"\d+(-\d+(_\d+-\d+)*)?")
"""What a piece is called: the ends of its spans, or a number."""
_SECONDS: Final = 5.0
"""How much work an interruption may cost: pieces count as done when they are on the disk."""


def partial_folder(out: Path) -> Path:
    """Where the pieces of an output are kept until it is whole: a hidden folder beside it."""
    return out.with_name(f".{out.name}.parts")


def remove_pieces(folder: Path) -> None:
    """Removes the pieces of an image, if there are any and no process is writing them.

    Args:
        folder: Where; see `partial_folder`.
    """
    try:
        held = _held(folder)
    except RasterError:
        return  # somebody else's
    with nullcontext() if held is None else closing(held):
        _remove(folder)
    # On a file system of a network a file that is open keeps its folder.
    with suppress(OSError):
        folder.rmdir()


def begun_with(folder: Path) -> Mapping[str, Any]:
    """What pieces that an interruption left are made from; empty if there are none to go on with.

    Args:
        folder: Where; see `partial_folder`.
    """
    try:
        return read_about(folder) if _is_begun(folder) else {}
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
        RasterError: Another process is writing the pieces, or they are of another image, can't be
            read or can't be written.
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
        self._file = self._opened(told, resume, overwrite)
        try:
            refuse_other(folder, told)
            self._start = _pixels_start(folder, shape, self.dtype)
            self.done, self._told = _read_done(folder)
            self.found: Any = _read_found(folder)
            self._journal = _journal(folder)
        except BaseException:
            self._file.close()
            raise
        self._waiting: list[str] = []
        self._synced = time.monotonic()

    def _opened(self, told: Mapping[str, Any], resume: bool, overwrite: bool) -> OwnFile:
        """The file of the pixels: the one that is there, or a new one."""
        held = _held(self.folder)
        begun = held is not None and _is_begun(self.folder)
        if held is not None and begun and resume and (not overwrite or self._goes_on(told)):
            return held
        with nullcontext() if held is None else closing(held):
            if begun and not overwrite:
                raise OutputExistsError(
                    f"{self.folder}: holds an interrupted prediction. Go on with it (--resume), or "
                    "replace it (--overwrite)."
                )
            return _begin(self.folder, self.shape, self.dtype, told)

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
        size = self.shape[-1] * self.dtype.itemsize
        with _written(self.folder):
            for place, index in zip(np.ndindex(*map(len, first)), product(*first), strict=True):
                pixel = int(np.ravel_multi_index((*index, line.start), self.shape[:-1]))
                self._file.put(block[place].tobytes(), self._start + pixel * size)
            self._waiting.append(name)
            if time.monotonic() - self._synced > _SECONDS:
                self.sync()

    def remember(self, found: Any) -> None:
        """Keeps what turned out while the pieces were made, for who goes on with them.

        Args:
            found: Anything that JSON holds; it stands in `found`, and again after an interruption.

        Raises:
            RasterError: The disk is full, or the pieces are lost; see `refuse_lost`.
        """
        if found != self.found:
            self.refuse_lost()
            with _written(self.folder):
                write_text(self.folder / _FOUND, json.dumps(found) + "\n")
            self.found = found

    def refuse_lost(self) -> None:
        """Refuses to go on where another process removed or replaced the pieces.

        Raises:
            RasterError: One did.
        """
        if self._file.lost:
            raise RasterError(
                f"{self.folder}: another process removed or replaced what this one had done, so "
                "that it can't go on. Let one process at a time write an output."
            )

    def sync(self) -> None:
        """Brings all pieces to the disk, and only then says that they are done.

        Raises:
            RasterError: The disk is full, or the pieces are lost; see `refuse_lost`.
        """
        lines = "".join(f"{name}\n" for name in self._waiting).encode("ascii")
        with _written(self.folder):
            self._file.sync()
            self.refuse_lost()
            # At its place: what a full disk left of these lines is written over.
            self._journal.put(lines, self._told)
            self._journal.sync()
        self.done |= frozenset(self._waiting)
        self._told += len(lines)
        self._waiting, self._synced = [], time.monotonic()

    def close(self) -> None:
        """Brings everything to the disk; without a single piece nothing is left."""
        try:
            if self._waiting:
                self.sync()
        except RasterError:
            pass  # the disk is full, and these pieces are done again; or they are lost
        finally:
            nothing = not self.done and not self._file.lost
            self._file.close()
            self._journal.close()
        if nothing:
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


def _is_begun(folder: Path) -> bool:
    """Whether there are pieces of an image."""
    return (folder / ABOUT).is_file() and (folder / PIXELS).is_file()


def _held(folder: Path) -> OwnFile | None:
    """The file of the pixels that are there, which no other process has then; None without one.

    Raises:
        RasterError: Another process has it, or it can't be opened.
    """
    try:
        return OwnFile(folder / PIXELS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except BlockingIOError as error:
        raise _busy(folder) from error
    except OSError as error:
        raise RasterError(
            f"{folder}: can't be opened ({error.strerror or error}). Remove it, or name another "
            "output."
        ) from error


def _busy(folder: Path) -> RasterError:
    return RasterError(
        f"{folder}: another process is writing this prediction. Wait until it ends or end it, then "
        "go on (--resume); or name another output."
    )


def _journal(folder: Path) -> OwnFile:
    """The list of what is done, open: names never reach that of another process."""
    with _written(folder):
        (folder / _DONE).touch()
        return OwnFile(folder / _DONE)


def _remove(folder: Path) -> None:
    """Removes pieces that nobody else has."""
    # First what makes them an image: interrupted here, the rest counts as nothing.
    with suppress(OSError):
        (folder / ABOUT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _begin(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any], about: Mapping[str, Any]
) -> OwnFile:
    """Begins an image in place of what is there, which nobody else has."""
    _remove(folder)
    own = _new_pixels(folder)
    try:
        with _written(folder):
            header = _header(shape, dtype)
            own.put(header, 0)
            own.grow(len(header) + prod(shape) * dtype.itemsize)
            (folder / _DONE).touch()
            # Last: pieces without it are no image.
            write_text(folder / ABOUT, json.dumps(about, indent=1, sort_keys=True) + "\n")
    except RasterError:
        own.close()
        remove_pieces(folder)
        raise
    return own


def _new_pixels(folder: Path) -> OwnFile:
    pixels = folder / PIXELS
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any((folder / name).exists() for name in (ABOUT, _DONE, _FOUND)):
            raise _busy(folder)
        try:
            pixels.touch(exist_ok=False)
            return OwnFile(pixels)
        except (FileExistsError, BlockingIOError) as error:
            raise _busy(folder) from error


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What an NPY file begins with."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    file = BytesIO()
    np.lib.format.write_array_header_2_0(file, header)
    return file.getvalue()


def _pixels_start(folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Where the pixels stand in their file."""
    header = _header(shape, dtype)
    with reading(folder / PIXELS), (folder / PIXELS).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(header)) != header or size != len(header) + prod(shape) * dtype.itemsize:
            raise RasterError(f"{folder}: its pixels are damaged; begin anew with --overwrite.")
    return len(header)


def _read_done(folder: Path) -> tuple[frozenset[str], int]:
    """The pieces that are done, and the bytes of the list that tells them."""
    journal = folder / _DONE
    with reading(journal):
        text = journal.read_bytes().decode("ascii") if journal.is_file() else ""
        *lines, cut = text.split("\n")
        if wrong := next((line for line in lines if not _NAME.fullmatch(line)), None):
            raise ValueError(f"{wrong!r:.{SHOWN}} is no piece")
        if cut:
            # The interruption came while a line was written: its piece is done again.
            os.truncate(journal, len(text) - len(cut))
    return frozenset(lines), len(text) - len(cut)


def _read_found(folder: Path) -> Any:
    path = folder / _FOUND
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
