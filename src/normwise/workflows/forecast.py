"""What a prediction would do, without doing it: tiles, the share of halos, memory, problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normwise.distributed.where import RAY, where_of
from normwise.errors import DataError, NetworkError, NormwiseError
from normwise.inference.engines.wanted import Wanted
from normwise.rasters import ImageFiles
from normwise.workflows.amounts import bytes_of
from normwise.workflows.ensembles import members_of
from normwise.workflows.kept_outputs import kept_outputs
from normwise.workflows.models import refuse_missing
from normwise.workflows.overlays import refuse_picture
from normwise.workflows.own_modules import OwnModules
from normwise.workflows.predict_on_ray import remotely
from normwise.workflows.predicted import files_of, reasons_in
from normwise.workflows.predicted_files import opened, refuse_output
from normwise.workflows.prediction_fit import unfit_of
from normwise.workflows.prediction_images import Image
from normwise.workflows.prediction_inputs import refuse_inputs
from normwise.workflows.prediction_writing import (
    outputs_in,
    pictures_in,
    refuse_folders,
    refuse_format,
)
from normwise.workflows.predictor import Predictor, Settings
from normwise.workflows.resuming import tiles_for
from normwise.workflows.scenes import images_in, single_image

if TYPE_CHECKING:
    from normwise.inference.tiled import Tiles

_SIDES: Final = (128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class TileRow:
    """Tiles of one size.

    Attributes:
        tile: Pixels along each axis.
        count: How many of them the image takes.
        wasted: The share of the computed pixels that is halo or overlap.
        memory: About what the prediction needs beside Keras and the weights, in bytes.
        chosen: Whether the image will be predicted by them.
    """

    tile: tuple[int, ...]
    count: int
    wasted: float
    memory: int
    chosen: bool = False

    def __str__(self) -> str:
        size = "x".join(map(str, self.tile))
        number = "whole" if self.count == 1 else f"{self.count} tiles"
        mark = "  <- chosen" if self.chosen else ""
        return f"{size:>12} {number:>14} {self.wasted:>7.1%} {self.memory / 1e9:>9.2f} GB{mark}"


@dataclass(frozen=True)
class Forecast:
    """How one image will be predicted.

    Attributes:
        name: Of the image.
        files: Its files.
        out: What would be written.
        size: Pixels along each axis.
        exact: Whether tiles equal the whole image, to rounding.
        rows: Sizes of tiles, the chosen one among them.
        reasons: What makes exact tiles impossible.
    """

    name: str
    files: tuple[Path, ...]
    out: Path
    size: tuple[int, ...]
    exact: bool
    rows: tuple[TileRow, ...]
    reasons: tuple[str, ...] = ()

    @property
    def chosen(self) -> TileRow:
        """The tiles that will be used."""
        return next(row for row in self.rows if row.chosen)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the names are those of what was predicted (`Predicted`)."""
        chosen = self.chosen
        return {
            "files": [str(file) for file in self.files],
            "out": str(self.out),
            "size": self.size,
            "tile": chosen.tile,
            "tiles": chosen.count,
            "wasted": chosen.wasted,
            "exact": self.exact or chosen.count == 1,
            "reasons": self.reasons,
            "memory": chosen.memory,
            "choices": [
                {"tile": row.tile, "tiles": row.count, "wasted": row.wasted, "memory": row.memory}
                for row in self.rows
            ],
        }

    def __str__(self) -> str:
        wasted = "on halos" if self.exact else "on overlaps"
        head = f"{'tile':>12} {'':>14} {wasted:>11} {'memory':>8}"
        kind = "tiles equal the whole image" if self.exact else "overlapping tiles are blended"
        whole = self.chosen.count == 1
        lines = [f"{self.name}: {'x'.join(map(str, self.size))} pixels, "
                 f"{'predicted whole' if whole else kind}"]  # fmt: skip
        lines += [f"  {reason}" for reason in self.reasons]
        return "\n".join([*lines, head, *map(str, self.rows)])


