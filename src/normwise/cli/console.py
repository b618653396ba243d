"""Where the command line prints: results to standard output, errors to standard error."""

import json
import shutil
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from normwise.json_files import nulled

WIDTH_OF_FILES = 160
"""Columns where the output is no terminal, so that tables in logs aren't squeezed into 80."""


def _width(stream: Any) -> int | None:
    return None if stream.isatty() else max(WIDTH_OF_FILES, shutil.get_terminal_size().columns)


# Names hold colons, and `:x:` is no picture.
output = Console(emoji=False, width=_width(sys.stdout))
errors = Console(emoji=False, stderr=True, width=_width(sys.stderr))


Imports = Annotated[
    list[str] | None,
    typer.Option("--import", help="A module that registers custom layers; may be repeated."),
]


class Format(StrEnum):
    """How results are printed."""

    text = "text"
    json = "json"


def print_json(value: Any) -> None:
    """Prints a value as JSON that any parser reads: NaN becomes null."""
    print(json.dumps(nulled(value), indent=2, default=str))  # noqa: T201 - this is the output
