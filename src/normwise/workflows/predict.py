"""Applying a model to whole images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from normwise.backend import require_backend
from normwise.errors import DataError, NetworkError, NormwiseError, OutputExistsError, RasterError
from normwise.rasters import (
    Dimensions,
    ImageFiles,
    RasterInfo,
    raster_info,
    read_raster,
    suffix_of,
    write_raster,
)
from normwise.workflows.ensembles import members_of
from normwise.workflows.models import live_model, refuse_missing
from normwise.workflows.runs import (
    data_settings,
    fill_of_run,
    output_names,
    reading_of,
    views_of_run,
)
from normwise.workflows.scenes import images_in, single_image

Array = npt.NDArray[Any]
# Formats of images whose predictions are written in the same one; those of others are GeoTIFF.
_KEPT = frozenset({".npy", ".nii", ".nii.gz", ".zarr"})
PROBABILITIES = frozenset({"sigmoid", "softmax"})
OVER_HALF = 0.5


def predict(
    model: Any,
    image: Array | str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    classes: bool = False,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    tta: str | None = None,
    overwrite: bool = False,
) -> Array | Path | list[Path]:
    """Predicts a whole image of any size, or every image of a folder.

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
        overwrite: Whether existing files may be replaced.

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
        NetworkError: The image has other channels than the model takes.
        OutputExistsError: `out` exists and `overwrite` is False.
    """
    for member in members_of(model):
        refuse_missing(member)
    if isinstance(image, np.ndarray):
        predictor = _Predictor(model, classes, bands, nodata, tta)
        result = predictor.array(_with_channels(image), predictor.nodata)
        if out is None:
            return result
        return _write(result, None, Path(fspath(out)), overwrite, predictor.names)
    single = single_image(model, image, out)
    if single is None:
        path = Path(fspath(cast("str", image)))
        if out is None:
            raise DataError(f"{path} is a folder of images: name a folder to write to with `out`.")
        return _folder(model, path, Path(fspath(out)), classes, bands, nodata, tta, overwrite)
    if out is not None:
        _refuse_existing(Path(fspath(out)), overwrite)
    predictor = _Predictor(model, classes, bands, nodata, tta)
    if out is None:
        return predictor.read(single)[0]
    return predictor.file(single, Path(fspath(out)), overwrite)


def _folder(
    model: Any,
    folder: Path,
    target: Path,
    classes: bool,
    bands: Sequence[int] | None,
    nodata: float | None,
    tta: str | None,
    overwrite: bool,
) -> list[Path]:
    """Every image of a folder in a file of the same stem; one that fails stops no other."""
    problems: list[str] = []
    found = images_in(model, folder, problems)
    predictor = _Predictor(model, classes, bands, nodata, tta)
    written = []
    for name, files in sorted(found.items()):
        try:
            written.append(predictor.file(files, target / f"{name}{_suffix(files)}", overwrite))
        except NormwiseError as error:
            problems.append(str(error))
    if problems:
        raise DataError(f"{folder}: {len(written)} predicted, {len(problems)} failed.", problems)
    return written


class _Predictor:
    """A loaded model with what is needed to read images for it."""

    def __init__(
        self,
        model: Any,
        classes: bool,
        bands: Sequence[int] | None,
        nodata: float | None,
        tta: str | None,
    ) -> None:
        require_backend()
        members = members_of(model)
        each = [data_settings(member) for member in members]
        self.nodata = nodata if nodata is not None else reading_of(members[0]).nodata
        self.bands = [
            bands if bands is not None else settings.bands if settings else None
            for settings in each
        ]
        self.models = [live_model(member) for member in members]
        self.fills = [fill_of_run(member) for member in members]
        self.views = [views_of_run(member, tta) for member in members]
        self.names = ("class",) if classes else output_names(members[0], self.models[0])
        self.classes = classes
        if classes and not all(_gives_probabilities(live) for live in self.models):
            raise NormwiseError(
                "class ids need a model that ends in a sigmoid or softmax; this one doesn't."
            )

    def file(self, path: ImageFiles, out: Path, overwrite: bool) -> Path:
        """Predicts one file into another."""
        _refuse_existing(out, overwrite)
        result, info = self.read(path)
        return _write(result, info, out, overwrite, self.names)

    def read(self, path: ImageFiles) -> tuple[Array, RasterInfo]:
        """The prediction of one file, whose name its errors say."""
        axes = len(self.models[0].input_shape) - 2
        dimensions: Dimensions | None = 3 if axes == 3 else 2 if axes == 2 else None
        info = raster_info(path, dimensions)
        nodata = self.nodata if self.nodata is not None else info.nodata
        try:
            return self.array(read_raster(path, dimensions), nodata), info
        except NetworkError as error:
            raise NetworkError(f"{info.path}: {error}") from error

    def array(self, pixels: Array, nodata: float | None) -> Array:
        """The prediction of raw pixels of shape (rows, columns, channels)."""
        from normwise.inference.ensembles import (  # noqa: PLC0415 - light start-up
            combined,
            predict_views,
        )
        from normwise.training.distribution import Distribution  # noqa: PLC0415

        distribution = Distribution.of_layers(layer.name for layer in self.models[0].layers)
        predictions, empty = [], np.zeros((*pixels.shape[:-1], 1), bool)
        for live, bands, fill, views in zip(
            self.models, self.bands, self.fills, self.views, strict=True
        ):
            chosen = pixels if bands is None else pixels[..., _existing(bands, pixels)]
            missing = _missing(chosen, nodata)
            filled = _filled(live, fill, chosen, missing, nodata)
            predictions.append(predict_views(live, filled, views, distribution.gaussian))
            empty |= np.all(missing, axis=-1, keepdims=True)
        result = combined(predictions, distribution.gaussian)
        if self.classes:
            return np.where(empty, 255, _class_ids(result)).astype(np.uint8)
        return np.where(empty, np.float32(np.nan), result)


def _filled(
    live: Any,
    fill: Sequence[float] | None,
    pixels: Array,
    missing: npt.NDArray[np.bool_],
    nodata: float | None,
) -> Array:
    """An image as a model was trained on it: scaled, and filled where nothing was measured."""
    from normwise.training.evaluate import input_mean  # noqa: PLC0415
    from normwise.training.scaling import scaling_of_model  # noqa: PLC0415

    if scaling := scaling_of_model(live):
        pixels = scaling.scaled(pixels, nodata)
    if missing.any():
        known = fill is not None and len(fill) == missing.shape[-1]
        mean = np.asarray(fill if known else input_mean(live), np.float32)
        if mean.shape[-1] == missing.shape[-1]:  # else the prediction refuses the image, and why
            pixels = np.where(missing, np.broadcast_to(mean, missing.shape), pixels)
    return pixels


def _existing(bands: Sequence[int], pixels: Array) -> list[int]:
    count = pixels.shape[-1]
    if any(not 0 <= band < count for band in bands):
        raise RasterError(f"the image has {count} channels, but bands {list(bands)} are wanted.")
    return list(bands)


def _missing(pixels: Array, nodata: float | None) -> npt.NDArray[np.bool_]:
    missing = np.zeros(pixels.shape, bool)
    if pixels.dtype.kind == "f":
        missing |= np.isnan(pixels)
    if nodata is not None:
        missing |= pixels == nodata
    return missing


def _gives_probabilities(model: Any) -> bool:
    activation = getattr(model.layers[-1], "activation", None)
    return getattr(activation, "__name__", "") in PROBABILITIES


def _class_ids(probabilities: Array) -> Array:
    if probabilities.shape[-1] == 1:
        return np.asarray(probabilities > OVER_HALF)
    return np.asarray(probabilities.argmax(-1)[..., None])


def _with_channels(image: Array) -> Array:
    return image[..., None] if image.ndim == 2 else image


def _suffix(files: ImageFiles) -> str:
    """The suffix of a prediction: the image's own where that can hold it."""
    found = suffix_of(files if isinstance(files, Path) else files[0])
    return found if found in _KEPT else ".tif"


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists already; add --overwrite to replace it.")


def _write(
    result: Array, like: RasterInfo | None, path: Path, overwrite: bool, names: Sequence[str]
) -> Path:
    nodata: float | None = 255.0 if result.dtype == np.uint8 else float("nan")
    if path.suffix.lower() not in {".tif", ".tiff"}:
        nodata, names = None, ()
    write_raster(path, result, like, nodata, overwrite, names)
    return path
