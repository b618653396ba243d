"""Where in a file the weights stand, all of it or a member of an archive, and how much is read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from normwise.keras_format.archive_file import WAYS, open_archive

MAX_UNPACKED_BYTES = 128 * 2**20
"""Compressed weights have to be unpacked in memory; Keras stores them as they are."""
MAX_LAYER_NUMBERS = 2**21
"""What is read of a layer; more is left unread.

They are those of normalizations, 4 numbers a channel: the widest networks have half a million.
"""
_INSIDE = "model.weights.h5"


def stretch(path: Path) -> tuple[BinaryIO, int, int]:
    """An open file, to be closed by the caller, and where in it the weights begin and their length.

    Raises:
        ValueError: They are packed, and too large to unpack.
        KeyError: The archive holds none.
    """
    file = path.open("rb")
    try:
        if not zipfile.is_zipfile(path):
            return file, 0, file.seek(0, io.SEEK_END)
        with open_archive(path) as archive:
            info = archive.getinfo(_INSIDE)
            if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
                return file, _start(file, info), info.file_size
            unpacked = _unpacked(archive, info)
        file.close()
        return unpacked, 0, info.file_size
    except BaseException:
        file.close()
        raise


def _start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    # The local header: 30 bytes that end in the lengths of the name and of an extra field.
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise ValueError(f"{info.filename} isn't where the archive says")
    name, extra = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    return info.header_offset + 30 + name + extra


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.BytesIO:
    if info.compress_type not in WAYS or info.file_size > MAX_UNPACKED_BYTES:
        raise ValueError(
            f"{info.filename} is packed, and too large to unpack; Keras saves it as it is"
        )
    with archive.open(info) as member:
        return io.BytesIO(member.read(MAX_UNPACKED_BYTES))


class _Part(io.RawIOBase):
    """A stretch of a file as a file, for the library; the file stays the caller's."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def as_file(file: BinaryIO, start: int, size: int) -> io.RawIOBase:
    """A stretch of an open file as a file of its own, for the HDF5 library."""
    return _Part(file, start, size)
