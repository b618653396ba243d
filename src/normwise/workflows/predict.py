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
from normwise.inference.engines.wanted import Wanted
from normwise.rasters import ImageFiles
from normwise.rasters.outputs import refuse_taken
from normwise.rasters.partial import partial_folder, remove_pieces
from normwise.workflows.amounts import bytes_of
from normwise.workflows.ensembles import members_of
from normwise.workflows.kept_outputs import about_drawn, about_now, kept_outputs
from normwise.workflows.made_outputs import Source, remembering
from normwise.workflows.models import refuse_missing
from normwise.workflows.one_of_several import one_of_several
from normwise.workflows.overlays import draw_overlay, refuse_picture
from normwise.workflows.own_modules import OwnModules
from normwise.workflows.predict_on_ray import remotely
from normwise.workflows.predicted import Journal
from normwise.workflows.predicted_files import (
    predict_array,
    predict_file,
    read_and_predict,
    refuse_output,
    write_array,
)
from normwise.workflows.prediction_fit import fitting
from normwise.workflows.prediction_images import numbers_of
from normwise.workflows.prediction_inputs import refuse_inputs
from normwise.workflows.prediction_writing import (
    outputs_in,
    pictures_in,
    refuse_folders,
    refuse_format,
)
from normwise.workflows.predictor import Predictor, Settings
from normwise.workflows.resuming import remove_made_pieces
from normwise.workflows.scenes import images_in, single_image

