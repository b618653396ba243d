"""Predicts broken inputs, in a process of its own: `python -m tests.reliability.broken_inputs`.

    python -m tests.reliability.broken_inputs 0 200

Prints a line of JSON before each input and one of what came of it.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.reliability.corruptions import broken
from tests.reliability.healthy import write_all
from tests.reliability.judge import FaultError, Judge

LONGEST: Final = 120
"""Seconds of one input; what takes longer is counted by itself."""


class TooLongError(BaseException):
    """An input that claims to be a huge image; nothing that can be refused, so no Exception."""


def main(first: int, last: int) -> None:
    """Predicts a range of inputs."""
    signal.signal(signal.SIGALRM, _too_long)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        healthy, judge = write_all(folder / "healthy"), Judge.of()
        for number in range(first, last):
            case = broken(number, healthy, folder / "in")
            told = {"number": number, "kind": case.kind, "what": case.what}
            print(json.dumps(told), flush=True)
            (folder / "out").mkdir()
            signal.alarm(LONGEST)
            print(json.dumps({**told, **_outcome(judge, case, folder / "out")}), flush=True)
            signal.alarm(0)
            shutil.rmtree(folder / "out")


def _outcome(judge: Judge, case: Any, folder: Path) -> dict[str, str]:
    try:
        return {"came": judge.judge(case, folder)}
    except TooLongError:
        there = (folder / f"out{case.out}").exists()
        return {"came": "fault" if there else "too long", "fault": "stopped, with an output"}
    except FaultError as error:
        return {"came": "fault", "fault": str(error)}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return {"came": "fault", "fault": f"{error!r} at {last.filename}:{last.lineno}"}


def _too_long(*_: object) -> None:
    raise TooLongError


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
