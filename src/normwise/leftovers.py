"""Temporary names that tell whose they are, and the removal of what dead processes left.

A process that is killed can't remove its temporary files. Their names tell the process: its number,
when it started, and the place where these mean something, which is a machine between two restarts
and there the namespaces of numbers and clocks. What a process of this very place left goes once it
is dead. Of another machine or container, or from before a restart, nobody here can tell whether a
process lives, and folders are shared between them: theirs stays.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

_STEM: Final = 40
_OWNER: Final = re.compile(r"([0-9a-f]{12})-([1-9]\d*)-(\d+)-[0-9a-f]{12}\.(part|old)\b")
_STARTED: Final = 19
"""Where `/proc/PID/stat` tells the start, counted behind the name; in ticks since the machine's."""
_REST: Final = 100
"""A folder of 40,000 files takes tens of milliseconds to list: in a hundredth of the time only."""
_KNOWN: Final = 64

_listed: dict[Path, float] = {}


def temporary_stem(path: Path) -> str:
    """The name, without suffix, of a hidden temporary file or folder beside an output.

    Args:
        path: The output.

    Returns:
        A name that nobody has had; `.part` or `.old` and suffixes follow it.
    """
    own, process = place(), os.getpid()
    if own is None:
        own = secrets.token_hex(6)  # nobody's place: it is left alone for ever
    return f"{_beginning(path)}{own}-{process}-{_started(process) or 0}-{secrets.token_hex(6)}"


def remove_leftovers(path: Path) -> list[Path]:
    """Removes the temporary files of an output whose processes are dead.

    Args:
        path: The output; its folder is there.

    Returns:
        What such a process put aside to replace it, and is all that there is now: it should go
        when `path` is there again.
    """
    own, beginning, kept = place(), _beginning(path), list[Path]()
    if own is None:
        return kept
    for name in _names(path.parent):
        found = _OWNER.match(name, len(beginning)) if name.startswith(beginning) else None
        if found is None or found[1] != own or _lives(int(found[2]), int(found[3])):
            continue
        leftover = path.with_name(name)
        if found[4] == "old" and not path.exists():
            kept.append(leftover)
        else:
            remove(leftover)
    return kept


def remove(path: Path) -> None:
    """Removes a file or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def place() -> str | None:
    """Where the numbers of processes mean the same as here; None where that can't be told."""
    return _place_of(os.getpid())


@lru_cache(maxsize=1)
def _place_of(process: int) -> str | None:
    """The place of this process; asked for once, and again after a fork."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = Path("/proc/self/ns/pid").readlink()
        own = Path("/proc/self").readlink()
    except (OSError, ValueError):
        return None
    if str(own) != str(process) or _started(process) is None:
        return None  # /proc tells of another namespace
    told = f"{socket.gethostname()} {boot} {numbers} {_clock()}"
    return sha256(told.encode()).hexdigest()[:12]


def _clock() -> str:
    """The namespace in which starts are told; empty where there is but one."""
    try:
        return str(Path("/proc/self/ns/time").readlink())
    except OSError:
        return ""


def _beginning(path: Path) -> str:
    """What the temporary names of an output, and of no other, begin with."""
    return f".{path.stem[:_STEM]}-{sha256(os.fsencode(path.name)).hexdigest()[:8]}-"


def _names(folder: Path) -> list[str]:
    """What is in a folder; nothing where listing it again would take more than its share."""
    began = time.monotonic()
    if began < _listed.get(folder, began):
        return []
    with suppress(OSError):
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        if len(_listed) >= _KNOWN:
            _listed.clear()
        _listed[folder] = began + _REST * (time.monotonic() - began)
        return names
    return []


def _lives(process: int, started: int) -> bool:
    """Whether a process of this place lives; another one may have its number by now."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    found = _started(process)
    return found is None or found == started


def _started(process: int) -> int | None:
    """When a process started; None if that can't be seen."""
    try:
        told = Path(f"/proc/{process}/stat").read_bytes()
        return int(told.rpartition(b")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return None