Array = npt.NDArray[Any]


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
    engine: str = "keras",
    precision: str = "float32",
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    on: str | None = None,
    processes: int | None = None,
    outputs: Sequence[str] | None = None,
    std: bool = False,
    overlay: str | PathLike[str] | None = None,
    checked: bool = True,
    imports: str | Sequence[str] = (),
    journal: Journal | None = None,
) -> Array | Path | list[Path]:
    """Predicts an image of any size, or every image of a folder.

    An image that is too large for the memory is predicted by tiles. Where the network allows it
    they see the halo that `tiling_of` tells, and equal the whole image to rounding; where not,
    overlapping tiles are blended, and it is logged which layers forbid it and by how much
    neighbouring tiles differ. From file to file the scene is read, predicted and written tile by
    tile, and the output appears when it is whole.

    A model that was built for one size is copied for images of any size, if its layers allow it.
    Else tiles are of that size; which layer keeps it there is said.

    The image is padded at the bottom and right by edge values to the network's total stride and
    the result cropped back. Pixels without data (NaN, infinite or nodata) are filled as in
    training: with the mean of the training images, which a run folder tells (`images.yaml`), else
    with the mean that the model scales its input with. Where all channels lack data the result is
    NaN, 255 in class ids.

    Args:
        model: A live model, model file or run folder; it takes raw pixel values. One that was
            trained on images scaled by percentiles says so, and gets them scaled as a whole. A
            list of these, or the folder of a cross-validation, is an ensemble: the mean of its
            members is predicted.
        image: Shape (rows, columns, channels) or (slices, rows, columns, channels); what it masks
            (`numpy.ma`) is missing. Or an image file, or the files of its bands in their order, or
            a folder of image files. In a folder, bands in several files are ordered as the run's
            were.
        out: Where to write: a `.tif`, `.npy`, `.nii`, `.nii.gz`, `.zarr` or (class ids) `.png`
            file; for a folder of images a folder. If it is a file, the files of a folder are the
            bands of one image. None returns the array.
        classes: Class ids (uint8) instead of probabilities: of a single channel 1 where it is above
            0.5, else the channel with the largest value. Where each of several channels has a
            sigmoid of its own, so that labels may overlap, that is said. GeoTIFF and PNG get the
            classes' names and colours: the data folder's (`colours` in `dataset.yaml`), else the
            previews'.
        bands: Channels of the image to use, from 0; by default those the run was trained with.
        nodata: The value that marks missing pixels; by default what the run's data folder
            said. What a file says itself, by its nodata value or its mask, holds in any case.
        tta: Test-time augmentation: `"flips"` or `"flips-and-turns"` average the predictions of
            4 or 8 views of an image (8 or 16 of a volume), in as many times the time; `"none"`
            doesn't; by default what the run's recipe says.
        tile: Pixels along each axis of the tiles, one number or one for each axis; it is rounded
            up to the total stride. By default the image is predicted whole if there is memory for
            it, else in the tiles that compute the fewest pixels of those that fit.
        memory: What the prediction may need beside Keras and the weights, in bytes or as text
            (`"4GB"`); by default half of what is free, which on Ray the tasks of a machine share.
            A tile that needs more, named or the only one that the network takes, is an error.
        engine: What computes: `"keras"`, `"openvino"` or `"onnx"` (ONNX Runtime), or `"auto"`, the
            fastest of those that are installed, found with the first tile. One whose outputs
            differ from Keras' by more than 1e-4 of their range isn't used, and that is said.
        precision: `"float32"`, or `"bfloat16"`, whose deviation is said; `"auto"` takes
            bfloat16 where it is faster and deviates by less than 1e-2.
        overwrite: Whether existing files may be replaced.
        resume: Go on with an interrupted prediction by tiles, which must have been of the same
            image, model and settings; outputs and pictures that are there stay if they are made
            from the same, which a hidden folder `.normwise` beside them tells. With `overwrite` it
            begins anew where they were others, and replaces such outputs.
        progress: Say how it goes: a bar on a terminal, lines elsewhere. If not, what is said of
            classes and engines is logged.
        on: `"ray"` or `"ray=ADDRESS"` predicts files on a Ray cluster: blocks of tiles, and images
            that are predicted whole, are its tasks. With the same tiles (`tile`, or `memory`) and
            engine the result is the same bit for bit; this process chooses the engine for all.
        processes: How many such tasks at once; by default as many as the cluster has room for.
        outputs: Names of the outputs to predict, of a model that has several; by default all. Their
            channels follow each other, and bands are named after them.
        std: Add the standard deviation between all predictions that are averaged (members of an
            ensemble, views of an image), one channel for each output.
        overlay: A PNG to draw: the image with its classes laid over it, or beside the predicted
            values; large scenes are shown smaller. For a folder of images a folder.
        checked: Whether an image must be like those of the run's data folder: bands of the same
            names in the same order, the same kind of numbers, and a coordinate system if all of
            them had one; and whether the members of an ensemble must name the same classes or
            targets.
        imports: Modules that register the model's own layers; on Ray each worker imports them, too.
        journal: Is told of each image file that is predicted into a file: the size of its tiles,
            whether they are exact, what computed it, how long it took (`Predicted`).

    Returns:
        float32 of shape (rows, columns, outputs), of volumes with slices before: probabilities,
        or values in the target's units;
        uint8 of shape (rows, columns, 1) with `classes`. Of a run that learnt quantiles or a
        normal law, the outputs of the first target come first. With `out`, the path written; for
        a folder the paths. The bands of a TIFF have the outputs' names, where a run tells them.

    Raises:
        RasterError: The image can't be read, or the result not be written in that format. Or an
            output is what is read, by whatever name: an image, one of its files, or the model; or
            another process is writing it.
        DataError: The folder has no images, or images of several files whose order the run
            doesn't know; or some failed: each with its reason, after the others are done. Or an
            image is unlike those that the model was trained on.
        ModelReadError: The model can't be loaded, or a module of `imports` not be imported.
        NetworkError: The image has other channels than the model takes, the tile is too small or
            needs more than `memory`, or an output is no image. Or the members of an ensemble
            predict other classes or targets, or the same in another order.
        EngineMissingError: The engine isn't installed.
        ExportError: The model can't be converted for the engine.
        OutputExistsError: `out` exists and `overwrite` is False; with `resume` if it is made from
            something else, or nothing tells what from. Of a folder all such files are named, before
            the work begins.
        NormwiseError: A folder of the model, an image or an output may not be looked into.
        DistributionError: Ray isn't installed, the cluster doesn't answer, or its machines don't
            see the same files or have other versions.
    """
    for member in members_of(model):
        refuse_missing(member)
    told = Settings(
        classes, bands, nodata, tta, tile, bytes_of(memory), overwrite, resume, progress,
        outputs=outputs, std=std, checked=checked, wanted=Wanted(engine, precision),
        journal=journal,
    )  # fmt: skip
    drawn = Path(fspath(overlay)) if overlay is not None else None
    where = where_of(on, processes, (RAY,))
    with remotely(where, model, OwnModules.imported(imports)) as remote:
        return _predicted(model, image, out, drawn, replace(told, remote=remote))


