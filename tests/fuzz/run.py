"""`make fuzz`: checks model files that are broken at random, and reports every fault.

    python -m tests.fuzz.run --first 0 --last 50000 --jobs 2

Each input is a function of its number and the corpus, so that a range can be run in pieces, and
any input again. A fault is a traceback, a crash, over 2 s of processor time or over 1 GB of memory;
the inputs with faults are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from tests.fuzz import corpus
from tests.fuzz.inputs import made

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> int:
    """Runs a range; returns 1 if there are faults."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        files = options.corpus or Path(temporary)
        if options.corpus is None:
            _python("tests.fuzz.corpus", files).wait()
        faults, came = {}, Counter[str]()
        started, slowest = time.monotonic(), (0.0, -1)
        for done in _outcomes_at_once(files, options.first, options.last, options.jobs):
            came[f"{done['came']} {done['suffix']}"] += 1
            slowest = max(slowest, (done["seconds"], done["number"]))
            if done["fault"]:
                faults[done["number"]] = done["fault"]
                _keep(files, done["number"], options.keep)
                print(f"{done['number']}: {done['fault']}", flush=True)
        print(f"\n{sum(came.values())} inputs in {time.monotonic() - started:.0f} s:")
        print(*(f"  {count} {what}" for what, count in sorted(came.items())), sep="\n")
        print(f"  the slowest took {slowest[0]:.2f} s of processor time: {slowest[1]}")
        print(f"  {len(faults)} faults, {len(set(map(_kind, faults.values())))} of them distinct")
        whole = sum(came.values()) == options.last - options.first
        print("" if whole else "  not all of them were checked")
    return int(bool(faults) or not whole)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--last", type=int, default=50_000, help="number after the last one")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the range")
    parser.add_argument("--corpus", type=Path, help="a folder written by tests.fuzz.corpus")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="inputs with faults")
    return parser.parse_args()


def _outcomes_at_once(files: Path, first: int, last: int, jobs: int) -> Iterator[dict[str, Any]]:
    """What came of each input, of as many pieces of the range at once as there are jobs."""
    edges = [first + (last - first) * job // jobs for job in range(jobs + 1)]
    told: Queue[dict[str, Any] | None] = Queue()

    def check(start: int, end: int) -> None:
        try:
            for done in _outcomes(files, start, end):
                told.put(done)
        finally:
            told.put(None)

    for piece in pairwise(edges):
        Thread(target=check, args=piece, daemon=True).start()
    for _ in range(jobs):
        while (done := told.get()) is not None:
            yield done


def _outcomes(files: Path, first: int, last: int) -> Iterator[dict[str, Any]]:
    """What came of each input; a worker that dies is one input's fault, and is started anew."""
    while first < last:
        worker = _python("tests.fuzz.worker", files, first, last)
        assert worker.stdout is not None
        begun: dict[str, Any] = {"number": first, "suffix": "?"}
        for line in worker.stdout:
            told = json.loads(line)
            if "came" not in told:
                begun = told
                continue
            first = told["number"] + 1
            yield {**begun, **told}
        if (code := worker.wait()) and first < last:
            fault = f"the process died with code {code}"
            yield {**begun, "came": "fault", "fault": fault, "seconds": 0.0}
            first = begun["number"] + 1


def _python(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _keep(files: Path, number: int, folder: Path) -> None:
    suffix, data = made(corpus.read(files), number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}{suffix}").write_bytes(data)


def _kind(fault: str) -> str:
    """The type of the error and where it was raised."""
    lines = fault.splitlines()
    return f"{lines[0].partition(':')[0]} {lines[-1] if len(lines) > 1 else lines[0]}"


if __name__ == "__main__":
    sys.exit(main())
