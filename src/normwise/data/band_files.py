"""Images of several files: a folder an image, or names that hold the image's and the band's."""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from normwise.rasters import ImageFiles

Bands = Mapping[str, Path]
_FREE = "[^/_]+"


def pattern_of(text: str, bands: Sequence[str]) -> re.Pattern[str]:
    """The expression of a pattern such as `{name}_{band}.tif`, relative to the images' folder.

    Args:
        text: The pattern; it holds `{name}` and `{band}` once each.
        bands: The names of the bands, where they are known.
    """
    band = "|".join(re.escape(name) for name in bands) if bands else _FREE
    escaped = re.escape(text)
    escaped = escaped.replace(re.escape("{name}"), "(?P<name>[^/]+)")
    return re.compile(escaped.replace(re.escape("{band}"), f"(?P<band>{band})"))


def by_pattern(
    folder: Path, text: str, bands: Sequence[str], left_out: Collection[Path] = ()
) -> tuple[dict[str, Bands], list[str]]:
    """The files of each image by a pattern.

    Args:
        folder: The images' folder.
        text: The pattern.
        bands: The bands that are wanted, in their order; empty for all.
        left_out: Folders in it that hold no images; see `is_one_of`.

    Returns:
        By image the files of its bands, and a problem for each file that the pattern doesn't fit.
    """
    wanted, free = pattern_of(text, bands), pattern_of(text, ())
    found: dict[str, dict[str, Path]] = {}
    problems: list[str] = []
    passed: set[Path] = set()
    for path in sorted(folder.rglob("*")):  # a folder before what is in it
        place = path.relative_to(folder).as_posix()
        if path.parent in passed or is_one_of(path, left_out):
            passed.add(path)
            continue
        if path.is_dir() or any(part.startswith(".") for part in place.split("/")):
            continue
        match = wanted.fullmatch(place)
        if match is not None:
            found.setdefault(match["name"], {})[match["band"]] = path
        elif free.fullmatch(place) is None:
            problems.append(f"{folder.name}/{place}: doesn't fit the pattern {text}")
    return dict(found), problems


def is_one_of(path: Path, folders: Collection[Path]) -> bool:
    """Whether a path is one of some folders, by whatever name.

    Args:
        path: The path.
        folders: Their real paths.
    """
    return bool(folders) and path.is_dir() and Path(os.path.realpath(path)) in folders


def of_folder(folder: Path, files: Sequence[Path], bands: Sequence[str]) -> Bands:
    """The bands of an image that is a folder: named by `bands` where a file's name ends in one.

    Args:
        folder: The folder; its name at the beginning of a file's name is no part of the band's.
        files: Its image files, sorted.
        bands: The names of the bands, where they are known.
    """
    found: dict[str, Path] = {}
    for path in files:
        stem = path.name.split(".")[0]
        own = re.sub(rf"^{re.escape(folder.name)}[_\-. ]+(?=.)", "", stem)
        ends = [band for band in bands if re.search(rf"(^|[^0-9A-Za-z]){re.escape(band)}$", stem)]
        if bands and not ends:
            continue
        found[max(ends, key=len, default=own)] = path
    return found


def order_of(images: Mapping[str, Bands], bands: Sequence[str]) -> tuple[str, ...]:
    """The order of the bands: the one that is told, else the names that most images have, sorted.

    Args:
        images: By image the files of its bands.
        bands: What is told; empty for nothing.
    """
    usual = Counter(tuple(sorted(found)) for found in images.values()).most_common(1)
    return tuple(bands) or (usual[0][0] if usual else ())


def in_order(
    images: Mapping[str, Bands], order: Sequence[str], where: str
) -> tuple[dict[str, ImageFiles], list[str]]:
    """The files of each image in the order of the bands.

    Args:
        images: By image the files of its bands.
        order: The names of the bands.
        where: The images' folder, for the messages.

    Returns:
        By image its files, and a problem for each band that an image lacks or has alone.
    """
    files: dict[str, ImageFiles] = {}
    problems: list[str] = []
    for name, found in sorted(images.items()):
        missing = [band for band in order if band not in found]
        more = [band for band in sorted(found) if band not in order]
        if missing:
            problems.append(f"{where}/{name}: lacks the band {', '.join(missing)}")
        if more:
            problems.append(f"{where}/{name}: has the band {', '.join(more)}, unlike the others")
        if found:
            paths = tuple(found[band] for band in order if band in found) or tuple(found.values())
            files[name] = paths if len(paths) > 1 else paths[0]
    return files, problems
