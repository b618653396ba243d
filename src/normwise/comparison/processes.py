"""Trials in processes of their own, a few at once on this machine."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from normwise.comparison.experiment import Trial
from normwise.distributed.alike import THREADS
from normwise.errors import RunError
from normwise.training.recipe import Recipe, to_yaml

_POLL: Final = 0.1
_PATIENCE: Final = 20.0
_TOLD_LINES: Final = 3

Asked = tuple[Trial, Recipe, Path]
"""A trial, its recipe and its folder."""


@dataclass(frozen=True)
class Ended:
    """A trial whose process has ended.

    Attributes:
        trial: Which.
        folder: Its folder.
        seconds: How long its process ran.
        error: Why it can't be made, or how its process was killed; empty if it is done.
    """

    trial: Trial
    folder: Path
    seconds: float
    error: str = ""


@dataclass
class _Worker:
    trial: Trial
    folder: Path
    process: "subprocess.Popen[str]"
    errors: IO[str]
    processor: int | None
    started: float

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
    failed: list[str] = []
    with closing(each_in_process(_until_one_fails(asked, failed), at_once)) as found:
        for ended in found:
            if ended.error:
                failed.append(ended.error)
            else:
                done(ended.trial)
    if failed:
        raise RunError(f"{failed[0]} Finished trials are kept; the same command goes on.")


def each_in_process(
    asked: Iterable[Asked], at_once: int, one_processor: bool = False
) -> Generator[Ended, None, None]:
    """Makes trials in processes of their own, and hands back each as it ends, failed or not.

    Args:
        asked: The trials, in the order in which they are begun; the next one is asked for when
            there is room for it.
        at_once: How many run at the same time.
        one_processor: Whether each computes with one thread and, where the system can hold it
            there, on one processor, which it shares with others only if there are too few.

    Yields:
        Each trial that has ended. Once the iterator is closed, those that still run are ended.
    """
    waiting, running = iter(asked), list[_Worker]()
    more = True
    try:
        while more or running:
            while more and len(running) < at_once:
                following = next(waiting, None)
                if following is None:
                    more = False
                else:
                    running.append(_started(following, at_once, running, one_processor))
            for worker in [one for one in running if one.process.poll() is not None]:
                running.remove(worker)
                yield _ended(worker)
            time.sleep(_POLL)
    finally:
        _end(running)


def _until_one_fails(asked: Sequence[Asked], failed: Sequence[str]) -> Iterator[Asked]:
    for one in asked:
        if failed:
            return
        yield one


def _started(
    asked: Asked, at_once: int, running: Sequence[_Worker], one_processor: bool
) -> _Worker:
    trial, recipe, folder = asked
    errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
    command = [sys.executable, "-m", "normwise.comparison.worker"]
    command += [str(folder), str(at_once), str(trial.until or 0)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        text=True,
        env={**os.environ, **dict.fromkeys(THREADS, "1")} if one_processor else None,
    )
    processor = _held(process.pid, running) if one_processor else None
    assert process.stdin is not None
    # It loads its backend, whose threads stay where it is, only after it has read this.
    with process.stdin as stream:
        stream.write(to_yaml(recipe))
    return _Worker(trial, folder, process, errors, processor, time.perf_counter())


def _held(pid: int, running: Sequence[_Worker]) -> int | None:
    """The processor that a process is held to from now on; None where the system can't."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    taken = Counter(worker.processor for worker in running)
    processor = min(sorted(os.sched_getaffinity(0)), key=lambda number: taken[number])
    os.sched_setaffinity(pid, {processor})
    return processor


def _ended(worker: _Worker) -> Ended:
    seconds = time.perf_counter() - worker.started
    with worker.errors:
        error = _reason(worker) if worker.process.returncode else ""
    return Ended(worker.trial, worker.folder, seconds, error)


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
    said = worker.said().rstrip(".")
    return f"The trial {worker.trial.name}: {how}{': ' + said if said else ''}."