def _predicted(
    model: Any,
    image: Array | str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None,
    drawn: Path | None,
    told: Settings,
) -> Array | Path | list[Path]:
    """What `predict` gives, with its picture."""
    if isinstance(image, np.ndarray):
        refuse_inputs(model, (), (out, drawn))
        refuse_picture(drawn, told)
        return _array(model, image, None if out is None else Path(fspath(out)), told, drawn)
    single = single_image(model, image, out)
    if single is None:
        path = Path(fspath(cast("str", image)))
        if out is None:
            raise DataError(f"{path} is a folder of images: name a folder to write to with `out`.")
        return _folder(model, path, Path(fspath(out)), told, drawn)
    refuse_inputs(model, [single], (out, drawn))
    refuse_picture(drawn, told)
    if out is None:
        predictor = Predictor(model, told)
        drawing = drawn is not None and drawn not in _kept(predictor, single, None, drawn)
        about = about_now(predictor, single) if drawing else {}
        result = read_and_predict(predictor, single)[0]
        if drawn is not None and drawing:
            draw_overlay(predictor, single, result, drawn, about)
        return result
    target = Path(fspath(out))
    refuse_output(target, told)
    predictor = Predictor(model, told)
    return _file(predictor, single, target, drawn, _kept(predictor, single, target, drawn))


def _array(
    model: Any, image: Array, out: Path | None, told: Settings, drawn: Path | None
) -> Array | Path:
    """An image in memory."""
    if out is not None:
        refuse_output(out, told)
    predictor, pixels = Predictor(model, told), numbers_of(image)
    kept = _kept(predictor, pixels, out, drawn)
    result: Array | Path
    about = about_now(predictor, pixels) if {out, drawn} - kept - {None} else {}
    if out is None:
        result = predict_array(predictor, pixels)
    else:
        refuse_format(out, predictor.made, predictor.axes)
        result = out
        if out not in kept:
            ready = remembering(predictor, out, about)
            write_array(predictor, predict_array(predictor, pixels), None, out, ready)
    if drawn is not None and drawn not in kept:
        about = about if out is None else about_drawn(predictor, pixels, out)
        draw_overlay(predictor, pixels, result, drawn, about)
    return result


def _kept(
    predictor: Predictor, image: Source, out: Path | None, drawn: Path | None
) -> frozenset[Path]:
    """As `kept_outputs`, of an image that may go nowhere."""
    first = out or drawn
    if first is None:
        return frozenset()
    return kept_outputs(predictor, {first: image}, {} if drawn is None else {first: drawn})


def _file(
    predictor: Predictor,
    image: ImageFiles,
    out: Path,
    drawn: Path | None,
    kept: frozenset[Path],
    written: bool = False,
) -> Path:
    """One image into a file, with its picture, but for what is kept or was written just now."""
    settings = predictor.settings
    journal = Journal() if settings.journal is None else settings.journal
    refuse_format(out, predictor.made, predictor.axes)
    drawing = drawn is not None and drawn not in kept
    if drawn is not None and drawing:
        refuse_taken(drawn, settings.overwrite)
    if written:
        remove_pieces(partial_folder(out))
    elif out in kept:
        # An interruption between the last two steps, renaming and this, leaves them.
        remove_made_pieces(out)
        journal.kept.append(out)
    else:
        journal.written.append(predict_file(predictor, image, out))
    if drawn is not None and drawing:
        draw_overlay(predictor, image, out, drawn, about_drawn(predictor, image, out))
        journal.pictures.append(drawn)
    return out


def _folder(
    model: Any, folder: Path, target: Path, told: Settings, drawn: Path | None
) -> list[Path]:
    """Every image of a folder in a file of the same stem; one that fails stops no other."""
    refuse_folders(target, drawn)
    problems, errors = list[str](), list[NormwiseError]()
    found = images_in(model, folder, problems, (target, drawn))
    predictor = Predictor(model, told)
    scenes = outputs_in(target, found, predictor.made)
    pictures = pictures_in(drawn, scenes)
    refuse_inputs(model, found.values(), (*scenes, *pictures.values()))
    fit = set(fitting(predictor, found, problems).values())
    scenes = {out: files for out, files in scenes.items() if files in fit}
    kept = kept_outputs(predictor, scenes, pictures)
    left = {out: files for out, files in scenes.items() if out not in kept}
    ended = told.remote.whole_scenes(predictor, left, folder.name) if told.remote else {}
    done = []
    for out, files in scenes.items():
        try:
            if error := ended.get(out):
                raise error
            with one_of_several(files):
                done.append(_file(predictor, files, out, pictures.get(out), kept, out in ended))
        except NormwiseError as error:
            problems.append(str(error))
            errors.append(error)
    if problems:
        if told.journal is not None:
            told.journal.problems += problems
        there = sum(out in kept for out in done)
        ended_as = f"{len(done) - there} predicted, {f'{there} kept, ' if there else ''}"
        ended_as = f"{folder}: {ended_as}{len(problems)} failed."
        raise DataError(ended_as, problems) from next(iter(errors), None)
    return done
