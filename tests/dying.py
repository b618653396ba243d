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


def die_after_an_epoch(mark: Path) -> None:
    """The first process that has trained an epoch and kept it dies before the next one."""
    from normwise.training import fit

    real = fit.write_history

    def dying(path, history):
        real(path, history)
        die_once(mark)

    fit.write_history = dying
