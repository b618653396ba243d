"""Going on with an interrupted prediction: what it must have in common with the one before."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import normwise
from normwise.backend import require_backend
from normwise.environment import installed
from normwise.errors import RasterError
from normwise.rasters.beside import Stamp
from normwise.rasters.made_from import differences, refuse_other
from normwise.rasters.output_records import remembered
from normwise.rasters.partial import PartialImage, begun_with, partial_folder, remove_pieces

if TYPE_CHECKING:
    from normwise.inference.tiled import Tiles
    from normwise.workflows.prediction_images import Image
    from normwise.workflows.predictor import Predictor

_RUNTIMES: Final = ("openvino", "onnxruntime")
_AS_GOOD: Final = frozenset({"image", "tile"})
"""What is told in another way of an output that stays, which is of the same image."""


def tiles_for(predictor: Predictor, image: Image, out: Path) -> Tiles:
    """How an image is cut; as it was before, if an interrupted prediction is gone on with.

    The size that is chosen by default depends on the memory that is free at the moment. Pieces
    that are there would be lost if that had changed.

    Args:
        predictor: What predicts it.
        image: The image.
        out: Where the prediction goes.

    Raises:
        RasterError: What is there was made by another model, and may not be replaced.
        NetworkError: No model takes such an image, the tile is too small or none fits.
    """
    settings = predictor.settings
    if not settings.resume or settings.tile is not None or settings.memory is not None:
        return predictor.tiles(image)
    return predictor.tiles(image, tile=_tile_before(predictor, image, partial_folder(out)))


def _tile_before(predictor: Predictor, image: Image, folder: Path) -> list[int] | None:
    """The tile of the pieces that are there; those of another model decide nothing."""
    begun = begun_with(folder)
    if begun and begun.get("model") != predictor.fingerprint:
        if not predictor.settings.overwrite:
            refuse_other(folder, {**begun, "model": predictor.fingerprint})
        return None
    tile = begun.get("tile")
    if not isinstance(tile, list) or len(tile) != len(image.size):
        return None
    return tile if all(isinstance(side, int) and side > 0 for side in tile) else None


def remove_made_pieces(out: Path) -> None:
    """Removes pieces from beside the output that was made of them.

    Those of another prediction, which may have been interrupted, stay.

    Args:
        out: The output, which is there.
    """
    folder = partial_folder(out)
    begun = begun_with(folder)

    def made(about: Mapping[str, Any]) -> bool:
        shared = begun.keys() & about.keys() - _AS_GOOD
        return not differences(*({key: one[key] for key in shared} for one in (begun, about)))

    if not begun or any(map(made, remembered(out))):
        remove_pieces(folder)


def pieces_of(
    predictor: Predictor, image: Image, before: Sequence[Stamp], out: Path, tiles: Tiles
) -> PartialImage:
    """The pieces of an output, with those of an interrupted prediction if it is gone on with.

    Args:
        predictor: What predicts it.
        image: The image.
        before: Of its files, from before it was opened; see `rasters.beside`.
        out: Where the prediction goes.
        tiles: How the image is cut.

    Raises:
        OutputExistsError: There are pieces, which may be neither gone on with nor replaced.
        RasterError: They were made in another way; or the disk is full.
    """
    settings, shape = predictor.settings, (*image.size, predictor.outputs)
    told = partial_folder(out), shape, predictor.dtype, _about(predictor, image, before, tiles)
    pieces = PartialImage(*told, settings.resume, settings.overwrite)
    try:
        _keep_engines(predictor, pieces)
    except RasterError:
        pieces.close()
        if not settings.overwrite:
            raise
        return PartialImage(*told, overwrite=True)
    except BaseException:
        pieces.close()
        raise
    return pieces


def _keep_engines(predictor: Predictor, pieces: PartialImage) -> None:
    """What computed the pieces that are there computes the rest, however fast others are now."""
    if not pieces.done or not pieces.found:
        return
    names = pieces.found if isinstance(pieces.found, list) else [pieces.found]
    engines = [None if name is None else str(name) for name in names]
    if not predictor.keep_engines(engines):
        raise RasterError(
            f"{pieces.folder}: its pieces were computed by {', '.join(filter(None, engines))}, "
            "which can't be used now. Begin anew with --overwrite."
        )


def _about(
    predictor: Predictor, image: Image, before: Sequence[Stamp], tiles: Tiles
) -> dict[str, Any]:
    """Everything that the values in an output depend on, as it was resolved."""
    return {
        **made_by(predictor, image),
        "image": list(before),
        "tile": list(tiles.tile),
        "exact": tiles.exact,
    }


def made_by(predictor: Predictor, image: Image) -> dict[str, Any]:
    """What values depend on beside the image and its tiles, as it was resolved.

    Args:
        predictor: What predicts.
        image: Whose missing pixels are marked.
    """
    settings = predictor.settings
    return {
        "model": predictor.fingerprint,
        "bands": [None if bands is None else list(bands) for bands in predictor.bands],
        "nodata": list(image.marks),
        "fill": predictor.fills,
        "tta": predictor.views,
        "outputs": [head.name for head in predictor.made.heads],
        "classes": settings.classes,
        "std": settings.std,
        "engine": settings.wanted.engine,
        "precision": settings.wanted.precision,
        "software": _software(predictor),
    }


def _software(predictor: Predictor) -> dict[str, str]:
    """What computes, with versions: others may round in another way."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    backend = require_backend()
    versions = {"normwise": normwise.__version__, "keras": keras.__version__}
    versions[backend] = str(getattr(sys.modules.get(backend), "__version__", ""))
    if predictor.settings.wanted.is_plain:
        return versions
    return versions | {name: said for name, said in installed().items() if name in _RUNTIMES}
