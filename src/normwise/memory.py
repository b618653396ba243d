"""How a process of ours holds its memory."""

import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
_KEPT: Final = 2**31 - 1
_STEP: Final = 2**28


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
