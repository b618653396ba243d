"""How a command ends: its exit code, and what is printed of an error."""

import errno
import io
import sys
import traceback
from collections.abc import Callable
from typing import Final

import typer
from rich.markup import escape

from normwise.cli.console import errors
from normwise.errors import NormwiseError, PromiseError

UNKEPT_PROMISE, UNUSABLE_INPUT, INTERRUPTED = 1, 2, 130
_REMEDIES: Final = {
    errno.EACCES: "check its permissions, and those of the folders above it",
    errno.EPERM: "check its permissions, and those of the folders above it",
    errno.EROFS: "name a place that can be written to",
    errno.ENOSPC: "make room, or name another place",
    errno.EDQUOT: "make room, or name another place",
}
"""What the system says no to, whatever normwise does, and what helps."""


class StoppedError(Exception):
    """Ctrl-C, in a form that typer doesn't swallow."""


def run(command: Callable[[], object], debug: bool = False) -> None:
    """Runs a command; errors end the process with their exit code.

    Args:
        command: What to run.
        debug: Whether to show a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names in a file may hold what an encoding can't write.
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except NormwiseError as error:
        if debug:
            traceback.print_exc()
        _print(str(error))
        sys.exit(UNKEPT_PROMISE if isinstance(error, PromiseError) else UNUSABLE_INPUT)
    except StoppedError as stop:
        errors.print(str(stop), markup=False, highlight=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename and error.errno in _REMEDIES:
            _print(f"{error.filename}: {error.strerror}; {_REMEDIES[error.errno]}.")
            sys.exit(UNUSABLE_INPUT)
        errors.print(
            f"[bold red]Unexpected error:[/] {type(error).__name__}: {escape(str(error))}\n"
            "This is a fault of normwise; run again with --debug and report what it prints.",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(UNUSABLE_INPUT)


def _print(text: str) -> None:
    errors.print(f"[bold red]Error:[/] {escape(text)}", highlight=False, soft_wrap=True)
