"""From image files to predicted files: whole, or tile by tile with bounded memory."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from normwise.data.pixels import marks_of
from normwise.errors import NetworkError, RasterError
from normwise.files import Ready
from normwise.rasters import (
    Dimensions,
    ImageFiles,
    RasterInfo,
    open_raster,
    suffix_of,
)
from normwise.rasters.outputs import Naming, refuse_taken
from normwise.rasters.partial import PartialImage, partial_folder, remove_pieces
from normwise.workflows.made_outputs import About, Stamps, about_output, remembering, stamps
from normwise.workflows.predicted import Predicted, reasons_in
from normwise.workflows.prediction_fit import refuse_unfit, say_opacity
from normwise.workflows.prediction_images import Image, Read, Region
from normwise.workflows.prediction_progress import Watcher, watching
from normwise.workflows.prediction_writing import say_unkept, write_prediction
from normwise.workflows.predictor import Predictor, Settings
from normwise.workflows.resuming import pieces_of, tiles_for

if TYPE_CHECKING:
    from normwise.inference.tiled import Piece, Tiles

Array = npt.NDArray[Any]

log = logging.getLogger("normwise.inference")


def refuse_output(out: Path, settings: Settings) -> None:
    """Refuses an output by what is known before the model is read.

    Raises:
        OutputExistsError: It is there and may be neither kept nor replaced, or can't be an output.
        NormwiseError: Its folder may not be looked into.
    """
    refuse_taken(out, settings.overwrite or settings.resume)


def predict_array(predictor: Predictor, pixels: Array) -> Array:
    """The prediction of raw pixels of shape (..., channels)."""
    image = Image(pixels, predictor.marks)
    return _predicted(predictor, image, "image", predictor.tiles(image))


def read_and_predict(predictor: Predictor, path: ImageFiles) -> tuple[Array, RasterInfo]:
    """The prediction of one file, in memory; its name stands in errors."""
    with opened(predictor, path) as (image, info):
        say_opacity(predictor, info)
        return _predicted(predictor, image, info.path.name, predictor.tiles(image)), info


def predict_file(
    predictor: Predictor, path: ImageFiles, out: Path, about: About | None = None
) -> Predicted:
    """Predicts one file into another; says how.

    Args:
        predictor: What predicts it.
        path: The file, or those of the bands.
        out: The file to write, which is not there, or may be replaced.
        about: What it is made from, if who asks for it has found that out.
    """
    refuse_taken(out, predictor.settings.overwrite)
    started, before = time.perf_counter(), stamps(path)
    with opened(predictor, path) as (image, info):
        say_opacity(predictor, info)
        say_unkept(info, out)
        tiles = tiles_for(predictor, image, out)
        about = about or about_output(predictor, before, image, tiles)
        ready = remembering(predictor, out, about)
        if len(tiles) > 1:
            tiles = _by_tiles(predictor, image, info, before, out, tiles, ready)
        else:
            result = _predicted(predictor, image, info.path.name, tiles)
            write_array(predictor, result, info, out, ready)
            # Pieces of an earlier attempt by tiles are of no use any more.
            remove_pieces(partial_folder(out))
    return Predicted.of(predictor, path, out, tiles, time.perf_counter() - started)


def write_array(
    predictor: Predictor, result: Array, like: RasterInfo | None, out: Path, ready: Ready
) -> None:
    """Writes a prediction that is in memory; `ready` is called before it gets its name."""
    naming = Naming(predictor.settings.overwrite, ready)
    write_prediction(predictor.made, lambda *area: result[area], result.shape, like, out, naming)


@contextmanager
def opened(predictor: Predictor, path: ImageFiles) -> Iterator[tuple[Image, RasterInfo]]:
    """An image file that fits the models, open as they take it; its name stands in errors."""
    axes: dict[int, Dimensions] = {2: 2, 3: 3}
    with open_raster(path, axes.get(predictor.axes)) as raster:
        refuse_unfit(predictor, raster.info)
        try:
            yield Image(raster, marks_of(*predictor.marks, raster.info.nodata)), raster.info
        except NetworkError as error:
            raise NetworkError(f"{raster.info.path}: {error}") from error


def _predicted(predictor: Predictor, image: Image, name: str, tiles: Tiles) -> Array:
    result = np.empty((*image.size, predictor.outputs), predictor.dtype)

    def put(region: Region, values: Array) -> None:
        result[region] = values

    with _watching(predictor, name, tiles, frozenset()) as watch:
        _run(predictor, image, tiles, frozenset(), put, watch)
    return result


def _by_tiles(
    predictor: Predictor,
    image: Image,
    info: RasterInfo,
    before: Stamps,
    out: Path,
    tiles: Tiles,
    ready: Ready,
) -> Tiles:
    """Tile by tile into a file beside the output, which becomes the output when it is whole.

    Returns:
        The tiles that were predicted, which may begin where an interrupted prediction ended.
    """
    partial = pieces_of(predictor, image, before, out, tiles)
    try:
        done = partial.done
        if not tiles.exact and done:
            tiles = predictor.tiles(image, _begin(done, tiles.size), tiles.tile)
        held = tiles.held_in(partial.folder)
        with held, _watching(predictor, info.path.name, tiles, done) as watch:

            def put(region: Region, values: Array) -> None:
                if predictor.engines:
                    partial.remember(predictor.engines)
                partial.write(region, values, _name(region))

            _run(predictor, image, tiles, done, put, watch)
        partial.sync()
        _assemble(predictor, partial, info, out, ready)
    except BaseException:
        partial.close()
        raise
    partial.close()
    partial.remove()
    return tiles


def _run(
    predictor: Predictor,
    image: Image,
    tiles: Tiles,
    done: frozenset[str],
    put: Callable[[Region, Array], None],
    watch: Watcher,
) -> None:
    """Reads, predicts and hands on piece by piece, the three at the same time."""
    from normwise.inference.pipeline import behind  # noqa: PLC0415 - light start-up

    remote = predictor.settings.remote
    if remote is None:
        values_of = values_here(tiles, predictor.reader(image), tiles.pieces(done))
    else:
        values_of = remote.values(predictor, image, tiles, tiles.pieces(done))

    def finish(found: tuple[Region, Array]) -> None:
        put(found[0], predictor.finished(found[1]))

    with closing(values_of), behind(finish) as hand:
        for piece, values in values_of:
            found = tiles.placed(piece, values)
            if found is not None:
                hand(found)
            watch()
    _report(predictor, tiles)
    if image.infinite.values:
        log.warning(
            "%s: %s of the values that were read are infinite, or too large for float32: they "
            "count as missing.", image.name, image.infinite,
        )  # fmt: skip


def values_here(
    tiles: Tiles, read: Read, pieces: Iterable[Piece]
) -> Generator[tuple[Piece, Array], None, None]:
    """Pieces with what is predicted of them; the next ones are read meanwhile.

    Args:
        tiles: How the image is cut.
        read: As `Predictor.reader` gives it.
        pieces: Of these tiles.
    """
    from normwise.inference.pipeline import ahead  # noqa: PLC0415 - light start-up

    for piece, (images, empty) in ahead((piece, read(piece.context)) for piece in pieces):
        yield piece, tiles.predicted(piece, images, empty)


def _assemble(
    predictor: Predictor, partial: PartialImage, info: RasterInfo, out: Path, ready: Ready
) -> None:
    """Makes the output of its pieces, in their folder, so that an interruption leaves nothing else.

    Then it is renamed. A disk that is full by then costs nothing of what is done.
    """
    overwrite, suffix = predictor.settings.overwrite, suffix_of(out)
    made = partial.pixels
    if suffix != ".npy":
        made = partial.folder / out.name
        with open_raster(partial.pixels) as raster:
            partial.refuse_lost()  # of the file that is open now
            write_prediction(predictor.made, raster.read, partial.shape, info, made, Naming(True))
    partial.refuse_lost()
    try:
        ready(made)
    except OSError as error:
        raise RasterError(
            f"{out}: can't be written ({error.strerror or error}). What is done is kept: make room "
            "and go on (--resume)."
        ) from error
    with Naming(overwrite).whole(out) as temporary:
        made.replace(temporary)


def _begin(done: frozenset[str], size: Sequence[int]) -> int:
    """The rows (of volumes slices) that are done over their whole width.

    Args:
        done: The names of the regions that are done.
        size: Pixels of the image along each axis.
    """
    found: Counter[tuple[int, ...]] = Counter()
    for name in done:
        first, *rest = (tuple(map(int, span.split("-"))) for span in name.split("_"))
        found[first] += prod(stop - start for start, stop in rest)
    begin = 0
    for (start, stop), pixels in sorted(found.items()):
        if start != begin or pixels < prod(size[1:]):
            break
        begin = stop
    return begin


def _name(region: Region) -> str:
    from normwise.inference.tiled import name_of  # noqa: PLC0415 - needs a backend

    return name_of(region)


def _watching(predictor: Predictor, name: str, tiles: Tiles, done: frozenset[str]) -> Any:
    size = "x".join(map(str, tiles.tile))
    share = 1 - prod(tiles.size) / tiles.computed
    what = "halos" if tiles.exact else "overlaps"
    note = f"tiles of {size} pixels, {share:.0%} of the work on {what}"
    begun = len(tiles) - tiles.left(done)
    return watching(predictor.settings.progress, name, len(tiles), begun, note)


def _report(predictor: Predictor, tiles: Tiles) -> None:
    """Why tiles were blended, and how well they fit."""
    from normwise.inference.tiled import ExactTiles  # noqa: PLC0415 - needs a backend

    if isinstance(tiles, ExactTiles) or len(tiles) == 1:
        return
    reasons = reasons_in(predictor)
    why = "; ".join(reasons[:3]) or "tiles of the model's size have no room for it"
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    fit = "How well they fit was not measured: of those predicted now, no two with data overlap."
    if tiles.mismatch is not None:
        fit = f"Where neighbours overlap they differ by {tiles.mismatch:.3g} (root mean square)."
    log.warning(
        "No halo makes tiles equal the whole image (%s%s): overlapping tiles were blended. %s",
        why, more, fit,
    )  # fmt: skip
