"""Outputs that stay where a prediction is gone on with: those that are made from the same.

Those of another model, image or setting are named before the work begins, all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from normwise.errors import NormwiseError, OutputExistsError
from normwise.files import permitted
from normwise.rasters.made_from import differences
from normwise.rasters.output_records import remembered
from normwise.workflows.made_outputs import (
    ENGINES,
    TILE,
    About,
    Source,
    about_output,
    about_picture,
    stamps,
)
from normwise.workflows.one_of_several import one_of_several
from normwise.workflows.predicted_files import opened
from normwise.workflows.prediction_images import Image

if TYPE_CHECKING:
    from normwise.workflows.predictor import Predictor


def kept_outputs(
    predictor: Predictor, scenes: Mapping[Path, Source], pictures: Mapping[Path, Path]
) -> frozenset[Path]:
    """Outputs and pictures that are there and stay.

    Args:
        predictor: What predicts.
        scenes: The images by their outputs.
        pictures: Of the outputs.

    Returns:
        Those that are made from the same; none unless an interrupted prediction is gone on with.

    Raises:
        OutputExistsError: Others are there and may not be replaced; it names each of them.
        NormwiseError: The only image can't be read any more, or a folder of outputs may not be
            looked into.
    """
    if not predictor.settings.resume:
        return frozenset()
    judged = [
        found
        for out, source in scenes.items()
        for found in _judged(predictor, source, out, pictures.get(out), len(scenes) == 1)
    ]
    others = [f"{path}: {reason}" for path, reason in judged if reason]
    if others and not predictor.settings.overwrite:
        raise _refusal(others)
    return frozenset(path for path, reason in judged if not reason)


def about_drawn(predictor: Predictor, source: Source, out: Path) -> About:
    """What an output that is there is made from, as its record tells; else what it would be.

    Its image may be another one by now, of which no picture of it may be taken to be.

    Args:
        predictor: What predicts it.
        source: The image.
        out: The output.
    """
    found = remembered(out)
    return dict(found[0]) if found else about_now(predictor, source, False)


def about_now(predictor: Predictor, source: Source, tiles: bool = True) -> About:
    """What an output would be made from.

    Args:
        predictor: What predicts it.
        source: The image.
        tiles: Whether its tiles matter.

    Returns:
        As `about_output`.
    """
    before = stamps(source)

    def of(image: Image) -> About:
        return about_output(predictor, before, image, predictor.tiles(image) if tiles else None)

    if isinstance(source, np.ndarray):
        return of(Image(source, predictor.marks))
    with one_of_several(source), opened(predictor, source) as (image, _):
        return of(image)


def _judged(
    predictor: Predictor, source: Source, out: Path, picture: Path | None, alone: bool
) -> Iterator[tuple[Path, str]]:
    """Of an output and its picture those that are there, and why they can't stay.

    Nor can they if something is wrong with their image, which is said at once of one alone.
    """
    there = dict.fromkeys(path for path in (out, picture) if path is not None and _is_there(path))
    if not there:
        return
    settings = predictor.settings
    # A size that is left open may be any: what is free decides it at the moment.
    tiles = settings.tile is not None or settings.memory is not None
    try:
        now = about_now(predictor, source, tiles)
    except NormwiseError as error:
        if alone:
            raise
        yield from ((path, f"can't be compared with its image ({error})") for path in there)
        return
    for path in there:
        made = about_picture(predictor, now) if path == picture else now
        yield path, _other(predictor, path, made)


def _is_there(path: Path) -> bool:
    with permitted(path.parent):
        return path.exists()


def _other(predictor: Predictor, path: Path, now: About) -> str:
    """Why an output can't stay; empty if it can."""
    found = remembered(path)
    if not found:
        return "nothing tells what it was made from"
    told = [_difference(predictor, dict(before), now) for before in found]
    return next((f"was made with another {other}" for other in told if other), "")


def _difference(predictor: Predictor, before: About, now: About) -> str:
    """What differs, where what is left open stays as it was before; empty if nothing does."""
    names = before.pop(ENGINES, [])
    left = {TILE: before[TILE]} if TILE in before and TILE not in now else {}
    other = differences(before, {**now, **left})
    if other or _computes(predictor, names):
        return other
    return differences({ENGINES: names}, {ENGINES: predictor.engines})


def _computes(predictor: Predictor, names: Sequence[str | None]) -> bool:
    """Whether the rest can be computed by the same engines, which it is from then on."""
    if not names or None in names:
        return True
    return predictor.keep_engines(names) if predictor.undecided else names == predictor.engines


def _refusal(others: Sequence[str]) -> OutputExistsError:
    if len(others) == 1:
        return OutputExistsError(
            f"{others[0]}. Replace it with --overwrite beside --resume, or name another output "
            "(-o)."
        )
    told = (
        f"{len(others)} files that are there can't be gone on with. Replace them with --overwrite "
        "beside --resume, which keeps the others, or name another output (-o)."
    )
    return OutputExistsError("\n".join([told, *(f"  - {other}" for other in others)]))
