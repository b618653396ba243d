"""Opens `.keras` archives: zip files whose members are looked for within bounds."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from struct import unpack_from

MAX_DIRECTORY_BYTES = 2**20
"""Keras writes three members, or some more for assets; a directory of this size has over 10,000."""
WAYS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members may be packed. Keras stores them; other packers can take minutes for a few bytes."""

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)
"""What reading a damaged archive or HDF5 file ends in."""

_TAIL = 2**16 + 22 + 20 + 56
"""The end of a directory, with the longest comment, and what large archives have before it."""
_END, _LARGE_END = b"PK\x05\x06", b"PK\x06\x06"


def open_archive(path: Path) -> zipfile.ZipFile:
    """The archive; to be closed by the caller.

    Raises:
        ValueError: Its directory is too large for a model.
        BadZipFile: It is none, or damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    for end in {tail.rfind(_END), len(tail) - 22}:
        if end >= 0 and tail[end : end + 4] == _END and len(tail) >= end + 22:
            _refuse_large(tail, end)
    return zipfile.ZipFile(path)


def _refuse_large(tail: bytes, end: int) -> None:
    told = unpack_from("<I", tail, end + 12)[0]
    if told == 2**32 - 1:
        large = end - 20 - 56
        if large >= 0 and tail[large : large + 4] == _LARGE_END:
            told = unpack_from("<Q", tail, large + 40)[0]
    if told > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {told:,} bytes")


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The first bytes of a member.

    Args:
        archive: An open archive.
        name: The member.
        most: How many bytes are read at most.

    Raises:
        KeyError: There is no such member.
        ValueError: It is packed in a way that Keras doesn't use.
    """
    info = archive.getinfo(name)
    if info.compress_type not in WAYS:
        raise ValueError(f"{name} is packed in a way that Keras doesn't use")
    with archive.open(info) as file:
        return file.read(most)
