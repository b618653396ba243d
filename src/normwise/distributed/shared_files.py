"""Files that every machine of a cluster must see."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from normwise.errors import DistributionError

PATIENCE: Final = 60.0
"""Seconds after which a file must be seen: machines look at a shared folder anew only so often."""
_POLL: Final = 0.2


@dataclass(frozen=True)
class Seen:
    """A file or folder as the machine that asks sees it.

    Attributes:
        path: Where it is.
        size: Bytes of a file, None for a folder.
    """

    path: str
    size: int | None = None


def seen(paths: Iterable[Path]) -> tuple[Seen, ...]:
    """Files and folders, with absolute paths."""
    return tuple(Seen(str(path.absolute()), _size(path)) for path in paths)


def as_before(files: Sequence[Seen]) -> bool:
    """Whether this machine, which asked, still sees the same files."""
    try:
        here = [Path(file.path) for file in files]
        return all(path.exists() for path in here) and seen(here) == tuple(files)
    except OSError:
        return False


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def refuse_unseen(files: Iterable[Seen], patience: float = PATIENCE) -> None:
    """Makes sure that this machine sees the same files.

    Raises:
        DistributionError: It doesn't, within the time.
    """
    for file in files:
        path = Path(file.path)
        if not appears(path, patience):
            raise DistributionError(f"{path}: can't be seen on {_here()}. {_SHARE}")
        if file.size is not None and path.stat().st_size != file.size:
            raise DistributionError(
                f"{path}: is another file on {_here()}, with {path.stat().st_size} bytes and not "
                f"{file.size}. {_SHARE}"
            )


def refuse_unwritten(path: Path, patience: float = PATIENCE) -> None:
    """Makes sure that what a worker says it has written is seen here.

    Raises:
        DistributionError: It isn't, within the time.
    """
    if not appears(path, patience):
        raise DistributionError(
            f"{path}: a worker has written it, but it can't be seen on {_here()}. {_SHARE}"
        )


def appears(path: Path, patience: float = PATIENCE) -> bool:
    """Whether a path is there within some seconds."""
    deadline = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
        if path.parent.is_dir():
            next(path.parent.iterdir(), None)  # has network file systems ask anew what is in it
    return True


_SHARE: Final = (
    "All machines of a Ray cluster must see data, models and outputs under the same paths: put "
    "them on a file system that they share."
)


def _here() -> str:
    return socket.gethostname()
