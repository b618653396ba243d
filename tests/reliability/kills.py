"""Processes that are killed at random moments, and others that go on with what they left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.leftovers import place
from normwise.rasters.output_records import FOLDER
from normwise.rasters.partial import partial_folder
from tests.reliability.trees import content_of

ROOT: Final = Path(__file__).parents[2]
_LOOK: Final = 0.002
"""Seconds between two looks at the output while a process works."""
_LONGEST: Final = 300.0


@dataclass
class Watch:
    """Looks at an output again and again: it must not be there, or be whole.

    Args:
        out: The output.
        wanted: Its content, see `content_of`; None while it is not known.
    """

    out: Path
    wanted: dict[str, bytes] | None
    faults: list[str] = field(default_factory=list)
    looks: int = 0

    def __enter__(self) -> Watch:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """One look."""
        self.looks += 1
        if self.out.exists() and self.wanted is not None and content_of(self.out) != self.wanted:
            self.faults.append("something else than the whole output stood under its name")

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            self.look()


@dataclass(frozen=True)
class Job:
    """A command that makes an output, and prints a line when its work begins.

    Args:
        words: The command; called again, it goes on.
        out: The output.
    """

    words: Sequence[str]
    out: Path

    def undisturbed(self) -> tuple[dict[str, bytes], float]:
        """Makes the output and removes it.

        Returns:
            Its content, and the seconds from the beginning of the work to the end.
        """
        process = self._started()
        _begin(process)
        started = time.monotonic()
        if process.wait(_LONGEST):
            raise RuntimeError(f"the undisturbed process failed: {self.words}")
        seconds = time.monotonic() - started
        wanted = content_of(self.out)
        if self.out.is_dir():
            for path in sorted(self.out.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            self.out.rmdir()
        else:
            self.out.unlink()
        return wanted, seconds

    def killed(self, delay: float, wanted: dict[str, bytes]) -> dict[str, Any]:
        """Kills it some time after its work has begun.

        Args:
            delay: Seconds.
            wanted: The content of the whole output.

        Returns:
            `killed` (or it was faster), the pieces that are kept, and `faults`.
        """
        with Watch(self.out, wanted) as watch:
            process = self._started()
            _begin(process)
            try:
                code = process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        faults = list(watch.faults)
        if code not in (0, -9):
            faults.append(f"ended with code {code}")
        if code == 0 and not self.out.exists():
            faults.append("ended well without an output")
        return {"killed": code == -9, "kept": self._kept(), "faults": faults}

    def _kept(self) -> int:
        journal = partial_folder(self.out) / "done.txt"
        return journal.read_text().count("\n") if journal.is_file() else 0

    def _started(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        return subprocess.Popen(
            self.words, stdout=subprocess.PIPE, text=True, env=environment, cwd=self.out.parent
        )


def ten_kills(job: Job, rng: np.random.Generator, kills: int = 10) -> dict[str, Any]:
    """Kills processes at random moments until there were so many kills and the output is whole.

    An output that is whole before is removed, and the next one begins.

    Args:
        job: What is killed.
        rng: Chooses the moments, over the whole of the work.
        kills: How many.

    Returns:
        `kills`, `outputs` that became whole, `kept` (the pieces that were there after each kill)
        and `faults`.
    """
    wanted, seconds = job.undisturbed()
    told: dict[str, Any] = {"kills": 0, "outputs": 0, "kept": [], "faults": []}
    while True:
        enough = told["kills"] >= kills
        delay = _LONGEST if enough else float(rng.uniform(0, 1.1 * seconds))
        came = job.killed(delay, wanted)
        told["faults"] += came["faults"]
        told["kills"] += came["killed"]
        if came["killed"]:
            told["kept"].append(came["kept"])
            continue
        if came["faults"]:
            return told
        told["outputs"] += 1
        told["faults"] += _litter(job.out)
        if enough:
            return told
        _fresh(job.out)


def _begin(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.readline()


def _litter(out: Path) -> list[str]:
    """What a whole output should have taken away: pieces, and what killed processes left of it.

    Its record stays, alone in a folder of its own.
    """
    rest = {path.name for path in out.parent.iterdir() if path.name.startswith(".")} - {FOLDER}
    rest |= {path.name for path in (out.parent / FOLDER).glob("*")} - {f"{out.name}.json"}
    if place() is None:
        rest &= {partial_folder(out).name}  # whose the others are can't be told here
    return [f"left behind: {name}" for name in sorted(rest)]


def _fresh(out: Path) -> None:
    """A new name each time would do, but the command has it."""
    aside = out.with_name(f"whole-{time.monotonic_ns()}-{out.name}")
    out.replace(aside)
