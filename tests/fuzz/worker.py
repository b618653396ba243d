"""Checks a range of inputs in one process, within bounds; one line of JSON for each."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz import corpus
from tests.fuzz.inputs import made
from tests.fuzz.judge import judge

MOST_SECONDS, MOST_BYTES = 2.0, 2**30
"""Of processor time and of memory, for one input. Beside other work a processor is slower, and the
time that it needs longer: of an input that takes too long the shorter of two times counts."""
SLOW = "slow"
PATIENCE = 20
"""Seconds of processor time after which an input is given up."""


class EndlessError(BaseException):
    """An input that takes so long that nobody waits for its end."""


def main(files: str, first: str, last: str) -> None:
    """Checks the inputs from one number up to another, and prints what came of each."""
    healthy, folder = corpus.read(Path(files)), Path(files) / f"inputs {os.getpid()}"
    folder.mkdir(exist_ok=True)
    signal.signal(signal.SIGPROF, _give_up)
    used = _pages() * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))
    for number in range(int(first), int(last)):
        suffix, data = made(healthy, number)
        path = folder / f"input{suffix}"
        path.write_bytes(data)
        print(json.dumps({"number": number, "suffix": suffix}), flush=True)
        done = _outcome(path, number)
        if done["fault"].startswith(SLOW):
            done = min(done, _outcome(path, number), key=lambda one: one["seconds"])
        print(json.dumps({"number": number, **done}), flush=True)


def _outcome(path: Path, number: int) -> dict[str, Any]:
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        came, fault = judge(path, with_show=number % 4 == 0), ""
    except (Exception, EndlessError) as error:
        came, fault = "fault", f"{type(error).__name__}: {str(error)[:300]}"
        fault += "".join(f"\n  {line}" for line in _places(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - started
    if seconds > MOST_SECONDS and not fault:
        came, fault = "fault", f"{SLOW}: {seconds:.1f} s"
    return {"came": came, "fault": fault, "seconds": seconds}


def _places(error: BaseException) -> list[str]:
    """Where it happened, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-8:]]


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def _give_up(*_: object) -> None:
    raise EndlessError(f"over {PATIENCE} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
