"""Which files of a folder are images: single ones, and those whose bands stand in several files."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from normwise.data.band_files import Bands, by_pattern, in_order, is_one_of, of_folder, order_of
from normwise.data.reading import Reading
from normwise.files import permitted
from normwise.rasters import FOLDER_SUFFIX, ImageFiles, stem_of, suffix_of

log = logging.getLogger("normwise.data")


@dataclass(frozen=True)
class Images:
    """The images of a folder.

    Args:
        files: By name the file of each image, or those of its bands in their order.
        bands: The names of the bands of images of several files, in the order of the files; empty
            where there are none.
        partial: The names of images that lack a band.
    """

    files: Mapping[str, ImageFiles]
    bands: tuple[str, ...] = ()
    partial: frozenset[str] = frozenset()


def images_of(
    root: Path,
    folder: Path,
    reading: Reading,
    problems: list[str],
    left_out: Collection[Path] = (),
) -> Images:
    """Single files, and images of several: by the pattern that is told, or a folder each.

    Args:
        root: What paths in the problems are relative to.
        folder: The images' folder.
        reading: The pattern and the bands.
        problems: Gets a line for each twin, missing band or file that doesn't fit.
        left_out: The real paths of folders in it that hold no images, such as predictions.

    Returns:
        The images; one that lacks a band is there with those that it has.

    Raises:
        NormwiseError: The folder may not be looked into.
    """
    where, bands = str(folder.relative_to(root)), reading.bands or ()
    if reading.images is not None:
        with permitted(folder):
            groups, strange = by_pattern(folder, reading.images, bands, left_out)
        problems += strange
        return _grouped(groups, bands, where, problems)
    single = by_stem(root, folder, problems)
    with permitted(folder):
        folders = {
            part.name: _images_in(part)
            for part in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if part.is_dir()
            and not part.name.startswith(".")
            and not _is_image(part)
            and not is_one_of(part, left_out)
        }
    groups = {
        name: of_folder(folder / name, files, bands) for name, files in folders.items() if files
    }
    found = _grouped(groups, bands, where, problems)
    problems += [
        f"{where}/{name}: {single[name].name} has the same name; keep one"
        for name in sorted(single.keys() & found.files.keys())
    ]
    return replace(found, files={**found.files, **single})


def _images_in(folder: Path) -> list[Path]:
    """The image files of a folder; of one that may not be read none, such as `lost+found`."""
    try:
        return [path for path in sorted(folder.iterdir()) if _is_image(path)]
    except PermissionError as error:
        log.warning("%s: can't be read, and is left out (%s).", folder, error.strerror or error)
        return []


def _grouped(
    groups: Mapping[str, Bands], bands: Sequence[str], where: str, problems: list[str]
) -> Images:
    order = order_of(groups, bands)
    files, wrong = in_order(groups, order, where)
    problems += wrong
    several = any(isinstance(paths, tuple) for paths in files.values())
    partial = frozenset(name for name, own in groups.items() if not own.keys() >= set(order))
    return Images(files, order if several else (), partial)


def by_stem(root: Path, folder: Path, problems: list[str]) -> dict[str, Path]:
    """The image files of a folder by their stems; the problems get a line for each twin.

    Raises:
        NormwiseError: The folder may not be looked into.
    """
    found: dict[str, Path] = {}
    with permitted(folder):
        held = sorted(folder.iterdir()) if folder.is_dir() else []
        images = [path for path in held if not path.name.startswith(".") and _is_image(path)]
    for path in images:
        if stem_of(path) in found:
            twin = found[stem_of(path)].name
            problems.append(f"{path.relative_to(root)}: {twin} has the same stem; keep one")
        else:
            found[stem_of(path)] = path
    return found


def _is_image(path: Path) -> bool:
    suffix = suffix_of(path)
    return bool(suffix) and path.is_dir() == (suffix == FOLDER_SUFFIX)
