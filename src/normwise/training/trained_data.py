"""Which data a run was trained on: a fingerprint, and which image stood in which split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from normwise.data.blocks import whole_images
from normwise.data.content_hash import content_hash
from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.errors import DataError, RunError
from normwise.json_files import read_json, write_json
from normwise.training.run_files import DATA

_NAMED: Final = 3

log = logging.getLogger("normwise.training")


@dataclass(frozen=True)
class ImagePart:
    """An image, or the part of one that trains or validates.

    Attributes:
        name: The image.
        origin: Where the part begins in it, one number an axis; empty where it begins with it.
        shape: Pixels along each axis.
    """

    name: str
    origin: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, item: Item) -> Self:
        """Where an item of a data set stands."""
        return cls(item.name, tuple(item.origin), item.shape)


@dataclass(frozen=True)
class TrainedData:
    """The data of a run as they were when it began.

    Attributes:
        fingerprint: A short name of what the files held.
        splits: The images of each split.
    """

    fingerprint: str
    splits: Mapping[str, tuple[ImagePart, ...]] = field(repr=False)

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """What a data set is now."""
        parts = (tuple(map(ImagePart.of, dataset.split(split))) for split in SPLITS)
        return cls(content_hash(dataset), dict(zip(SPLITS, parts, strict=True)))

    def write(self, folder: Path) -> None:
        """Writes it into a run folder."""
        splits = {
            split: [[part.name, part.origin, part.shape] for part in parts]
            for split, parts in self.splits.items()
        }
        write_json(folder / DATA, {"fingerprint": self.fingerprint, "splits": splits}, indent=0)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What a run folder says; None where it says nothing.

        Raises:
            RunError: If the file holds something else.
        """
        path = folder / DATA
        if not path.is_file():
            return None
        return read_json(path, cls._of, "It says which images trained; start a new run.")

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            str(content["fingerprint"]),
            {
                split: tuple(
                    ImagePart(str(name), tuple(origin), tuple(shape))
                    for name, origin, shape in content["splits"][split]
                )
                for split in SPLITS
            },
        )

    def restored(self, dataset: Dataset, split: str) -> Dataset:
        """A data set in which the very images that a split had are in it, whatever came since.

        Args:
            dataset: The data as they are now.
            split: `train`, `val` or `test`.

        Raises:
            DataError: If one of those images is gone, or smaller than it was.
        """
        known = {item.name: item for item in whole_images(dataset.items)}
        gone = [p.name for p in self.splits[split] if not _holds(known.get(p.name), p)]
        if gone:
            raise DataError(
                f"{dataset.root}: {_some(gone)} of the images that were {split!r} when the run was "
                "trained can't be measured: they are gone, or smaller than they were. Put them "
                "back, or measure the run on `test`."
            )
        own = tuple(_item(known[part.name], part, split) for part in self.splits[split])
        others = tuple(item for item in dataset.items if item.split != split)
        return replace(dataset, items=(*others, *own))


def refuse_other_data(dataset: Dataset, folder: Path) -> None:
    """Refuses to go on with a run whose data have changed.

    Images that trained would validate, and the scaling would be another one.

    Args:
        dataset: The data as they are now.
        folder: The run folder; one of an older version says nothing about them.

    Raises:
        RunError: If files, images or their splits are others.
    """
    was, now = TrainedData.read(folder), TrainedData.of(dataset)
    if was is None or was == now:
        return
    raise RunError(
        f"The data of the run in {folder} have changed since it began: the fingerprint of "
        f"{dataset.root} is {now.fingerprint}, was {was.fingerprint} ({_changes(was, now)}). "
        "Put the data back as they were and resume, or start a new run on them in another folder."
    )


def warn_of_changes(was: TrainedData, now: TrainedData, root: Path) -> None:
    """Logs that the data in a folder have changed since a run was trained on them."""
    if was.fingerprint != now.fingerprint:
        log.warning(
            "%s has changed since the run was trained: its fingerprint is %s, was %s (%s). It is "
            "measured on the images of then.",
            root, now.fingerprint, was.fingerprint, _changes(was, now, splits=False),
        )  # fmt: skip


def _changes(was: TrainedData, now: TrainedData, splits: bool = True) -> str:
    """What differs; `splits` says whether those that were drawn anew count."""
    before, after = _by_name(was), _by_name(now)
    new = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    moved = [name for name in after if name in before and after[name] != before[name]]
    found = [
        f"{what}: {_some(names)}"
        for what, names in (("new", new), ("gone", gone), ("split otherwise", moved))
        if names and (splits or names is not moved)
    ]
    return "; ".join(found) or "the content of files differs"


def _by_name(data: TrainedData) -> dict[str, frozenset[tuple[str, ImagePart]]]:
    """For each image its splits, with what stands in them."""
    found: dict[str, frozenset[tuple[str, ImagePart]]] = {}
    for split, parts in data.splits.items():
        for part in parts:
            found[part.name] = found.get(part.name, frozenset()) | {(split, part)}
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _holds(item: Item | None, part: ImagePart) -> bool:
    if item is None or len(item.shape) != len(part.shape):
        return False
    begins = part.origin or (0,) * len(part.shape)
    sides = zip(begins, part.shape, item.shape, strict=True)
    return all(begin + side <= size for begin, side, size in sides)


def _item(item: Item, part: ImagePart, split: Any) -> Item:
    *depth, height, width = part.shape
    return replace(
        item,
        split=split,
        origin=part.origin,
        depth=depth[0] if depth else None,
        height=height,
        width=width,
    )
