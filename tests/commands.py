"""Calls of the `normwise` command: in this process, which is fast, or in one of its own."""

import io
import os
import subprocess
import sys
import traceback
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from normwise.cli import main

Done = subprocess.CompletedProcess[str]


def normwise(*words: object, cwd: Path | str = ".") -> Done:
    """The command in this process, with the backend that is loaded already.

    What depends on the start of a process (the choice of a backend, modules of the user's, signals)
    needs `normwise_process`.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    arguments = ["normwise", *map(str, words)]
    with (
        patch.object(sys, "argv", list(arguments)),
        chdir(cwd),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        code = _exit_code()
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


def _exit_code() -> int:
    """The exit code that the process would have, with the traceback where it would print one."""
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def normwise_process(*words: object, cwd: Path | str = ".", **environment: str) -> Done:
    """The command as a process of its own, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "normwise", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, **environment},
    )
