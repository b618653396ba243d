"""What a prediction reads, none of which may be replaced by what it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from normwise.errors import RasterError
from normwise.keras_format.reading import RUN_MODEL
from normwise.rasters import FOLDER_SUFFIX, ImageFiles, suffix_of
from normwise.rasters.beside import all_files
from normwise.workflows.ensembles import ENSEMBLE_FILE, members_of
from normwise.workflows.runs import files_of_run


def refuse_inputs(
    model: Any, images: Iterable[ImageFiles], outputs: Iterable[str | PathLike[str] | None]
) -> None:
    """Refuses outputs that are inputs, by whatever name, or are the same file.

    Args:
        model: Whatever names a model or an ensemble.
        images: All images that are read.
        outputs: Predictions and pictures; None for none.

    Raises:
        RasterError: An output is a file that is read, through another path or a link as well; is a
            folder that holds one; or stands there twice.
    """
    inputs, named = Inputs(), set[Path]()
    for image in images:
        inputs.add_image(image)
    inputs.add_model(model)
    for path in (Path(fspath(output)) for output in outputs if output is not None):
        inputs.refuse(path)
        if _real(path) in named:
            raise RasterError(f"{path}: is the prediction, too; name another picture.")
        named.add(_real(path))


@dataclass
class Inputs:
    """Files and folders that are read, found again by whatever name.

    Attributes:
        known: What each is, by its real path, and by its device and number there: so hard links are
            found.
        folders: The real paths of all folders that hold one of them.
    """

    known: dict[Path | tuple[int, int], tuple[Path, str]] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)

    def add_image(self, image: ImageFiles) -> None:
        """Adds all files of an image."""
        own = [image] if isinstance(image, Path) else list(image)
        for path in own:
            self._add(path, "the image itself")
        try:
            for path in all_files(image):
                self._add(path, f"read with the image {own[0].name}")
        except (OSError, RasterError):
            pass  # a VRT that is gone or none: who opens it says so

    def add_model(self, model: Any) -> None:
        """Adds the files of a model, its run or its ensemble; live models have none."""
        if isinstance(model, (list, tuple)):
            for part in model:
                self.add_model(part)
        if not isinstance(model, (str, PathLike)):
            return
        path = Path(fspath(model))
        for file in (path, path / RUN_MODEL):
            self._add(file, "the model itself")
        for file in (path / ENSEMBLE_FILE, *files_of_run(path)):
            self._add(file, "read with the model")
        if (path / ENSEMBLE_FILE).is_file():
            self.add_model(members_of(path))

    def refuse(self, output: Path) -> None:
        """Refuses an output that is one of them, lies in one, or would be replaced with one in it.

        Raises:
            RasterError: It is.
        """
        for key in _keys(output):
            if key in self.known:
                path, role = self.known[key]
                alias = "" if path == output else f", under another name ({path})"
                raise RasterError(f"{output}: is {role}{alias}; name another output.")
        for folder in _real(output).parents:
            if folder in self.known and suffix_of(folder) == FOLDER_SUFFIX:
                raise RasterError(
                    f"{output}: lies in {folder}, which is read; name another output."
                )
        if suffix_of(output) == FOLDER_SUFFIX and _real(output) in self.folders:
            raise RasterError(f"{output}: holds what is read for it; name another output.")

    def _add(self, path: Path, role: str) -> None:
        for key in _keys(path):
            self.known.setdefault(key, (path, role))
        for folder in _real(path).parents:
            if folder in self.folders:
                break
            self.folders.add(folder)


def _keys(path: Path) -> Iterator[Path | tuple[int, int]]:
    """What tells a file from all others: its real path, and if it is there its number."""
    yield _real(path)
    try:
        state = path.stat()
    except OSError:
        return
    if state.st_ino:  # some file systems number nothing
        yield state.st_dev, state.st_ino


def _real(path: Path) -> Path:
    # `Path.resolve` raises where links lead in a circle.
    return Path(os.path.realpath(path))
