"""What the output of a prediction is made from, as its record tells (`rasters.output_records`)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from normwise.files import Ready
from normwise.rasters import ImageFiles
from normwise.rasters.beside import Stamp, stamps_of
from normwise.rasters.output_records import remember
from normwise.workflows.prediction_outputs import legend_of
from normwise.workflows.resuming import made_by

if TYPE_CHECKING:
    from normwise.inference.tiled import Tiles
    from normwise.workflows.prediction_images import Image
    from normwise.workflows.predictor import Predictor

Source = ImageFiles | npt.NDArray[Any]
"""An image: its file, the files of its bands, or its pixels."""
About = dict[str, Any]
Stamps = list[Stamp]

TILE: Final = "tile"
ENGINES: Final = "engines"


def stamps(source: Source) -> Stamps:
    """What changes with an image: places, bytes and times of its files, or a hash of its pixels.

    Args:
        source: The image, before it is opened.
    """
    if not isinstance(source, np.ndarray):
        return stamps_of(source)
    found = sha256()
    for part in source:
        found.update(part.tobytes())
    return [(f"{source.dtype.str} {source.shape}", source.nbytes, found.hexdigest()[:16])]


def about_output(predictor: Predictor, before: Stamps, image: Image, tiles: Tiles | None) -> About:
    """What an output is made from.

    Where the files of an image lie makes no difference, nor do tiles of another size that equal the
    whole image.

    Args:
        predictor: What predicts it.
        before: Of the image, from before it was opened; see `stamps`.
        image: It, open.
        tiles: How it is cut; None if that doesn't matter.
    """
    made = predictor.made
    legend = () if made.legend is None else (made.legend.names, made.legend.colours)
    told = {
        **made_by(predictor, image),
        "image": [[Path(place).name, size, time] for place, size, time in before],
        "names": made.names,
        "legend": legend,
    }
    return told if tiles is None else {**told, TILE: _blended(tiles)}


def about_picture(predictor: Predictor, about: Mapping[str, Any]) -> About:
    """What the picture of an output is made from: classes are drawn of probabilities, too.

    Args:
        predictor: What predicts it.
        about: What the output is.
    """
    made = predictor.made
    drawn = [legend_of(made.member, head) for head in made.heads if made.drawn_as_classes(head)]
    return {**about, "colours": [(legend.names, legend.colours) for legend in drawn]}


def remembering(predictor: Predictor, out: Path, about: Mapping[str, Any]) -> Ready:
    """What is done when an output is whole: its record is written.

    Args:
        predictor: What predicts it; it knows by then what computes, where `about` doesn't say so.
        out: The output.
        about: What it is made from.
    """
    return lambda whole: remember(out, whole, {ENGINES: predictor.engines, **about})


def _blended(tiles: Tiles) -> list[int] | None:
    """The size of tiles that are blended; others equal the whole image."""
    return None if tiles.exact or len(tiles) == 1 else list(tiles.tile)
