"""What a prediction did: each file that it wrote, with its tiles, what computed it and how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.inference.engines.wanted import FLOAT32, KERAS
from normwise.rasters import ImageFiles

if TYPE_CHECKING:
    from normwise.inference.tiled import Tiles
    from normwise.workflows.predictor import Predictor


@dataclass(frozen=True)
class Predicted:
    """How an image was predicted into a file.

    Attributes:
        files: Of the image.
        out: What was written.
        size: Pixels along each axis.
        bands: Channels of the output.
        dtype: Of its pixels.
        tile: Pixels of a tile along each axis.
        tiles: How many there were; 1 if the image was predicted whole.
        wasted: The share of the computed pixels that was halo or overlap.
        exact: Whether it equals the prediction of the whole image, to rounding.
        mismatch: The root mean square by which neighbouring tiles differ where they overlap; None
            of exact ones.
        reasons: What made exact tiles impossible.
        engines: What computed for each model; None where no tile had data to choose it by.
        seconds: Of reading, predicting and writing; if it went on after an interruption, of the
            rest.
    """

    files: tuple[Path, ...]
    out: Path
    size: tuple[int, ...]
    bands: int
    dtype: str
    tile: tuple[int, ...]
    tiles: int
    wasted: float
    exact: bool
    mismatch: float | None
    reasons: tuple[str, ...]
    engines: tuple[str | None, ...]
    seconds: float

    @classmethod
    def of(
        cls, predictor: Predictor, files: ImageFiles, out: Path, tiles: Tiles, seconds: float
    ) -> Predicted:
        """What there is to say once a file is written."""
        from normwise.inference.tiled import BlendedTiles  # noqa: PLC0415 - needs a backend

        blended = isinstance(tiles, BlendedTiles) and len(tiles) > 1
        return cls(
            files=files_of(files),
            out=out,
            size=tuple(tiles.size),
            bands=predictor.outputs,
            dtype=str(predictor.dtype),
            tile=tuple(tiles.tile),
            tiles=len(tiles),
            wasted=1 - prod(tiles.size) / tiles.computed,
            exact=not blended,
            mismatch=tiles.mismatch if isinstance(tiles, BlendedTiles) and blended else None,
            reasons=reasons_in(predictor) if blended else (),
            engines=tuple(predictor.engines or [f"{KERAS} {FLOAT32}"] * len(predictor.models)),
            seconds=seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "files": [str(file) for file in self.files], "out": str(self.out)}


@dataclass
class Journal:
    """What a prediction from files to files did so far, also if it failed then.

    Attributes:
        written: The files that it wrote.
        kept: Those that were there, where an interrupted prediction is gone on with.
        pictures: What it drew.
        problems: Why images of a folder failed.
    """

    written: list[Predicted] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing was done, and nothing failed by itself."""
        return not (self.written or self.kept or self.pictures or self.problems)

    def to_dict(self) -> Mapping[str, Any]:
        """For JSON; files in the order of their names, for the tasks of a cluster end in any."""
        return {
            "written": [done.to_dict() for done in sorted(self.written, key=lambda one: one.out)],
            "kept": _named(self.kept),
            "pictures": _named(self.pictures),
            "problems": self.problems,
        }


def files_of(files: ImageFiles) -> tuple[Path, ...]:
    """The files of an image, one or those of its bands."""
    return (files,) if isinstance(files, Path) else tuple(files)


def reasons_in(predictor: Predictor) -> tuple[str, ...]:
    """What makes exact tiles impossible, each thing once."""
    found = [str(reason) for one in predictor.members for reason in one.tiling.reasons]
    return tuple(dict.fromkeys(found))


def _named(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in sorted(paths)]
