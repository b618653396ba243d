"""A file that one process at a time has, and knows again.

The system takes the lock back when a process ends, in whatever way. Some file systems of networks
have no locks; there, what was put in the place of a file is seen before it does harm.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import final


@final
class OwnFile:
    """An existing file, open and locked.

    Args:
        path: The file.

    Raises:
        BlockingIOError: Another process has it, or this one has it open a second time.
        OSError: It can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb+", buffering=0)
        try:
            _lock(self._file.fileno())
        except BaseException:
            self._file.close()
            raise

    @property
    def lost(self) -> bool:
        """Whether it was removed, or another one stands in its place."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return True

    def put(self, data: bytes, place: int) -> None:
        """Writes some bytes.

        Args:
            data: The bytes.
            place: Where they begin.

        Raises:
            OSError: The disk is full.
        """
        written = 0
        while written < len(data):
            written += os.pwrite(self._file.fileno(), data[written:], place + written)

    def grow(self, size: int) -> None:
        """Makes it so many bytes long; no block is taken before it is written.

        Raises:
            OSError: The file system has no room for it.
        """
        os.ftruncate(self._file.fileno(), size)

    def sync(self) -> None:
        """Brings what was written to the disk.

        Raises:
            OSError: The disk is full.
        """
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; others may have it now."""
        self._file.close()


def _lock(number: int) -> None:
    if os.name != "posix":
        return
    import fcntl  # noqa: PLC0415 - not on every system

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return  # the file system has no locks
