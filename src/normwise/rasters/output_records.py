"""What outputs are made from: a small file for each, in a hidden folder beside them.

It is written when an output is whole and on the disk, right before that gets its name. So none of
ours stands there without it. A process that is killed in between leaves a record of an output that
never came. Each record tells its output's bytes and time, so that this is seen; and it goes on
telling of the output that stood there before, as long as that does.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from normwise.errors import NormwiseError
from normwise.files import write_text
from normwise.rasters.beside import stamp_of

log = logging.getLogger("normwise.inference")

FOLDER: Final = ".normwise"
_LONGEST: Final = 200
"""Bytes of a name that room is left behind, of the 255 that file systems take."""

_said: set[Path] = set()


def remember(out: Path, whole: Path, about: Mapping[str, Any]) -> None:
    """Says what an output is made from, before it gets its name.

    Args:
        out: The output; what is there now may be replaced, or not.
        whole: The same under a temporary name, whole and on the disk.
        about: What it is made from; anything that JSON holds.

    Raises:
        OSError: The disk is full. That the hidden folder can't be written to is only logged.
    """
    before = [{"output": _stamp(out), "about": told} for told in remembered(out)]
    content = [{"output": _stamp(whole), "about": about}, *before]
    try:
        write_text(_record(out), json.dumps(content, indent=1, sort_keys=True) + "\n")
    except (PermissionError, NormwiseError) as error:
        _say_unwritten(out.parent / FOLDER, error)


def remembered(out: Path) -> Sequence[Mapping[str, Any]]:
    """What the output that is there is made from.

    Args:
        out: The output.

    Returns:
        What it can be made from, which is one thing, unless two outputs of the same size took each
        other's place within what the file system calls the same time; nothing where no record
        tells.
    """
    try:
        stamp = _stamp(out)
        content = json.loads(_record(out).read_text(encoding="utf-8"))
        return [dict(one["about"]) for one in content if one["output"] == stamp]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _say_unwritten(folder: Path, why: Exception) -> None:
    """Says it once of a folder: in one that users share it may be somebody else's."""
    if folder in _said:
        return
    _said.add(folder)
    log.warning(
        "%s: can't be written to (%s), so that --resume won't know what outputs beside it were "
        "made from.", folder, why,
    )  # fmt: skip


def _record(out: Path) -> Path:
    name = os.fsencode(out.name)
    short = out.name if len(name) <= _LONGEST else sha256(name).hexdigest()
    return out.parent / FOLDER / f"{short}.json"


def _stamp(path: Path) -> list[Any]:
    """Its bytes and time, which stay with it when it gets another name."""
    return list(stamp_of(path)[1:])
