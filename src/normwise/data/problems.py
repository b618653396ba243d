"""Everything that is wrong with a data folder, found in one go."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from normwise.data.dataset import SPLITS
from normwise.data.description import IGNORE, Description
from normwise.data.examination import Examination, Facts
from normwise.errors import DataError
from normwise.rasters import ImageFiles, RasterInfo
from normwise.rasters.info import PALETTE_INDEX

_SHOWN = 10
# In voxels: affines are rounded when they are written.
_SAME_PLACE = 0.01


def refuse(root: Path, problems: Sequence[str]) -> None:
    """Raises all problems of a folder together.

    Args:
        root: The data folder.
        problems: One line each.

    Raises:
        DataError: If there is a problem.
    """
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{root}: this data folder has {count}.", problems)


def problems_of(
    facts: Sequence[Facts],
    examination: Examination,
    description: Description,
    known: dict[int, int] | None,
    trains: bool,
) -> list[str]:
    """Every problem in the files of a folder.

    Args:
        facts: What was found in each pair.
        examination: How they were examined.
        description: What `dataset.yaml` says.
        known: From mask value to class id, None if unknown or no masks.
        trains: Whether something is to learn from them.

    Returns:
        One line each: first those of single files, then those between files, then the splits'.
    """
    return [
        *(problem for found in facts for problem in found.problems),
        *_sizes(facts, examination),
        *_turned(facts, examination),
        *_image_kinds(facts, examination, description),
        *_label_kinds(facts, examination),
        *_classes(facts, examination, known),
        *(_empty_splits(facts) if trains else ()),
        *_unlabelled_splits(facts, known or {}),
        *(_same_content(facts, examination) if examination.images else ()),
    ]


def _sizes(facts: Iterable[Facts], examination: Examination) -> Iterator[str]:
    for found in facts:
        image = found.image
        for other in (found.label, found.weight):
            if image and other and image.shape != other.shape:
                sizes = ["x".join(map(str, info.shape)) for info in (other, image)]
                yield (
                    f"{examination.relative(other.path)}: has {sizes[0]} pixels, "
                    f"but its image has {sizes[1]}"
                )


def _turned(facts: Iterable[Facts], examination: Examination) -> Iterator[str]:
    for found in facts:
        image, label = found.image, found.label
        if image and label and image.affine and label.affine:
            apart = np.abs(np.subtract(image.affine, label.affine)).max()
            if apart > _SAME_PLACE * min(image.spacing or (1.0,)):
                yield (
                    f"{examination.relative(label.path)}: has another affine (place or "
                    "orientation) than its image; resample it to the image's grid"
                )


def _image_kinds(
    facts: Iterable[Facts], examination: Examination, description: Description
) -> Iterator[str]:
    images = [found.image for found in facts if found.image]
    yield from _odd_ones(images, examination, _channels)
    # A mask of its own turns a file's whole numbers into floats with NaN.
    plain = [image for image in images if not image.masked]
    yield from _odd_ones(plain, examination, _number_kind)
    for image in images:
        if image.band_names == (PALETTE_INDEX,):
            yield (
                f"{examination.relative(image.path)}: its pixels are numbers of palette "
                "colours, not intensities; save it as RGB or grey"
            )
    usual = Counter(image.channels for image in images).most_common(1)
    if description.bands and usual and len(description.bands) != usual[0][0]:
        yield f"dataset.yaml: names {len(description.bands)} bands, images have {usual[0][0]}"
    if description.nodata is None:
        yield from _nodata_kinds(images)


def _nodata_kinds(images: Iterable[RasterInfo]) -> Iterator[str]:
    """The value of some would hold for all, also where it is a measurement in another one."""
    told = [image for image in images if image.nodata is not None]
    # NaN is unlike itself, so numbers are compared as text.
    kinds = sorted({str(image.nodata) for image in told})
    if len(kinds) < 2:
        return
    problem = f"images differ in nodata ({', '.join(kinds)}); set `nodata` in dataset.yaml"
    if any(image.masked and str(image.nodata) == "nan" for image in told):
        problem += ", `.nan` if masks and values hold for their own files alone"
    yield problem


def _label_kinds(facts: Iterable[Facts], examination: Examination) -> Iterator[str]:
    if examination.labels == "targets":
        labels = [found.label for found in facts if found.label]
        yield from _odd_ones(labels, examination, _channels)


def _odd_ones(
    infos: Sequence[RasterInfo], examination: Examination, trait: Callable[[RasterInfo], Hashable]
) -> Iterator[str]:
    counts = Counter(trait(info) for info in infos)
    if len(counts) < 2:
        return
    usual, count = counts.most_common(1)[0]
    for info in infos:
        if trait(info) != usual:
            yield (
                f"{examination.relative(info.path)}: has {trait(info)}, "
                f"but {count} of {len(infos)} have {usual}"
            )


def _channels(info: RasterInfo) -> str:
    return "1 channel" if info.channels == 1 else f"{info.channels} channels"


def _number_kind(info: RasterInfo) -> str:
    return "floating-point numbers" if info.dtype.kind == "f" else "whole numbers"


def _classes(
    facts: Iterable[Facts], examination: Examination, known: dict[int, int] | None
) -> Iterator[str]:
    if examination.labels != "masks" or known is None:
        return
    for found in facts:
        strange = sorted((found.values or frozenset()) - known.keys())
        if strange:
            yield (
                f"{examination.relative(found.pair.label)}: the values {_some(strange)} are no "
                f"class; known are {_some(sorted(known.keys()))}. Name them in dataset.yaml "
                "(`classes` or `mask_values`)"
            )


def infer_class_ids(facts: Iterable[Facts]) -> tuple[dict[int, int] | None, list[str]]:
    """The classes of masks about which `dataset.yaml` says nothing.

    Args:
        facts: What was found in each pair, masks read.

    Returns:
        From mask value to class id, 0 to the highest without a gap and 255 for ignore; or None
        with the problem that prevents it.
    """
    present = sorted(set().union(*(found.values or () for found in facts)))
    if not present:
        return None, []
    values = [value for value in present if value != IGNORE]
    if values == [0] and IGNORE in present:
        return None, [_black_and_white()]
    if len(values) == 1:
        return None, [_one_class(values[0])]
    if values == list(range(len(values))):
        return {value: value for value in (*values, IGNORE)}, []
    lines = ", ".join(f"{value}: {index}" for index, value in enumerate(values[:_SHOWN]))
    more = ", ..." if len(values) > _SHOWN else ""
    return None, [
        f"masks hold the values {_some(values)}, which are no class ids from 0 without a gap. "
        f"Write in dataset.yaml `mask_values: {{{lines}{more}}}`, or name all `classes`"
    ]


def black_and_white(facts: Iterable[Facts]) -> list[str]:
    """The problem of masks that hold only 0 and 255, where 255 would mean ignore.

    Args:
        facts: What was found in each pair, masks read.

    Returns:
        The problem, or nothing.
    """
    present = set().union(*(found.values or () for found in facts))
    return [_black_and_white()] if present == {0, IGNORE} else []


def _black_and_white() -> str:
    return (
        "masks hold only 0 and 255, and 255 means ignore. If 255 is the object, write in "
        "dataset.yaml `mask_values: {0: 0, 255: 1}`; if it is ignore, `mask_values: "
        "{0: 0, 255: 255}` and the names of all `classes`"
    )


def _one_class(value: int) -> str:
    return (
        f"masks hold one class alone, the value {value}; expected 2 or more, which could be told "
        "apart. If there are others, name all `classes` in dataset.yaml, or what their values mean "
        "(`mask_values: {0: 0, 1: 1}`)"
    )


def _empty_splits(facts: Sequence[Facts]) -> Iterator[str]:
    # A split that is misspelt or missing may have been meant as train.
    if facts and not any(found.pair.split in ("train", None) for found in facts):
        yield "the split train is empty: no image to learn from"


def _unlabelled_splits(facts: Sequence[Facts], known: dict[int, int]) -> Iterator[str]:
    for split in SPLITS:
        answers = [_labelled(found, known) for found in facts if found.pair.split == split]
        if answers and all(answer is False for answer in answers):
            yield (
                f"the split {split} has no label at all: every pixel is ignored. Label some, or "
                "give it an image that has labels (split.csv)"
            )


def _labelled(found: Facts, known: dict[int, int]) -> bool | None:
    if found.values is not None:
        return any(known.get(value, value) != IGNORE for value in found.values)
    return found.labelled


def _same_content(facts: Iterable[Facts], examination: Examination) -> Iterator[str]:
    sizes: defaultdict[int, dict[ImageFiles, str | None]] = defaultdict(dict)
    for found in facts:
        if found.image and found.pair.split:
            size = sum(file.stat().st_size for file in _files_of(found.pair.image))
            sizes[size].setdefault(found.pair.image, found.pair.split)
    for group in sizes.values():
        if len(set(group.values())) > 1:
            yield from _twins(group, examination)


def _files_of(path: ImageFiles) -> list[Path]:
    """The file, or all files of an image that is a folder or has several."""
    if not isinstance(path, Path):
        return [file for part in path for file in _files_of(part)]
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]


def _twins(group: dict[ImageFiles, str | None], examination: Examination) -> Iterator[str]:
    first: dict[bytes, ImageFiles] = {}
    for path, split in group.items():
        content = hashlib.blake2b()
        for part in _files_of(path):
            with part.open("rb") as file:
                content.update(hashlib.file_digest(file, "blake2b").digest())
        twin = first.setdefault(content.digest(), path)
        if group[twin] != split:
            yield (
                f"{examination.relative(_files_of(path)[0])} ({split}) is the same file as "
                f"{examination.relative(_files_of(twin)[0])} ({group[twin]})"
            )


def _some(values: Sequence[int]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown
