"""Validation on a part of each training image, where there are too few images to spare one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import cut, sizes_of
from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source
from normwise.data.statistics import label_windows
from normwise.errors import DataError

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """The items of a data set, each that trains as two, and what was decided for that."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Cut:
    """Where an image is divided: `kept` lines train, the others validate.

    `labels` says of each target whether it has labels on both sides; of masks there is one entry.
    """

    axis: int
    kept: int
    labels: tuple[bool, ...]


def with_validation_blocks(dataset: Dataset, share: float) -> Blocks:
    """Cuts the end off every training image, across its longest side, and validates there.

    Where labels are uneven, so that one of the parts would have less than half of its share of
    them, the image is cut so that its last labels validate, across whichever side suits best. The
    two parts never share a pixel, but they are neighbours: scores are better than those of
    another place would be.

    Args:
        dataset: A data set in which nothing validates.
        share: The share of each training image that validates, above 0 and below 1.

    Returns:
        The items, each training item as two: `train` and `val`. One of a single pixel stays
        whole, and validates as well.

    Raises:
        DataError: If no image can be cut so that labels stand on both sides.
        RasterError: If a label can't be read.
    """
    items: list[Item] = []
    uneven: list[str] = []
    labelled = False
    with Source(dataset, dataset.items, cache_bytes=0) as source:
        for item in dataset.items:
            if item.split != "train":
                items.append(item)
                continue
            lines = _labels_along(source, item)
            usual = _usual(lines, share)
            chosen = usual if _even(lines, usual, share) else _by_labels(lines, share) or usual
            items += _parts(item, chosen)
            uneven += [item.name] if chosen != usual else []
            labelled |= any(chosen.labels)
    if not labelled:
        raise DataError(
            f"{dataset.root}: no training image can be cut into a part that trains and one that "
            "validates with labels in both. Label more pixels, or name images that validate in "
            "split.csv."
        )
    return Blocks(tuple(items), tuple(_note(name, share) for name in uneven))


def _note(name: str, share: float) -> str:
    return f"{name}: its labels are uneven; it is cut where the last {share:.0%} of them validate"


def _labels_along(source: Source, item: Item) -> list[Counts]:
    """For each axis, how many labels of each target every line across it has: `(side, targets)`."""
    outputs = source.dataset.outputs if source.dataset.task == "regression" else 1
    found = [np.zeros((side, outputs), np.int64) for side in sizes_of(item)]
    for window in label_windows(source.dataset, item):
        known = _known(source, item, window)
        for axis, lines in enumerate(found):
            others = tuple(other for other in range(len(found)) if other != axis)
            lines[window[axis]] += known.sum(axis=others)
    return found


def _known(source: Source, item: Item, window: tuple[slice, ...]) -> NDArray[np.bool_]:
    if source.dataset.task == "segmentation":
        labelled: NDArray[np.bool_] = source.classes(item, *window) != source.dataset.ignore
        return labelled[..., None]
    targets, unlabelled = source.targets(item, *window)
    return np.ones(targets.shape, np.bool_) if unlabelled is None else ~unlabelled


def _usual(lines: Sequence[Counts], share: float) -> _Cut:
    """Across the longest side; lines are never divided, and each part has one if there are two."""
    axis = max(range(len(lines)), key=lambda axis: len(lines[axis]))
    side = len(lines[axis])
    kept = min(max(round(side * (1 - share)), 1), max(side - 1, 1))
    if side == 1:
        return _Cut(axis, kept, tuple((lines[axis].sum(0) > 0).tolist()))
    before, total = lines[axis][:kept].sum(0), lines[axis].sum(0)
    return _Cut(axis, kept, tuple(((before > 0) & (before < total)).tolist()))


def _even(lines: Sequence[Counts], usual: _Cut, share: float) -> bool:
    counts = lines[usual.axis]
    before, total = counts[: usual.kept].sum(0), counts.sum(0)
    enough = (before >= (1 - share) * total / 2) & (total - before >= share * total / 2)
    return len(counts) == 1 or bool(enough.all())


def _by_labels(lines: Sequence[Counts], share: float) -> _Cut | None:
    """Where about that share of each target's labels is beyond; None if labels are on one side."""
    best: tuple[float, _Cut] | None = None
    # Of sides that suit as well the longest goes first, as usual.
    for axis in sorted(range(len(lines)), key=lambda axis: -len(lines[axis])):
        before = lines[axis].cumsum(0)[:-1]
        total = lines[axis].sum(0)
        both = (before > 0) & (before < total)
        apart = np.abs(before / np.maximum(total, 1) - (1 - share))
        # A target without labels on a side is worse than any uneven one.
        worth = np.where(total > 0, apart + ~both, 0.0).sum(1)
        if not both.any():
            continue
        place = int(worth.argmin())
        found = _Cut(axis, place + 1, tuple(both[place].tolist()))
        if any(found.labels) and (best is None or worth[place] < best[0]):
            best = float(worth[place]), found
    return best[1] if best else None


def _parts(item: Item, where: _Cut) -> list[Item]:
    side = sizes_of(item)[where.axis]
    if where.kept == side:
        return [item, replace(item, split="val")]
    end = cut(item, where.axis, where.kept, side - where.kept)
    return [cut(item, where.axis, 0, where.kept), replace(end, split="val")]
