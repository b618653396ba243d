"""Which files of a data folder belong together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from normwise.data.dataset import SPLITS, Labels, Split
from normwise.data.image_files import by_stem, images_of
from normwise.data.reading import Reading
from normwise.errors import DataError
from normwise.rasters import SUFFIXES, ImageFiles

IMAGES = "images"
WEIGHTS = "weights"
_EXPECTED = (
    "Expected `images/` with `masks/` or `targets/`, or folders `train/`, `val/` and `test/` "
    "that hold them."
)


@dataclass(frozen=True)
class Pair:
    """An image, its label and, where the folder has them, its weights, matched by stem.

    `split` is None until it is decided. Pairs of one `group` are too alike to stand on both sides
    of a split.
    """

    name: str
    image: ImageFiles
    label: Path
    split: Split | None = None
    weight: Path | None = None
    group: str | None = None

    @property
    def together(self) -> str:
        """What it shares with the pairs that must stay on its side of a split."""
        return f"image {self.name}" if self.group is None else f"group {self.group}"


@dataclass(frozen=True)
class Layout:
    """The pairs of a folder, and the files that have no partner as problems, with their names.

    `bands` are those of images of several files, in the order of the files, where they are named.
    """

    root: Path
    labels: Labels
    pairs: tuple[Pair, ...]
    problems: tuple[str, ...]
    alone: frozenset[str] = frozenset()
    bands: tuple[str, ...] = ()


def find_layout(root: Path, labels: Labels | None = None, reading: Reading | None = None) -> Layout:
    """Matches the images of a folder with their labels.

    Args:
        root: The data folder.
        labels: `masks` or `targets`, where the folder has both.
        reading: The pattern and the bands of images of several files.

    Returns:
        The pairs, and a problem for each file without a partner and each band that is missing.

    Raises:
        DataError: If the folder has another layout, or holds both kinds of labels and none was
            chosen.
    """
    if not root.is_dir():
        raise DataError(f"{root}: {'is a file' if root.exists() else 'no such folder'}.")
    sections = _sections(root)
    chosen = _labels(root, list(sections.values()), labels)
    pairs: list[Pair] = []
    problems: list[str] = []
    alone: set[str] = set()
    orders: dict[Path, tuple[str, ...]] = {}
    for section, split in ((folder, split) for split, folder in sections.items()):
        wrong: list[str] = []
        images = images_of(root, section / IMAGES, reading or Reading(), wrong)
        found, left = _pairs_in(root, section, images.files, chosen, split, wrong)
        pairs += found
        problems += wrong
        alone |= left
        orders |= {section: images.bands} if images.bands else {}
        if split and not found and not wrong:
            problems.append(f"{section.relative_to(root)}: holds no images")
    if not pairs and not problems:
        raise DataError(f"{root}: holds no images ({', '.join(SUFFIXES)}).")
    problems += _other_bands(root, orders)
    order = next(iter(orders.values()), ())
    return Layout(root, chosen, tuple(pairs), tuple(problems), frozenset(alone), order)


def _other_bands(root: Path, orders: Mapping[Path, tuple[str, ...]]) -> list[str]:
    """Folders whose images of several files have other bands than those of the first one."""
    told = [(section.relative_to(root) / IMAGES, bands) for section, bands in orders.items()]
    first, usual = told[0] if told else (root, ())
    return [
        f"{place}: has the bands {', '.join(bands)}, but {first} has {', '.join(usual)}"
        for place, bands in told[1:]
        if bands != usual
    ]


def _sections(root: Path) -> dict[Split | None, Path]:
    """The folders that hold `images/`: the root, or one for each split."""
    flat = (root / IMAGES).is_dir()
    parts: dict[Split | None, Path] = {
        split: root / split for split in SPLITS if (root / split / IMAGES).is_dir()
    }
    if flat and parts:
        raise DataError(
            f"{root}: holds both `images/` and `{next(iter(parts))}/images/`. Keep one of them."
        )
    if not flat and not parts:
        raise DataError(f"{root}: is no data folder. {_EXPECTED}")
    return {None: root} if flat else parts


def _labels(root: Path, sections: list[Path], wanted: Labels | None) -> Labels:
    kinds: tuple[Labels, ...] = get_args(Labels)
    if wanted is not None and wanted not in kinds:
        raise DataError(f"labels={wanted!r}: expected `masks` or `targets`.")
    present = [kind for kind in kinds if any((folder / kind).is_dir() for folder in sections)]
    if wanted is not None and wanted not in present:
        raise DataError(f"{root}: holds no `{wanted}/`. {_EXPECTED}")
    if not present:
        raise DataError(f"{root}: holds images but neither `masks/` nor `targets/`. {_EXPECTED}")
    if wanted is None and len(present) > 1:
        raise DataError(
            f"{root}: holds both `masks/` (segmentation) and `targets/` (regression). "
            "Choose one: `--set data.labels=masks` for train, `--labels masks` for evaluate, "
            'labels="masks" in Python; or `targets`.'
        )
    return wanted or present[0]


def _pairs_in(
    root: Path,
    section: Path,
    images: Mapping[str, ImageFiles],
    labels: Labels,
    split: Split | None,
    problems: list[str],
) -> tuple[list[Pair], set[str]]:
    answers = by_stem(root, section / labels, problems)
    problems += _alone(root, images, answers, section / labels)
    problems += _alone(root, answers, images, section / IMAGES)
    names = sorted(images.keys() & answers.keys())
    weights = by_stem(root, section / WEIGHTS, problems)
    if weights:
        both = {name: images[name] for name in names}
        problems += _alone(root, both, weights, section / WEIGHTS)
        problems += _alone(root, weights, images, section / IMAGES)
    pairs = [Pair(name, images[name], answers[name], split, weights.get(name)) for name in names]
    return pairs, set(images.keys() ^ answers.keys())


def _alone(
    root: Path, files: Mapping[str, ImageFiles], partners: Mapping[str, ImageFiles], where: Path
) -> Iterator[str]:
    for name in sorted(files.keys() - partners.keys()):
        kind = "image" if where.name == IMAGES else where.name.removesuffix("s")
        yield (
            f"{_shown(files[name], root)}: has no {kind}; expected "
            f"{where.relative_to(root) / name}.* ({', '.join(SUFFIXES)})"
        )


def _shown(files: ImageFiles, root: Path) -> Path:
    return (files if isinstance(files, Path) else files[0].parent).relative_to(root)
