"""The trainings behind docs/the-question.md, as far as they were made under the present design."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from answer_design import SETS, Cell, Contrast, Part

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What was measured under the present design.

    Attributes:
        rows: A training each, of the seeds that are wanted.
        parts: The design.
        seeds: How many seeds are wanted.
        outdated: Trainings that were made under another design; they are not shown.
    """

    rows: Sequence[Row]
    parts: Sequence[Part]
    seeds: int
    outdated: int

    @classmethod
    def of(cls, rows: Sequence[Row], parts: Sequence[Part], seeds: int) -> "Results":
        """Takes out what was measured under another design, and with more seeds than wanted."""
        keys = {
            (s.name, part.name, variant.name): part.key(s, variant)
            for s in SETS
            for part in parts
            for variant in part.variants
        }
        known = [r for r in rows if r["key"] == keys.get((r["set"], r["part"], r["variant"]))]
        wanted = [row for row in known if row["seed"] < seeds]
        return cls(wanted, parts, seeds, len(rows) - len(known))

    def of_cell(self, data_set: str, cell: Cell) -> dict[int, Row]:
        """The trainings of a cell on a set, by seed."""
        return {
            row["seed"]: row
            for row in self.rows
            if (row["set"], row["part"], row["variant"]) == (data_set, cell.part, cell.variant)
        }

    def metric(self, data_set: str) -> str:
        """The metric of a set; empty where nothing was measured."""
        return next((str(row["metric"]) for row in self.rows if row["set"] == data_set), "")


def values(rows: Mapping[int, Row]) -> dict[int, float]:
    """The compared numbers by seed; NaN where a training gave none."""
    return {s: math.nan if row["value"] is None else row["value"] for s, row in rows.items()}


def pairs_of(results: Results, contrast: Contrast, data_set: str) -> tuple[list[int], list[int]]:
    """The seeds whose two trainings have the same images, and those whose have others."""
    one, other = (results.of_cell(data_set, cell) for cell in (contrast.one, contrast.other))
    seeds = sorted(one.keys() & other.keys())
    alike = [seed for seed in seeds if one[seed]["images"][-1] == other[seed]["images"][-1]]
    return alike, [seed for seed in seeds if seed not in alike]
