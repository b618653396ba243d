"""What a model is checked on, beside its graph: light, as most checks have no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from normwise.errors import CheckError

LIMIT = 64
"""Samples that are looked at, where nobody says how many."""


@dataclass(frozen=True)
class Data:
    """What a model is checked on.

    Attributes:
        source: A folder, an array of samples, or batches.
        new: Whether the data are not of the training; None: the run or the model's scaling tells.
        limit: Samples that are looked at, at most.
        nodata: The value of missing pixels beside NaN.
        bands: For a folder: channels to use, from 0.
        tile: For a folder: rows and columns of a sample.
        progress: Say how it goes.

    Raises:
        CheckError: An impossible limit or tile.
    """

    source: Any
    new: bool | None = None
    limit: int = LIMIT
    nodata: float | None = None
    bands: Sequence[int] | None = None
    tile: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("limit", "tile"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole and value >= 1) and (name == "limit" or value is not None):
                raise CheckError(f"check: {name} is {value!r}; expected a whole number, 1 or more.")


def refuse_without_data(
    data: Any,
    new_data: bool | None,
    limit: int,
    nodata: float | None,
    bands: Sequence[int] | str | None,
    tile: int | None,
) -> None:
    """Says that a setting of the data would do nothing, as there are none.

    Raises:
        CheckError: A setting other than the default, without data.
    """
    told = {
        "new_data": new_data is not None,
        "limit": limit != LIMIT,
        "nodata": nodata is not None,
        "bands": bands is not None,
        "tile": tile is not None,
    }
    without = [name for name, given in told.items() if given]
    if data is None and without:
        raise CheckError(
            f"check: got {', '.join(without)} without data, where nothing would be done with it; "
            "say which data (data=, --data FOLDER), or leave it out."
        )
