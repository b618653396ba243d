"""How a process of ours holds its memory, and how much there is."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
_KEPT: Final = 2**31 - 1
_STEP: Final = 2**28

SYSTEM: Final = Path("/proc/meminfo")
OWN: Final = Path("/proc/self/status")
GROUP: Final = Path("/sys/fs/cgroup")
_OF_GROUP: Final = ("max", "current", "stat")
_CACHED: Final = "inactive_file "


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
    """Bytes that can still be used, by what the system and the process's group of control say.

    Returns:
        The smaller of both; 4 GB where nothing tells.
    """
    told = [amount for amount in (_of_the_system(), _of_the_group()) if amount is not None]
    return min(told, default=2**32)


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


def _of_the_group() -> int | None:
    """What a container may use, with version 2 of control groups.

    Pages of files that were read count as used; those not read lately are given up on demand.
    """
    try:
        most, used, parts = ((GROUP / f"memory.{key}").read_text() for key in _OF_GROUP)
        cached = [int(line.split()[1]) for line in parts.splitlines() if line.startswith(_CACHED)]
        return max(0, int(most) - int(used) + sum(cached))
    except (OSError, ValueError):
        return None