def forecast(  # noqa: PLR0913 - as `predict`
    model: Any,
    image: Any,
    out: str | PathLike[str],
    *,
    memory: int | str | None = None,
    engine: str = "keras",
    precision: str = "float32",
    on: str | None = None,
    processes: int | None = None,
    overlay: str | PathLike[str] | None = None,
    imports: str | Sequence[str] = (),
    **options: Any,
) -> list[Forecast]:
    """Looks at everything that a prediction needs, and says how it would be done.

    Args:
        model: As for `predict`.
        image: A file, the files of its bands, or a folder of images.
        out: Where the prediction would be written.
        memory: As for `predict`.
        engine: As for `predict`; it must be installed.
        precision: As for `predict`.
        on: As for `predict`; the cluster is asked how many tasks share a machine's memory.
        processes: As for `predict`.
        overlay: As for `predict`.
        imports: As for `predict`.
        options: The other arguments of `predict`; see `Settings`. The journal is told what would be
            kept.

    Returns:
        One for each image whose output isn't kept.

    Raises:
        NormwiseError: As `predict` would; of a folder with all problems together.
    """
    for member in members_of(model):
        refuse_missing(member)
    told = Settings(memory=bytes_of(memory), wanted=Wanted(engine, precision), **options)
    drawn = None if overlay is None else Path(fspath(overlay))
    where, modules = where_of(on, processes, (RAY,)), OwnModules.imported(imports)
    with remotely(where, model, modules) as remote:
        return _forecasts(model, image, Path(fspath(out)), drawn, replace(told, remote=remote))


def _forecasts(
    model: Any, image: Any, target: Path, drawn: Path | None, told: Settings
) -> list[Forecast]:
    single = single_image(model, image, target)
    if single is not None:
        refuse_inputs(model, [single], (target, drawn))
        refuse_picture(drawn, told)
        refuse_output(target, told)
        predictor = Predictor(model, told)
        scenes: Mapping[Path, ImageFiles] = {target: single}
        left = _left(predictor, scenes, {} if drawn is None else {target: drawn})
        return [_of_file(predictor, files, out, drawn) for out, files in left.items()]
    refuse_folders(target, drawn)
    problems: list[str] = []
    images = images_in(model, Path(fspath(image)), problems, (target, drawn))
    predictor, found = Predictor(model, told), []
    scenes = outputs_in(target, images, predictor.made)
    pictures = pictures_in(drawn, scenes)
    refuse_inputs(model, images.values(), (*scenes, *pictures.values()))
    unfit = {out: why for out, files in scenes.items() if (why := unfit_of(predictor, files))}
    problems += unfit.values()
    scenes = {out: files for out, files in scenes.items() if out not in unfit}
    for to, files in _left(predictor, scenes, pictures).items():
        try:
            found.append(_of_file(predictor, files, to, pictures.get(to)))
        except NormwiseError as error:
            problems.append(str(error))
    if problems:
        raise DataError(f"{image}: {len(problems)} of its images can't be predicted.", problems)
    return found


def _left(
    predictor: Predictor, scenes: Mapping[Path, ImageFiles], pictures: Mapping[Path, Path]
) -> Mapping[Path, ImageFiles]:
    """The images whose outputs aren't kept."""
    kept, journal = kept_outputs(predictor, scenes, pictures), predictor.settings.journal
    if journal is not None:
        journal.kept += [out for out in scenes if out in kept]
    return {out: files for out, files in scenes.items() if out not in kept}


def _of_file(predictor: Predictor, files: ImageFiles, out: Path, drawn: Path | None) -> Forecast:
    refuse_picture(drawn, predictor.settings)
    refuse_format(out, predictor.made, predictor.axes)
    refuse_output(out, predictor.settings)
    with opened(predictor, files) as (image, info):
        tiles = tiles_for(predictor, image, out)
        rows = tuple(_rows(predictor, image, tiles))
        name = info.path.name
    told = () if tiles.exact or len(tiles) == 1 else reasons_in(predictor)
    return Forecast(name, files_of(files), out, tuple(image.size), tiles.exact, rows, told)


def _rows(predictor: Predictor, image: Image, chosen: Tiles) -> Iterator[TileRow]:
    """Tiles of a few sizes, from small to large; those without room for a halo are left out."""
    from normwise.inference import tile_size  # noqa: PLC0415 - needs a backend
    from normwise.inference.tiled import tiles_of  # noqa: PLC0415

    members = predictor.members
    fixed = tile_size.fixed_sizes(members)
    asked = (tile_size.asked_for(side, members, image.size) for side in _SIDES)
    sizes = {tile_size.with_fixed(tile, fixed) for tile in asked if tile is not None}
    for tile in sorted({*sizes, chosen.tile}, key=prod):
        try:
            tiles = chosen if tile == chosen.tile else tiles_of(members, image.size, tile)
        except NetworkError:
            continue
        wasted = 1 - prod(image.size) / tiles.computed
        needed = tile_size.bytes_of(members, tile, not tiles.exact)
        yield TileRow(tile, len(tiles), wasted, needed, tile == chosen.tile)
