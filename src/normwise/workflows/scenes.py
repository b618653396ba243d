"""Which images a path names: one file, a folder of images, or a folder with the bands of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, get_args

from normwise.data.dataset import Labels
from normwise.data.image_files import by_stem, images_of
from normwise.data.layout import IMAGES
from normwise.data.reading import Reading
from normwise.errors import DataError
from normwise.files import permitted
from normwise.rasters import FOLDER_SUFFIX, SUFFIXES, ImageFiles, suffix_of
from normwise.workflows.ensembles import members_of
from normwise.workflows.runs import order_is_unknown, reading_of


def single_image(model: Any, image: Any, out: Any) -> ImageFiles | None:
    """The file or files of one image; None for a folder of images.

    A folder is one image if its prediction goes to a file: its files are the bands.

    Args:
        model: Whose run says the order of the bands; whatever names a model.
        image: A path, or the files of the bands in their order.
        out: Where the prediction goes, None for nowhere.

    Raises:
        DataError: The folder has no images, lacks bands, has them in an unknown order, or is a
            data folder.
        NormwiseError: The folder, or the one that it or the file is in, may not be looked into.
    """
    if not isinstance(image, (str, PathLike)):
        return tuple(Path(fspath(part)) for part in image)
    path = _with_name(Path(fspath(image)))
    with permitted(path.parent):
        if not path.is_dir() or suffix_of(path) == FOLDER_SUFFIX:
            return path
    if out is None or not suffix_of(Path(fspath(out))):
        return None
    by_stem(path.parent, path, [])  # may it be read? Beside other images it would be left out
    problems: list[str] = []
    bands = Reading(bands=reading_of(members_of(model)[0]).bands)
    found = images_of(path.parent, path.parent, bands, problems)
    wrong = [problem for problem in problems if f"/{path.name}:" in problem]
    if path.name in found.partial and bands.bands:
        raise DataError(f"{path}: can't be predicted.", wrong)
    _refuse_data_folder(path)
    if path.name not in found.files:
        raise _no_images(path)
    _refuse_unknown_order(model, {path.name: found.files[path.name]})
    return found.files[path.name]


def _with_name(path: Path) -> Path:
    """A path whose last part is a name, which `.` and `..` aren't."""
    return path.resolve() if path.name in ("", "..") else path


def images_in(
    model: Any, folder: Path, problems: list[str], written: Iterable[Path | None] = ()
) -> Mapping[str, ImageFiles]:
    """The images of a folder by their names, those that lack a band left out.

    Args:
        model: Whose run says how the files are called; whatever names a model.
        folder: The folder.
        problems: Gets a line for each image that is left out.
        written: Where predictions and pictures go, None for nowhere. A folder in the other one is
            no image, though it holds such files when the prediction is repeated or gone on with.

    Raises:
        DataError: The folder has no images, or their bands stand in an unknown order; it is a data
            folder; or predictions would go into it, or into one of its images.
        NormwiseError: The folder may not be looked into.
    """
    reading = reading_of(members_of(model)[0])
    outputs = {_real(path): path for path in written if path is not None}
    if (named := outputs.get(_real(folder))) is not None:
        raise DataError(
            f"{named}: is the folder of the images; what is written there would be taken for "
            "images the next time. Name another folder."
        )
    found = images_of(folder.parent, folder, reading, problems, outputs)
    for real, path in outputs.items():
        if _real(folder) in (real.parents if reading.images else [real.parent]):
            _refuse_image(path, found.files)
    _refuse_data_folder(folder)
    if not found.files:
        raise _no_images(folder, problems)
    _refuse_unknown_order(model, found.files)
    return {name: files for name, files in found.files.items() if name not in found.partial}


def _refuse_image(folder: Path, images: Mapping[str, ImageFiles]) -> None:
    """Refuses a folder of files none of which has the name of an image: they are bands of one."""
    held = by_stem(folder.parent, folder, [])
    if held and not held.keys() & images.keys():
        names = ", ".join(path.name for path in list(held.values())[:3])
        raise DataError(
            f"{folder}: holds {names}, and no prediction of the images beside it. Is it an image "
            "itself? Name another folder for the predictions."
        )


def _refuse_data_folder(folder: Path) -> None:
    """Its `images/` and `masks/` would be taken for two images of many bands."""
    labelled = any((folder / kind).is_dir() for kind in get_args(Labels))
    if labelled and (folder / IMAGES).is_dir():
        raise DataError(f"{folder}: is a data folder. Name its images: {folder / IMAGES}.")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _no_images(folder: Path, problems: list[str] | None = None) -> DataError:
    expected = f"expected files that end in {', '.join(SUFFIXES)}"
    return DataError(f"{folder}: no images; {expected}.", problems or [])


def _refuse_unknown_order(model: Any, images: Mapping[str, ImageFiles]) -> None:
    several = next((files for files in images.values() if isinstance(files, tuple)), None)
    if several is None:
        return
    members = members_of(model)
    told = f"{several[0]}: is one of {len(several)} files of an image"
    advice = "Name the files in the order of the bands (a list for nw.predict), or join them."
    if any(order_is_unknown(member) for member in members):
        raise DataError(
            f"{told}, and the run doesn't know which of them holds which band: it was trained on "
            f"images of one file, or its data folder is gone and it kept no images.yaml. {advice}"
        )
    orders = {tuple(bands) for member in members if (bands := reading_of(member).bands)}
    if len(orders) > 1:
        raise DataError(f"{told}, and the members of the ensemble take other bands. {advice}")
