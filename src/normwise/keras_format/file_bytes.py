"""Stretches of a file, read when they are asked for and within bounds."""

from __future__ import annotations

from typing import Any, BinaryIO

BLOCK, MOST_BLOCKS = 4096, 1024
"""Bytes that are read at once, as structures of files are small and stand side by side; and how
many of these are kept."""
MAX_READ = 512 * 2**20
MAX_LOOKS = 1_000_000
"""What one file may make us read, in bytes and in pieces, however often the same ones."""


class FileBytes:
    """A file, or a stretch of one, as bytes by their position.

    Args:
        file: An open file; it stays the caller's.
        start: Where the stretch begins.
        size: Its length.

    Attributes:
        size: The length of the stretch.
        known: What its reader has made of places in it.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self.size = file, start, size
        self._blocks: dict[int, bytes] = {}
        self._left, self._looks = MAX_READ, MAX_LOOKS
        self.known: dict[int, Any] = {}

    def at(self, offset: int, size: int) -> bytes:
        """Bytes from an offset on.

        Raises:
            ValueError: They aren't all inside, or more was read than any file needs.
        """
        self._left -= size
        self._looks -= 1
        if self._left < 0 or self._looks < 0:
            raise ValueError("its structure refers to the same places without end")
        if offset < 0 or offset + size > self.size:
            raise ValueError(f"{size} bytes at {offset} of {self.size} are referred to")
        number, first = divmod(offset, BLOCK)
        if first + size > BLOCK:
            return self._read(offset, size)
        if number not in self._blocks:
            if len(self._blocks) == MOST_BLOCKS:
                self._blocks.clear()
            start = number * BLOCK
            self._blocks[number] = self._read(start, min(BLOCK, self.size - start))
        return self._blocks[number][first : first + size]

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(self._start + offset)
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("the file is truncated")
        return data
