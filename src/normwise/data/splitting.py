"""Which image trains, which validates and which tests."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from normwise.data.dataset import SPLITS, Split
from normwise.data.folds import folds_of
from normwise.data.layout import Layout, Pair
from normwise.data.split_table import Entry, read_split_table
from normwise.errors import DataError
from normwise.rasters import stem_of, suffix_of

_FEWEST = 3
"""Training images; of fewer none is spared, a part of each validates."""

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


def divide(
    layout: Layout, validation: float, seed: int, fold: tuple[int, int] | None = None
) -> Division:
    """Gives every pair its split: from `split.csv`, from the folders of splits, or automatically.

    A table of groups alone leaves the splits as they are without it.

    Args:
        layout: The pairs of the folder.
        validation: The share of the training images that validate where the folder doesn't say.
            Images of one group stay together.
        seed: For the choice of those images, and for the folds.
        fold: (2, 5) for the second of five folds: its images validate, and all others that don't
            test train. None: no folds.

    Returns:
        The division; its problems are not raised.

    Raises:
        DataError: If the CSV file can't be read, `validation` is no share, or there are fewer
            groups of images than folds.
    """
    if not 0 <= validation < 1:
        raise DataError(f"validation={validation}: expected a share from 0 to below 1.")
    table = read_split_table(layout.root)
    if table is None:
        division = _as_found(layout.pairs)
    elif any(entry.group for entry in table) and not any(entry.split for entry in table):
        division = _in_groups(layout, table)
    else:
        division = _as_told(layout, table)
    if fold is not None:
        return _in_fold(division, *fold, seed)
    return _with_validation(division, validation, seed)


def _as_told(layout: Layout, table: Sequence[Entry]) -> Division:
    known = {pair.name for pair in layout.pairs}
    problems: list[str] = []
    chosen: dict[str, Split] = {}
    groups = _groups(layout, table, problems)
    named: set[str] = set()
    for written, spoken, _ in table:
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
    told = [
        replace(pair, split=chosen.get(pair.name), group=groups.get(pair.name))
        for pair in layout.pairs
    ]
    return Division(tuple(told), (*problems, *_separated(told)))


def _in_groups(layout: Layout, table: Sequence[Entry]) -> Division:
    """The splits of the folder, or none yet, with the groups of a table that names no split."""
    known = {pair.name for pair in layout.pairs} | layout.alone
    problems: list[str] = []
    groups = _groups(layout, table, problems)
    problems += [
        f"{entry.name}: stands in the split table, but is no image with a label"
        for entry in table
        if _stem(entry.name, known) not in known
    ]
    told = [replace(pair, group=groups.get(pair.name, pair.group)) for pair in layout.pairs]
    division = _as_found(told)
    return replace(division, problems=(*problems, *division.problems))


def _groups(layout: Layout, table: Sequence[Entry], problems: list[str]) -> dict[str, str]:
    """By name the group of each image that has one; the problems get those that have two."""
    known = {pair.name for pair in layout.pairs} | layout.alone
    groups: dict[str, str] = {}
    for written, _, group in table:
        name = _stem(written, known)
        if group and groups.setdefault(name, group) != group:
            problems.append(f"{name}: stands in two groups, {groups[name]} and {group}")
    return groups


def _separated(pairs: Sequence[Pair]) -> list[str]:
    """Groups that stand on both sides of a split: their images are too alike to test each other."""
    found: dict[str, dict[Split, str]] = {}
    for pair in pairs:
        if pair.group is not None and pair.split is not None:
            found.setdefault(pair.group, {}).setdefault(pair.split, pair.name)
    return [
        f"group {group}: stands in {len(splits)} splits, "
        + " and ".join(f"{split} ({name})" for split, name in splits.items())
        for group, splits in found.items()
        if len(splits) > 1
    ]


def _stem(written: str, known: Collection[str]) -> str:
    # A stem may itself hold dots, so the whole name goes first.
    path = Path(written)
    return stem_of(path) if written not in known and suffix_of(path) else written


def _as_found(pairs: Sequence[Pair]) -> Division:
    first: dict[str, Pair] = {}
    problems = []
    for pair in pairs:
        twin = first.setdefault(pair.name, pair)
        if twin.split != pair.split:
            problems.append(f"{pair.name}: stands in two splits, {twin.split} and {pair.split}")
    return Division(
        tuple(replace(pair, split=pair.split or "train") for pair in pairs),
        (*problems, *_separated(pairs)),
    )


def _in_fold(division: Division, fold: int, folds: int, seed: int) -> Division:
    if not 1 <= fold <= folds:
        raise DataError(f"fold {fold} of {folds}: expected a fold from 1 to {folds}.")
    pool = {pair.name: pair.together for pair in division.pairs if pair.split != "test"}
    chosen = folds_of(pool, folds, seed)
    validating = {name for name, own in chosen.items() if own == fold}
    note = f"fold {fold} of {folds}: {len(validating)} of {len(pool)} images validate, seed {seed}"
    return _marked(division, set(pool) - validating, validating, note)


def _with_validation(division: Division, validation: float, seed: int) -> Division:
    train = [pair for pair in division.pairs if pair.split == "train"]
    if not train or validation == 0 or any(pair.split == "val" for pair in division.pairs):
        return division
    if len({pair.together for pair in train}) < _FEWEST:
        return _validate_on_blocks(division, len(train), validation)
    wanted = max(1, round(len(train) * validation))
    chosen = _spared(train, wanted, seed)
    note = f"{len(chosen)} of {len(train)} training images validate, chosen by seed {seed}"
    if abs(len(chosen) - wanted) > wanted / 2:
        note += f"; {wanted} were wanted, but images of one group stay together"
    return _marked(division, set(), chosen, note)


def _spared(train: Sequence[Pair], wanted: int, seed: int) -> set[str]:
    """The images of whole groups, drawn until there are about as many as wanted; never all groups.

    A group that would be too many is passed over while others are left. The smallest of those comes
    in at last if that is nearer to what is wanted, or no other is there.
    """
    members: dict[str, list[str]] = {}
    for pair in sorted(train, key=lambda pair: pair.name):
        members.setdefault(pair.together, []).append(pair.name)
    order = np.random.default_rng(np.random.SeedSequence([seed, len(train)])).permutation(
        sorted(members)
    )
    chosen: set[str] = set()
    passed: list[str] = []
    groups = 0
    for group in order.tolist():
        if groups < len(members) - 1 and len(chosen) + len(members[group]) <= wanted:
            chosen |= set(members[group])
            groups += 1
        else:
            passed.append(group)
    smallest = min((members[group] for group in passed), key=len)
    nearer = len(smallest) < 2 * (wanted - len(chosen))
    return chosen | set(smallest) if not chosen or (nearer and len(passed) > 1) else chosen


def _marked(
    division: Division, training: Collection[str], validating: Collection[str], note: str
) -> Division:
    """The division with images that train and that validate; the others stay as they are."""
    told: dict[str, Split] = dict.fromkeys(training, "train")
    told.update(dict.fromkeys(validating, "val"))
    pairs = tuple(
        pair if pair.split == "test" else replace(pair, split=told.get(pair.name, pair.split))
        for pair in division.pairs
    )
    return replace(division, pairs=pairs, notes=(*division.notes, note))


def _validate_on_blocks(division: Division, count: int, share: float) -> Division:
    images = "the only training image" if count == 1 else f"each of the {count} training images"
    note = (
        f"the last {share:.0%} of {images} validates: too few to spare a whole one. Neighbours are "
        "alike, so scores are somewhat too good"
    )
    return replace(division, block_share=share, notes=(*division.notes, note))
