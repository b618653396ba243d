"""What a project allows: the table `[tool.normwise]` of its pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normwise.errors import CheckError
from normwise.rules.allowing import Allowance

FILE = "pyproject.toml"
_KEYS = {"rule", "layers", "reason"}


def project_allowances(folder: Path | None = None) -> tuple[Allowance, ...]:
    """The exceptions of the project that a folder belongs to.

    ```toml
    [tool.normwise]
    ignore = ["redundant-bias"]

    [[tool.normwise.allow]]
    rule = "wrong-axis"
    layers = "audio_*"
    reason = "statistics for each frequency are meant here"
    ```

    Args:
        folder: Where to look for pyproject.toml, and above; by default the working folder.

    Raises:
        CheckError: The table can't be read; the file is named.
    """
    start = (folder or Path.cwd()).resolve()
    found = next((p / FILE for p in (start, *start.parents) if (p / FILE).is_file()), None)
    if found is None:
        return ()
    try:
        tools = tomllib.loads(found.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CheckError(f"{found}: {error}.") from error
    try:
        if not isinstance(tools, dict):
            raise CheckError(f"received tool = {tools!r}; expected a table.")
        return tuple(_allowances(tools.get("normwise", {})))
    except CheckError as error:
        raise CheckError(f"{found}: {error}") from error


def _allowances(table: Any) -> Iterator[Allowance]:
    if not isinstance(table, dict) or not set(table) <= {"ignore", "allow"}:
        raise CheckError("[tool.normwise] knows the keys ignore and allow.")
    for text in _list(table.get("ignore", [])):
        if not isinstance(text, str):
            raise CheckError(f"ignore holds {text!r}; expected names of rules.")
        yield Allowance.parse(text)
    for entry in _list(table.get("allow", [])):
        yield _allowance(entry)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise CheckError(f"received {value!r}; expected a list.")
    return value


def _allowance(entry: Any) -> Allowance:
    if (
        not isinstance(entry, dict)
        or not set(entry) <= _KEYS
        or not all(isinstance(value, str) for value in entry.values())
        or not entry.get("rule")
        or not entry.get("reason")
    ):
        raise CheckError(
            f"received {entry!r} in [[tool.normwise.allow]]; expected rule and reason, and layers "
            "where it doesn't hold everywhere, all of them texts."
        )
    return Allowance(**entry)
