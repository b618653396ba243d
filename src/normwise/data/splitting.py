"""Which image trains, which validates and which tests."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from normwise.data.dataset import SPLITS, Split
from normwise.data.layout import Layout, Pair
from normwise.errors import DataError
from normwise.rasters import SUFFIXES

SPLIT_NAME = "split.csv"
_FEWEST = 3
"""Training images; of fewer none is spared, a part of each validates."""

Splits = Mapping[str, str] | str | PathLike[str]

_SPOKEN: dict[str, Split] = {
    **{split: split for split in SPLITS},
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
}


@dataclass(frozen=True)
class Division:
    """The pairs with their splits, what is wrong with them, and what was decided.

    A pair whose split is a problem has None, so that its files are examined all the same.
    `block_share` is the share of each training image that validates, 0 if whole images do.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    block_share: float = 0.0


def divide(layout: Layout, splits: Splits | None, validation: float, seed: int) -> Division:
    """Gives every pair its split.

    Args:
        layout: The pairs of the folder.
        splits: From name to split, or a CSV file that says so. None: `split.csv`, the folders
            `train/`, `val/` and `test/`, or else an automatic split.
        validation: The share of the training images that validate where the folder doesn't say.
        seed: For the choice of those images.

    Returns:
        The division; its problems are not raised.

    Raises:
        DataError: If the CSV file can't be read, or `validation` is no share.
    """
    if not 0 <= validation < 1:
        raise DataError(f"validation={validation}: expected a share from 0 to below 1.")
    table = _table(layout.root, splits)
    division = _as_told(layout, table) if table is not None else _as_found(layout.pairs)
    return _with_validation(division, validation, seed)


def _table(root: Path, splits: Splits | None) -> list[tuple[str, str]] | None:
    if isinstance(splits, Mapping):
        return list(splits.items())
    if splits is None and not (root / SPLIT_NAME).is_file():
        return None
    return _read_table(Path(splits) if splits is not None else root / SPLIT_NAME)


def _read_table(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: can't be read as a table ({error}).") from error
    if not rows:
        raise DataError(f"{path}: is empty. Expected a line `name,split` and one line an image.")
    if not {"name", "split"} <= rows[0].keys():
        found = ", ".join(str(name) for name in rows[0])
        raise DataError(f"{path}: expected the columns `name` and `split`, found {found}.")
    return [((row["name"] or "").strip(), (row["split"] or "").strip()) for row in rows]


def _as_told(layout: Layout, table: Iterable[tuple[str, str]]) -> Division:
    known = {pair.name for pair in layout.pairs}
    problems: list[str] = []
    chosen: dict[str, Split] = {}
    named: set[str] = set()
    for written, spoken in table:
        name = _stem(written, known | layout.alone)
        split = _SPOKEN.get(spoken.lower())
        named.add(name)
        if split is None:
            problems.append(f"{written}: {spoken!r} is no split; expected {', '.join(SPLITS)}")
        elif name in layout.alone:
            continue  # The layout's own problem says so already.
        elif name not in known:
            problems.append(f"{written}: stands in the split table, but is no image with a label")
        elif chosen.setdefault(name, split) != split:
            problems.append(f"{name}: stands in two splits, {chosen[name]} and {split}")
    problems += [
        f"{name}: has no split; add it to the split table" for name in sorted(known - named)
    ]
    told = [replace(pair, split=chosen.get(pair.name)) for pair in layout.pairs]
    return Division(tuple(told), tuple(problems))


def _stem(written: str, known: set[str]) -> str:
    # A stem may itself hold dots, so the whole name goes first.
    path = Path(written)
    return path.stem if written not in known and path.suffix.lower() in SUFFIXES else written


def _as_found(pairs: Sequence[Pair]) -> Division:
    first: dict[str, Pair] = {}
    problems = []
    for pair in pairs:
        twin = first.setdefault(pair.name, pair)
        if twin.split != pair.split:
            problems.append(f"{pair.name}: stands in two splits, {twin.split} and {pair.split}")
    return Division(
        tuple(replace(pair, split=pair.split or "train") for pair in pairs), (*problems,)
    )


def _with_validation(division: Division, validation: float, seed: int) -> Division:
    train = sorted(pair.name for pair in division.pairs if pair.split == "train")
    if not train or validation == 0 or any(pair.split == "val" for pair in division.pairs):
        return division
    if len(train) < _FEWEST:
        return _validate_on_blocks(division, len(train), validation)
    count = min(len(train) - 1, max(1, round(len(train) * validation)))
    order = np.random.default_rng(np.random.SeedSequence([seed, len(train)])).permutation(train)
    chosen = set(order[:count].tolist())
    pairs = tuple(
        replace(pair, split="val") if pair.split == "train" and pair.name in chosen else pair
        for pair in division.pairs
    )
    note = f"{count} of {len(train)} training images validate, chosen by seed {seed}"
    return replace(division, pairs=pairs, notes=(*division.notes, note))


def _validate_on_blocks(division: Division, count: int, share: float) -> Division:
    images = "the only training image" if count == 1 else f"each of the {count} training images"
    note = (
        f"the last {share:.0%} of {images} validates: too few to spare a whole one. Neighbours are "
        "alike, so scores are somewhat too good"
    )
    return replace(division, block_share=share, notes=(*division.notes, note))
