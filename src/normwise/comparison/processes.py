"""Trials in processes of their own, a few at once on this machine."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from normwise.comparison.experiment import Trial
from normwise.errors import RunError
from normwise.training.recipe import Recipe, to_yaml

_POLL: Final = 0.1
_PATIENCE: Final = 20.0
_TOLD_LINES: Final = 3

Asked = tuple[Trial, Recipe, Path]
"""A trial, its recipe and its folder."""


@dataclass
class _Worker:
    trial: Trial
    process: "subprocess.Popen[str]"
    errors: IO[str]

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return " ".join(lines[-_TOLD_LINES:])


def in_processes(
    asked: Sequence[Asked], at_once: int, done: Callable[[Trial], None] = lambda trial: None
) -> None:
    """Makes trials in processes of their own; what each gave is in its folder.

    Args:
        asked: The trials, in the order in which they are begun.
        at_once: How many run at the same time.
        done: Is told of each that is finished.

    Raises:
        RunError: If a trial can't be made or its process was killed; those that were running by
            then are finished first, and the others can be gone on with.
    """
    waiting, running = list(asked), list[_Worker]()
    failed = ""
    try:
        while running or (waiting and not failed):
            while waiting and not failed and len(running) < at_once:
                running.append(_started(*waiting.pop(0), at_once))
            for worker in [one for one in running if one.process.poll() is not None]:
                running.remove(worker)
                if worker.process.returncode:
                    failed = failed or _reason(worker)
                else:
                    done(worker.trial)
                worker.errors.close()
            time.sleep(_POLL)
    finally:
        _end(running)
    if failed:
        raise RunError(failed)


def _started(trial: Trial, recipe: Recipe, folder: Path, at_once: int) -> _Worker:
    errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
    command = [sys.executable, "-m", "normwise.comparison.worker"]
    command += [str(folder), str(at_once), str(trial.until or 0)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, text=True
    )
    assert process.stdin is not None
    with process.stdin as stream:
        stream.write(to_yaml(recipe))
    return _Worker(trial, process, errors)


def _end(workers: Sequence[_Worker]) -> None:
    """Ends what still runs, as after Ctrl-C; each trial keeps its finished epochs."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        try:
            worker.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


def _reason(worker: _Worker) -> str:
    code = worker.process.returncode
    how = f"its process was ended by signal {-code}" if code < 0 else f"its process failed ({code})"
    said = worker.said()
    return (
        f"The trial {worker.trial.name}: {how}{': ' + said if said else ''}. Finished trials are "
        "kept; the same command goes on."
    )
