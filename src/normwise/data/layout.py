"""Which files of a data folder belong together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from normwise.data.band_files import by_pattern, in_order, of_folder
from normwise.data.dataset import SPLITS, Labels, Split
from normwise.data.description import Description
from normwise.errors import DataError
from normwise.rasters import FOLDER_SUFFIX, SUFFIXES, ImageFiles, stem_of, suffix_of

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
    """The pairs of a folder, and the files that have no partner as problems, with their names."""

    root: Path
    labels: Labels
    pairs: tuple[Pair, ...]
    problems: tuple[str, ...]
    alone: frozenset[str] = frozenset()


def find_layout(
    root: Path, labels: Labels | None = None, description: Description | None = None
) -> Layout:
    """Matches the images of a folder with their labels.

    Args:
        root: The data folder.
        labels: `masks` or `targets`, where the folder has both.
        description: What `dataset.yaml` says, for images of several files.

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
    for section, split in ((folder, split) for split, folder in sections.items()):
        found, wrong, left = _pairs_in(root, section, chosen, split, description)
        pairs += found
        problems += wrong
        alone |= left
        if split and not found and not wrong:
            problems.append(f"{section.relative_to(root)}: holds no images")
    if not pairs and not problems:
        raise DataError(f"{root}: holds no images ({', '.join(SUFFIXES)}).")
    return Layout(root, chosen, tuple(pairs), tuple(problems), frozenset(alone))


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
    labels: Labels,
    split: Split | None,
    description: Description | None,
) -> tuple[list[Pair], list[str], set[str]]:
    problems: list[str] = []
    images = images_of(root, section / IMAGES, description or Description(), problems)
    answers = _by_stem(root, section / labels, problems)
    problems += _alone(root, images, answers, section / labels)
    problems += _alone(root, answers, images, section / IMAGES)
    names = sorted(images.keys() & answers.keys())
    weights = _by_stem(root, section / WEIGHTS, problems)
    if weights:
        both = {name: images[name] for name in names}
        problems += _alone(root, both, weights, section / WEIGHTS)
        problems += _alone(root, weights, images, section / IMAGES)
    pairs = [Pair(name, images[name], answers[name], split, weights.get(name)) for name in names]
    return pairs, problems, images.keys() ^ answers.keys()


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


def images_of(
    root: Path, folder: Path, description: Description, problems: list[str]
) -> dict[str, ImageFiles]:
    """Single files, and images of several: by the pattern of `dataset.yaml`, or a folder each.

    Args:
        root: What paths in the problems are relative to.
        folder: The images' folder.
        description: The pattern and the bands.
        problems: Gets a line for each twin, missing band or file that doesn't fit.

    Returns:
        By name the file of each image, or those of its bands in their order.
    """
    bands = description.bands or ()
    if description.images is not None:
        groups, strange = by_pattern(folder, description.images, bands)
        found, wrong = in_order(groups, bands, str(folder.relative_to(root)))
        problems += [*strange, *wrong]
        return found
    single = _by_stem(root, folder, problems)
    folders = {
        part.name: [path for path in sorted(part.iterdir()) if _is_image(path)]
        for part in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if part.is_dir() and not part.name.startswith(".") and not _is_image(part)
    }
    groups = {
        name: of_folder(folder / name, files, bands) for name, files in folders.items() if files
    }
    found, wrong = in_order(groups, bands, str(folder.relative_to(root)))
    problems += wrong
    problems += [
        f"{folder.relative_to(root) / name}: {single[name].name} has the same name; keep one"
        for name in sorted(single.keys() & found.keys())
    ]
    return {**found, **single}


def _by_stem(root: Path, folder: Path, problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not _is_image(path):
            continue
        if stem_of(path) in found:
            twin = found[stem_of(path)].name
            problems.append(f"{path.relative_to(root)}: {twin} has the same stem; keep one")
        else:
            found[stem_of(path)] = path
    return found


def _is_image(path: Path) -> bool:
    suffix = suffix_of(path)
    return bool(suffix) and path.is_dir() == (suffix == FOLDER_SUFFIX)
