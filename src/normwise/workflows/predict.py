"""Applying a model to images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from normwise.distributed.where import RAY, where_of
from normwise.errors import DataError, NormwiseError
from normwise.rasters import ImageFiles, suffix_of
from normwise.workflows.amounts import bytes_of
from normwise.workflows.ensembles import members_of
from normwise.workflows.models import refuse_missing
from normwise.workflows.predict_on_ray import remotely
from normwise.workflows.predicted_files import (
    is_done,
    predict_array,
    predict_file,
    read_and_predict,
    write_array,
)
from normwise.workflows.predictor import Predictor, Settings
from normwise.workflows.scenes import images_in, single_image

Array = npt.NDArray[Any]
# Formats of images whose predictions are written in the same one; those of others are GeoTIFF.
_KEPT = frozenset({".npy", ".nii", ".nii.gz", ".zarr"})


def predict(  # noqa: PLR0913 - the public interface
    model: Any,
    image: Array | str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    classes: bool = False,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    tta: str | None = None,
    tile: int | Sequence[int] | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    on: str | None = None,
    processes: int | None = None,
) -> Array | Path | list[Path]:
    """Predicts an image of any size, or every image of a folder.

    An image that is too large for the memory is predicted by tiles. Where the network allows it
    they see the halo that `tiling_of` tells, and equal the whole image to rounding; where not,
    overlapping tiles are blended, and it is logged which layers forbid it and by how much
    neighbouring tiles differ. From file to file the scene is read, predicted and written tile by
    tile, and the output appears when it is whole.

    The image is padded at the bottom and right by edge values to the network's total stride and
    the result cropped back. Pixels without data (NaN, or nodata) are filled as in
    training: with the mean of the training images, which a run folder tells (`images.yaml`), else
    with the mean that the model scales its input with. Where all channels lack data the result is
    NaN, 255 in class ids.

    Args:
        model: A live model, model file or run folder; it takes raw pixel values. One that was
            trained on images scaled by percentiles says so, and gets them scaled as a whole. A
            list of these, or the folder of a cross-validation, is an ensemble: the mean of its
            members is predicted.
        image: Shape (rows, columns, channels) or (slices, rows, columns, channels), or an image
            file, or the files of its bands in their order, or a folder of image files. In a
            folder, bands in several files are ordered as the run's were.
        out: Where to write: a `.tif`, `.npy`, `.nii`, `.nii.gz`, `.zarr` or (class ids) `.png`
            file; for a folder of images a folder. If it is a file, the files of a folder are the
            bands of one image. None returns the array.
        classes: Class ids (uint8) instead of probabilities.
        bands: Channels of the image to use, from 0; by default those the run was trained with.
        nodata: The value that marks missing pixels; by default what the run's data folder
            said, else what the file says.
        tta: Test-time augmentation: `"flips"` or `"flips-and-turns"` average the predictions of
            4 or 8 views of an image (8 or 16 of a volume), in as many times the time; `"none"`
            doesn't; by default what the run's recipe says.
        tile: Pixels along each axis of the tiles, one number or one for each axis; it is rounded
            up to the total stride. By default the image is predicted whole if there is memory for
            it, else in the tiles that compute the fewest pixels of those that fit.
        memory: What the prediction may need beside Keras and the weights, in bytes or as text
            (`"4GB"`); by default half of what is free.
        overwrite: Whether existing files may be replaced.
        resume: Go on with an interrupted prediction by tiles; outputs that are there are done.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.
        on: `"ray"` or `"ray=ADDRESS"` predicts files on a Ray cluster: blocks of tiles, and images
            that are predicted whole, are its tasks. The result is the same bit for bit.
        processes: How many such tasks at once; by default as many as the cluster has room for.

    Returns:
        float32 of shape (rows, columns, outputs), of volumes with slices before: probabilities,
        or values in the target's units;
        uint8 of shape (rows, columns, 1) with `classes`. Of a run that learnt quantiles or a
        normal law, the outputs of the first target come first. With `out`, the path written; for
        a folder the paths. The bands of a TIFF have the outputs' names, where a run tells them.

    Raises:
        RasterError: The image can't be read, or the result not be written in that format.
        DataError: The folder has no images, or images of several files whose order the run
            doesn't know; or some failed: each with its reason, after the others are done.
        NetworkError: The image has other channels than the model takes, or the tile is too small.
        OutputExistsError: `out` exists and `overwrite` is False.
        DistributionError: Ray isn't installed, the cluster doesn't answer, or its machines don't
            see the same files or have other versions.
    """
    for member in members_of(model):
        refuse_missing(member)
    told = Settings(
        classes, bands, nodata, tta, tile, bytes_of(memory), overwrite, resume, progress
    )
    with remotely(where_of(on, processes, (RAY,)), model) as remote:
        return _predicted(model, image, out, replace(told, remote=remote))


def _predicted(
    model: Any,
    image: Array | str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None,
    told: Settings,
) -> Array | Path | list[Path]:
    """What `predict` gives."""
    if isinstance(image, np.ndarray):
        predictor = Predictor(model, told)
        pixels = image[..., None] if image.ndim == 2 else image
        result = predict_array(predictor, pixels)
        if out is None:
            return result
        return write_array(predictor, result, None, Path(fspath(out)))
    single = single_image(model, image, out)
    if single is None:
        path = Path(fspath(cast("str", image)))
        if out is None:
            raise DataError(f"{path} is a folder of images: name a folder to write to with `out`.")
        return _folder(model, path, Path(fspath(out)), told)
    if out is None:
        return read_and_predict(Predictor(model, told), single)[0]
    target = Path(fspath(out))
    if is_done(target, told):
        return target
    return predict_file(Predictor(model, told), single, target)


def _folder(model: Any, folder: Path, target: Path, told: Settings) -> list[Path]:
    """Every image of a folder in a file of the same stem; one that fails stops no other."""
    problems: list[str] = []
    found = images_in(model, folder, problems)
    predictor = Predictor(model, told)
    scenes = {target / f"{name}{_suffix(files)}": files for name, files in sorted(found.items())}
    ended = told.remote.whole_scenes(predictor, scenes, folder.name) if told.remote else {}
    written = []
    for out, files in scenes.items():
        try:
            if error := ended.get(out):
                raise error
            there = out in ended or is_done(out, told)
            written.append(out if there else predict_file(predictor, files, out))
        except NormwiseError as error:
            problems.append(str(error))
    if problems:
        raise DataError(f"{folder}: {len(written)} predicted, {len(problems)} failed.", problems)
    return written


def _suffix(files: ImageFiles) -> str:
    """The suffix of a prediction: the image's own where that can hold it."""
    found = suffix_of(files if isinstance(files, Path) else files[0])
    return found if found in _KEPT else ".tif"
