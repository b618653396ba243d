"""Whether an image is such that a model was made for: axes, bands, their order, type and place."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from normwise.errors import DataError, NetworkError, PredictionError, RasterError
from normwise.rasters import ImageFiles, RasterInfo, raster_info, suffix_of
from normwise.workflows.one_of_several import one_of_several
from normwise.workflows.runs import record_of_run

if TYPE_CHECKING:
    from normwise.data.reading import Record
    from normwise.workflows.predictor import Predictor

log = logging.getLogger("normwise.inference")

_PLACED: Final = (".tif", ".tiff", ".vrt")
_UNCHECKED: Final = "If it is meant, go on with --unchecked."


def refuse_unfit(predictor: Predictor, info: RasterInfo) -> None:
    """Refuses an image that doesn't fit the model; one line for each reason.

    Args:
        predictor: The model.
        info: The image.

    Raises:
        NetworkError: It has other axes or channels than the model takes.
        RasterError: It lacks bands that are wanted.
        DataError: Its bands stand in another order than the run's, their numbers are of another
            kind, or it has no coordinate system though the run's images had one.
    """
    try:
        predictor.refuse_misfit(info.shape, info.channels)
    except (NetworkError, RasterError) as error:
        raise type(error)(f"{info.path}: {error}") from error
    problems = list(dict.fromkeys(_unlike(predictor, info)))
    if problems:
        raise DataError(
            f"{info.path}: is unlike the images that the model was trained on. {_UNCHECKED}",
            problems,
        )


def say_opacity(predictor: Predictor, info: RasterInfo) -> None:
    """Says that what is transparent is predicted, where nothing but opacity tells it apart.

    Args:
        predictor: The models.
        info: The image.
    """
    alpha = info.alpha
    if alpha is None or info.masked or info.nodata is not None or predictor.marks:
        return
    if any(alpha in intake.of(info.channels) for intake in predictor.intakes):
        return
    others = " ".join(f"-b {band + 1}" for band in range(info.channels) if band != alpha)
    log.warning(
        "%s: band %d is opacity (alpha), which is no mask: transparent pixels are predicted like "
        "others. Make it a mask if they hold no data: gdal_translate %s -mask %d",
        info.path.name, alpha + 1, others, alpha + 1,
    )  # fmt: skip


def fitting(
    predictor: Predictor, images: Mapping[str, ImageFiles], problems: list[str]
) -> Mapping[str, ImageFiles]:
    """The images of a folder that can be predicted, by what their headers say.

    What is wrong with the others is logged at once, before the work starts.

    Args:
        predictor: The model.
        images: By their names.
        problems: Gets a line for each image that is left out.
    """
    unfit = {name: reason for name, path in images.items() if (reason := unfit_of(predictor, path))}
    problems += unfit.values()
    if problems and len(unfit) < len(images):
        log.warning(
            "Can't be predicted and are left out (%d):\n%s",
            len(problems), "\n".join(f"  {problem}" for problem in problems),
        )  # fmt: skip
    return {name: files for name, files in images.items() if name not in unfit}


def unfit_of(predictor: Predictor, path: ImageFiles) -> str:
    """Why an image can't be predicted, from its header; empty if it can.

    Args:
        predictor: The model.
        path: The image.
    """
    try:
        with one_of_several(path):
            refuse_unfit(predictor, raster_info(path, 3 if predictor.axes == 3 else 2))
    except (DataError, NetworkError, PredictionError, RasterError) as error:
        return str(error)
    return ""


def _unlike(predictor: Predictor, info: RasterInfo) -> Iterator[str]:
    if not predictor.settings.checked:
        return
    for member, bands in zip(predictor.named, predictor.bands, strict=True):
        record = record_of_run(member)
        if record is None:
            continue
        if predictor.settings.bands is None:
            yield from _other_order(record, bands, info)
        yield from _other_kind(record, info)
        nowhere = info.crs is None and info.geolocation is None
        if record.placed and nowhere and suffix_of(info.path) in _PLACED:
            yield (
                "it has no coordinate system, and neither would its prediction; give it one: "
                f"gdal_edit -a_srs EPSG:... {info.path.name}"
            )


def _other_order(record: Record, bands: Any, info: RasterInfo) -> Iterator[str]:
    """Bands that stand elsewhere than the run's, or are others; wholly other names say nothing."""
    trained, own = record.channels or [], list(info.band_names)
    known = [name.lower() for name in own]
    if len(set(known)) < len(known):
        return
    used = [
        index for index in (range(len(trained)) if bands is None else bands) if index < len(trained)
    ]
    wanted = [trained[index] for index in used]
    same = [name.lower() for name in wanted]
    alike = all(index < len(own) and trained[index].lower() == known[index] for index in used)
    if alike or not set(same) & set(known):
        return
    order = [known.index(name) for name in same if name in known]
    chosen = ",".join(map(str, order))
    advice = f" Choose them: --bands {chosen}" if len(order) == len(wanted) else ""
    yield (
        f"its bands are {', '.join(own)}, and the model takes {', '.join(wanted)} in this order."
        f"{advice}"
    )


def _other_kind(record: Record, info: RasterInfo) -> Iterator[str]:
    """Numbers of another kind, such as reflectances from 0 to 1 for counts up to 10,000."""
    if record.dtype is None or info.masked:
        return
    trained, own = np.dtype(record.dtype), info.dtype
    bytes_differ = (trained == np.uint8) != (own == np.uint8)
    if (trained.kind == "f") == (own.kind == "f") and not bytes_differ:
        return
    yield (
        f"its pixels are {own.name}, and the model was trained on {trained.name}; scale them to "
        "the same numbers"
    )
