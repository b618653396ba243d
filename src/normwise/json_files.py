"""JSON files: written whole, with null for what is no number; read with errors that name them."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from normwise.errors import RunError
from normwise.files import as_utf8, write_text

Made = TypeVar("Made")


def json_text(value: Any, indent: int = 2) -> str:
    """A value as JSON that any parser reads: numbers that JSON doesn't have are null.

    Args:
        value: Plain values, mappings, lists and tuples.
        indent: Blanks in front of each level.

    Returns:
        The text, its line's end included.
    """
    return json.dumps(nulled(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any, indent: int = 2) -> None:
    """Writes a JSON file, whole or not at all.

    Args:
        path: The file; one that is there is replaced.
        value: As for `json_text`. Names of files that are not UTF-8 come back as they were.
        indent: Blanks in front of each level.
    """
    write_text(path, as_utf8(json_text(value, indent)))


def read_json(path: Path, make: Callable[[Any], Made], remedy: str) -> Made:
    """What a JSON file of ours stands for.

    Args:
        path: The file.
        make: Makes it of the file's content.
        remedy: What to do about a file that can't be read, in a sentence.

    Raises:
        RunError: If the file can't be read, or holds something else.
    """
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} can't be read: {type(error).__name__} {error}. {remedy}") from None


def nulled(value: Any) -> Any:
    """The same in mappings and lists, with None for each number that isn't finite."""
    if isinstance(value, Mapping):
        return {key: nulled(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [nulled(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name as they were before `nulled`: NaN for null."""
    return {name: math.nan if value is None else value for name, value in row.items()}
