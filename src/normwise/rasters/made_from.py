"""What the pieces of an image, or an output, are made from, and whether it is the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from normwise.errors import RasterError

ABOUT: Final = "about.json"
SHOWN: Final = 40
"""Characters of a value that a message shows; longer ones are named alone."""


def refuse_other(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuses pieces that are made from something else.

    Args:
        folder: Where; see `partial_folder`.
        about: What they should be made from.

    Raises:
        RasterError: They are, or don't say it.
    """
    other = differences(read_about(folder), about)
    if other:
        raise RasterError(
            f"{folder}: holds an interrupted prediction with another {other}. Give the same to go "
            "on, or begin anew with --overwrite."
        )


def differences(found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What differs in what two things are made from, in words; empty if nothing does.

    Args:
        found: What the one is made from, as it was written to a file and read again.
        about: What the other is.
    """
    keys = sorted({*found, *about})
    # As text: NaN is unlike itself, and tuples become lists on their way through a file.
    before, now = (
        {key: json.dumps(own.get(key), sort_keys=True) for key in keys} for own in (found, about)
    )
    return ", ".join(_told(key, before[key], now[key]) for key in keys if before[key] != now[key])


def read_about(folder: Path) -> dict[str, Any]:
    """What pieces are made from.

    Args:
        folder: Where; see `partial_folder`.

    Raises:
        RasterError: It can't be read.
    """
    path = folder / ABOUT
    with reading(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.{SHOWN}}, no mapping")
        return found


def _told(key: str, before: str, now: str) -> str:
    """What differs, with the values if they are short."""
    if max(len(before), len(now)) > SHOWN:
        return key
    return f"{key} ({before} before, {now} now)"


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns what a damaged file raises into an error that says how to begin anew."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise RasterError(
            f"{file}: can't be read ({error}); begin anew with --overwrite."
        ) from error
