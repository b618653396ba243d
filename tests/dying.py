"""Processes that die in the middle of their work, at a moment that no machine is too slow for."""

import os
import signal
from pathlib import Path


def die_once(mark: Path) -> None:
    """Kills this process without a chance to clean up, unless one died here before.

    Args:
        mark: The file that tells so.
    """
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
