"""How a process of ours holds its memory, and how much there is."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
_KEPT: Final = 2**31 - 1
_STEP: Final = 2**28

SYSTEM: Final = Path("/proc/meminfo")
OWN: Final = Path("/proc/self/status")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
GROUPS: Final = Path("/sys/fs/cgroup")
_NO_LIMIT: Final = 2**60
"""Version 1 of control groups says with numbers near 2**63 that there is no limit."""


@dataclass(frozen=True)
class _Version:
    """Of control groups: where it keeps what, in a folder for each group.

    Attributes:
        controller: How a process's list of its groups calls the one of memory.
        outermost: The folder of the group around all others.
        limit: The file that says how much memory a group may use, those inside of it included.
        used: That of how much it does.
        cached: Pages of files that weren't read lately, in `memory.stat`.
    """

    controller: str
    outermost: str
    limit: str
    used: str
    cached: str


_VERSIONS: Final = (
    _Version("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
             "total_inactive_file"),
    _Version("", "", "memory.max", "memory.current", "inactive_file"),
)  # fmt: skip


def keep_freed_memory() -> bool:
    """Asks glibc to keep large freed blocks for the next ones instead of giving them back.

    A training step allocates and frees the same large tensors each time. By default glibc maps
    each from the system and unmaps it again, so that every page is faulted in and zeroed anew, in
    every step: with the question's network that was half of all processor time where faults are
    dear (virtual machines, sandboxes). Freed memory beyond 2 GB is still returned.

    This holds for the whole process, so it is for processes of our own, not for a user's.

    Returns:
        Whether it was done; elsewhere than on glibc there is nothing to ask.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # musl and others have none
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _KEPT, _TOP_PAD: _STEP}
    return bool(sum(mallopt(option, value) for option, value in wanted.items()) == len(wanted))


@contextmanager
def without_collection() -> Iterator[None]:
    """Holds Python's search for circles of references while many objects are made at once.

    It looks at all objects again and again while their number grows; for a graph of thousands of
    calls, in which there are no circles, that takes a third of the time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def return_freed_memory() -> bool:
    """Gives freed memory back to the system, also what lies between blocks that are in use.

    Large arrays that are made and freed in turn leave gaps that none of the next ones fits into;
    to the system they count as used. It takes some milliseconds.

    Returns:
        Whether any was given back; elsewhere than on glibc there is nothing to ask.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False  # musl and others have none
    return bool(trim(0))


def available_memory() -> int:
    """Bytes that can still be used, by what the system and the process's control groups say.

    Returns:
        The smallest of all; 4 GB where nothing tells.
    """
    told = [_of_the_system(), *_of_the_groups()]
    return min((amount for amount in told if amount is not None), default=2**32)


def peak_memory() -> int | None:
    """The most memory that this process has held, in bytes; None where the system doesn't say.

    Linux lets a process begin with the `ru_maxrss` of the one that started it, so that is asked
    where nothing better is there.
    """
    found = _told(OWN, "VmHWM:")
    return _most_resident() if found is None else found


def _most_resident() -> int | None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return None
    most: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) * (1 if sys.platform == "darwin" else 1024)


def _of_the_system() -> int | None:
    return _told(SYSTEM, "MemAvailable:")


def _told(path: Path, name: str) -> int | None:
    """Bytes in the line of a name, in which the system counts by 1024."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None  # other systems have no such file
    kilobytes = [line.split()[1] for line in lines if line.startswith(name)]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def _of_the_groups() -> Iterator[int | None]:
    """What each group leaves that the process is in: a job, a container, and those around it."""
    for version in _VERSIONS:
        inside = _own(version)
        for group in (inside, *inside.parents):
            yield _left(GROUPS / version.outermost / group, version)


def _own(version: _Version) -> PurePosixPath:
    """The group of the process in the outermost one, which it is itself where nothing tells.

    A container may not see what lies around it: what the system names isn't there then, and its
    own group is the outermost one.
    """
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []  # other systems have no such file
    for _, controllers, place in (line.split(":", 2) for line in lines if line.count(":") > 1):
        inside = PurePosixPath(place.lstrip("/"))
        if version.controller in controllers.split(",") and ".." not in inside.parts:
            return inside
    return PurePosixPath()


def _left(group: Path, version: _Version) -> int | None:
    """How much of a group's limit isn't used; None if it has no limit.

    Pages of files that were read count as used; those not read lately are given up on demand.
    """
    limit = _number(group / version.limit)
    if limit is None or limit >= _NO_LIMIT:
        return None
    used = _number(group / version.used) or 0
    return max(0, limit - used + _cached(group / "memory.stat", version.cached))


def _cached(path: Path, name: str) -> int:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
        return sum(int(told) for key, told in lines if key == name)
    except (OSError, ValueError):
        return 0


def _number(path: Path) -> int | None:
    """What a file of a group says; None of no limit, and where there is no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
