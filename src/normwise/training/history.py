"""What was measured after each epoch, kept as a table of numbers."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from normwise.errors import RunError
from normwise.files import write_text

Row = Mapping[str, float]
History = tuple[Row, ...]


def write_history(path: Path, history: History) -> None:
    """Writes the history as CSV, whole or not at all; undefined numbers are empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(history[0]) if history else ["epoch"]
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in history)
    write_text(path, text.getvalue())


def read_history(path: Path) -> History:
    """Reads what `write_history` wrote.

    Raises:
        RunError: If the file is missing or holds anything but numbers.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(
                {column: float(cell) if cell else math.nan for column, cell in row.items()}
                for row in csv.DictReader(file)
            )
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"The history {path} can't be read: {error}.") from None


def _cell(value: float) -> str:
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    return str(int(value)) if float(value).is_integer() else repr(float(value))
