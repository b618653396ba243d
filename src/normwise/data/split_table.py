"""The table that says which image trains, validates or tests, and which images belong together."""

import csv
from pathlib import Path
from typing import NamedTuple

from normwise.errors import DataError

SPLIT_NAME = "split.csv"


class Entry(NamedTuple):
    """One line of the table, as it is written; `split` and `group` are empty where it has none."""

    name: str
    split: str
    group: str = ""


def read_split_table(root: Path) -> list[Entry] | None:
    """Reads the split table of a data folder.

    Args:
        root: The folder.

    Returns:
        The lines of its `split.csv`; None if it has none.

    Raises:
        DataError: If the file can't be read, or lacks the column `name` or both of the others.
    """
    path = root / SPLIT_NAME
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: can't be read as a table ({error}).") from error
    if not rows:
        raise DataError(
            f"{path}: is empty. Expected a line `name,split`, `name,group` or `name,split,group`, "
            "and one line an image."
        )
    columns = rows[0].keys()
    if "name" not in columns or not {"split", "group"} & columns:
        found = ", ".join(str(name) for name in columns)
        raise DataError(
            f"{path}: expected the columns `name` and `split`, `group` or both, found {found}."
        )
    return [Entry(*((row.get(key) or "").strip() for key in Entry._fields)) for row in rows]
