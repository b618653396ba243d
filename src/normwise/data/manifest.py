"""A data set as a table of paths: `manifest.csv`, or any CSV file named in a folder's place."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from normwise.data.dataset import SPLITS, Labels, Split
from normwise.data.layout import Layout, Pair
from normwise.errors import DataError
from normwise.rasters import ImageFiles, stem_of

MANIFEST_NAME = "manifest.csv"
_BAND = "image:"
_COLUMNS: Mapping[Labels, str] = {"masks": "mask", "targets": "target"}
_EXPECTED = (
    "Expected `image` (or `image:BAND` for each band) and `mask` or `target`, and as you like "
    "`name`, `weight`, `split` and `group`"
)


def manifest_of(root: Path) -> Path | None:
    """The manifest of a data set: the file itself, or `manifest.csv` in a folder; or None."""
    if root.suffix.lower() == ".csv" and not root.is_dir():
        return root
    return root / MANIFEST_NAME if (root / MANIFEST_NAME).is_file() else None


def read_manifest(
    path: Path, labels: Labels | None = None, bands: Sequence[str] | None = None
) -> Layout:
    """Reads a manifest.

    Args:
        path: The CSV file; the paths in it are relative to its folder.
        labels: `masks` or `targets`, where it has both.
        bands: The order of the columns `image:BAND`; None: the table's own.

    Returns:
        One pair a line, with its split and group, and every problem with the number of its line.

    Raises:
        DataError: If it can't be read, is empty, or lacks columns.
    """
    rows = _rows(path)
    columns = list(rows[0])
    if labels is not None and labels not in get_args(Labels):
        raise DataError(f"labels={labels!r}: expected `masks` or `targets`.")
    told = [kind for kind, column in _COLUMNS.items() if column in columns]
    images = _image_columns(path, columns, bands)
    chosen = labels or (told[0] if len(told) == 1 else None)
    if chosen not in told or not images:
        both = "holds masks and targets; choose `labels`" if len(told) > 1 else "lacks columns"
        raise DataError(f"{path}: {both}. {_EXPECTED}; found {', '.join(columns)}.")
    reading = _Reading(path, _COLUMNS[chosen], images)
    # Line 1 holds the names of the columns.
    pairs = [reading.pair(row, line) for line, row in enumerate(rows, start=2)]
    some = tuple(pair for pair in pairs if pair is not None)
    problems = (*reading.problems, *reading.unsplit(pairs))
    named = images if len(images) > 1 else ()
    order = tuple(column.removeprefix(_BAND) for column in named)
    return Layout(path.parent, chosen, some, problems, bands=order)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                {key.strip(): (value or "").strip() for key, value in row.items() if key}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise DataError(f"{path}: can't be read as a table ({error}).") from error
    if not rows:
        raise DataError(f"{path}: is empty. {_EXPECTED}.")
    return rows


def _image_columns(path: Path, columns: Sequence[str], bands: Sequence[str] | None) -> list[str]:
    if "image" in columns:
        return ["image"]
    found = [column for column in columns if column.startswith(_BAND)]
    if not bands or not found:
        return found
    wanted = [f"{_BAND}{band}" for band in bands]
    missing = [column for column in wanted if column not in found]
    if missing:
        raise DataError(
            f"{path}: lacks the columns {', '.join(missing)}; their bands stand in dataset.yaml, "
            "or the run was trained with them."
        )
    return wanted


@dataclass
class _Reading:
    path: Path
    label: str
    images: Sequence[str]
    problems: list[str] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def pair(self, row: Mapping[str, str], line: int) -> Pair | None:
        """The files of a line; None where one is missing, which is a problem."""
        before = len(self.problems)
        files = [
            self._file(text, column, line)
            for column in self.images
            for text in (row[column].split(";") if row[column] else [""])
        ]
        label = self._file(row[self.label], self.label, line)
        weight = self._file(row["weight"], "weight", line) if row.get("weight") else None
        split = self._split(row.get("split", ""), line)
        if len(self.problems) > before:
            return None
        image: ImageFiles = tuple(files) if len(files) > 1 else files[0]
        name = row.get("name") or stem_of(files[0])
        if self.names.setdefault(name, line) != line:
            self._add(line, f"the name {name} stands in line {self.names[name]} as well")
            return None
        return Pair(name, image, label, split, weight, row.get("group") or None)

    def unsplit(self, pairs: Sequence[Pair | None]) -> list[str]:
        """Lines without a split beside lines with one."""
        if not any(pair and pair.split for pair in pairs):
            return []
        return [
            f"{self.path.name}:{line}: has no split; the others do"
            for line, pair in enumerate(pairs, start=2)
            if pair is not None and pair.split is None
        ]

    def _file(self, text: str, column: str, line: int) -> Path:
        path = self.path.parent / text.strip()
        if not text.strip():
            self._add(line, f"`{column}` names no file")
        elif not path.exists():
            self._add(line, f"{text.strip()} does not exist")
        return path

    def _split(self, text: str, line: int) -> Split | None:
        if text and text not in SPLITS:
            self._add(line, f"{text!r} is no split; expected {', '.join(SPLITS)}")
        return text if text in SPLITS else None

    def _add(self, line: int, problem: str) -> None:
        self.problems.append(f"{self.path.name}:{line}: {problem}")
