"""The prediction of images by tiles: exact where the network allows it, else blended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.errors import NetworkError
from normwise.graph.tiling import Tiling
from normwise.inference.blending import Blender, Region, rows_of
from normwise.inference.members import Member, Size
from normwise.inference.mixtures import deviations, mixed
from normwise.inference.tile_size import strides
from normwise.inference.tiles import Demand, cores
from normwise.inference.views import View

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Look:
    """One view of one tile, for a core.

    Attributes:
        region: The pixels of the image in the tile; it is continued beyond the image by edges.
        cut: Where the core lies in the tile as the view sees it.
    """

    region: Region
    cut: Region


@dataclass(frozen=True)
class Piece:
    """What is read and predicted at once.

    Attributes:
        core: The pixels that are predicted.
        context: The pixels that have to be read for it.
    """

    core: Region
    context: Region


class ExactTiles:
    """Tiles with halos: each makes its own part of the image as the whole image would be.

    Args:
        members: The models.
        size: Pixels of the image along each axis.
        tile: Of the tiles. Of one that is no multiple of a member's stride, the member gets the
            largest part that is; see `Demand.used`.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.
        spread: Whether the standard deviation between the predictions follows; see `mixed`.

    Raises:
        NetworkError: The tile is too small.
    """

    exact = True

    def __init__(
        self,
        members: Sequence[Member],
        size: Size,
        tile: Size,
        mean_and_std: bool = False,
        spread: bool = False,
    ) -> None:
        self.members, self.size, self.tile = members, size, tile
        self._mean_and_std, self._spread = mean_and_std, spread
        demands = [_demands(members, axis, len(size)) for axis in range(len(size))]
        self._cores = [cores(*each) for each in zip(size, tile, demands, strict=True)]

    def __len__(self) -> int:
        return prod(map(len, self._cores))

    @property
    def computed(self) -> int:
        """Pixels that one view of one member computes, halos included."""
        tiling = self.members[0].tiling
        each = enumerate(zip(self._cores, self.size, self.tile, strict=True))
        return prod(
            len(spans) * _demand(tiling, axis).used(size, tile)
            for axis, (spans, size, tile) in each
        )

    def left(self, done: frozenset[str]) -> int:
        """How many pieces `pieces` gives."""
        return len(self) - len(done)

    def pieces(self, done: frozenset[str] = frozenset()) -> Iterator[Piece]:
        """The parts of the image, but for those whose name is in `done`."""
        for core in product(*self._cores):
            if name_of(core) not in done:
                looks = [self._look(core, m, v) for m in self.members for v in m.views]
                yield Piece(core, _hull([look.region for look in looks]))

    def held_in(self, folder: Path) -> AbstractContextManager[None]:
        """As `BlendedTiles.held_in`: nothing is held from tile to tile."""
        return nullcontext()

    def add(self, piece: Piece, images: Sequence[Array], empty: Array) -> tuple[Region, Array]:
        """Predicts a piece.

        Args:
            piece: The piece.
            images: For each member the pixels of the piece's context.
            empty: Where the context has no data, shape (..., 1).

        Returns:
            The pixels that are done, and their values; NaN where there is no data.
        """
        return self.placed(piece, self.predicted(piece, images, empty))

    def placed(self, piece: Piece, values: Array) -> tuple[Region, Array]:
        """The pixels that are done by what was predicted of a piece; see `add`."""
        return piece.core, values

    def predicted(self, piece: Piece, images: Sequence[Array], empty: Array) -> Array:
        """What is predicted of a piece, by any process that has the same tiles; see `add`."""
        missing = empty[_within(piece.core, piece.context)]
        if missing.all():
            return _nothing(missing, self.members, self._mean_and_std, self._spread)
        each = (
            (self._seen(piece, image, member, view) for view in member.views)
            for member, image in zip(self.members, images, strict=True)
        )
        values = mixed(each, self._mean_and_std, self._spread)
        return np.where(missing, np.nan, values)

    def _seen(self, piece: Piece, image: Array, member: Member, view: View) -> Array:
        look = self._look(piece.core, member, view)
        part = image[_within(look.region, piece.context)]
        return view.back(member.predict(view.of(part))[look.cut])

    def _look(self, core: Region, member: Member, view: View) -> Look:
        region, cut = [slice(0)] * len(core), []
        for axis, (own, mirrored) in enumerate(view.axes(len(core))):
            demand = replace(_demand(member.tiling, axis), mirrored=mirrored)
            size, span = self.size[own], demand.seen(core[own], self.size[own])
            window = demand.window(span, size, self.tile[own])
            assert window is not None, "cores are chosen so that there is one"
            inside = slice(window.start, min(window.stop, size))
            region[own] = demand.seen(inside, size)
            cut.append(slice(span.start - window.start, span.stop - window.start))
        return Look(tuple(region), tuple(cut))


class BlendedTiles:
    """Overlapping tiles, each predicted by itself, whose predictions are averaged.

    Args:
        members: The models.
        size: Pixels of the image along each axis.
        tile: Of the tiles, a multiple of every member's stride.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.
        begin: Rows (of volumes slices) that are done already.
        spread: As for `ExactTiles`; deviations are blended as predictions are.
    """

    exact = False

    def __init__(
        self,
        members: Sequence[Member],
        size: Size,
        tile: Size,
        mean_and_std: bool = False,
        begin: int = 0,
        spread: bool = False,
    ) -> None:
        self.members, self.size, self.tile = members, size, tile
        self._mean_and_std, self._spread = mean_and_std, spread
        tilings = [member.tiling for member in members]
        rows = rows_of(size, tile, strides(members), tilings)
        self._blender = Blender(rows, begin, int(members[0].model.output_shape[-1]))
        self._places = self._blender.places()

    def __len__(self) -> int:
        return prod(len(row.spans) for row in self._blender.rows)

    @property
    def computed(self) -> int:
        """Pixels that one view of one member computes."""
        return len(self) * prod(self.tile)

    @property
    def mismatch(self) -> float | None:
        """The root mean square by which neighbours differ where they overlap; None where none do.

        It is that of the tiles so far, without those of an interrupted prediction.
        """
        return self._blender.mismatch.rms

    def left(self, done: frozenset[str]) -> int:
        """How many pieces `pieces` gives."""
        return sum(1 for _ in self._blender.places())

    def pieces(self, done: frozenset[str] = frozenset()) -> Iterator[Piece]:
        """The tiles that are left."""
        for place in self._blender.places():
            region = self._blender.region(place)
            yield Piece(region, region)

    @contextmanager
    def held_in(self, folder: Path) -> Iterator[None]:
        """Within the block what tiles add up to lies on the disk of a folder, not in memory.

        In memory it grows with the width of the image (of volumes with rows and columns).
        """
        self._blender.folder = folder
        try:
            yield
        finally:
            self._blender.close()

    def add(
        self, piece: Piece, images: Sequence[Array], empty: Array
    ) -> tuple[Region, Array] | None:
        """Predicts a tile; as for `ExactTiles`, or None if no pixels are done by it."""
        return self.placed(piece, self.predicted(piece, images, empty))

    def placed(self, piece: Piece, values: Array) -> tuple[Region, Array] | None:
        """Adds what was predicted of the next tile; as for `ExactTiles`, or None."""
        return self._blender.add(next(self._places), values)

    def predicted(self, piece: Piece, images: Sequence[Array], empty: Array) -> Array:
        """What is predicted of a tile, by any process that has the same tiles."""
        each = (
            (view.back(member.predict(view.of(image))) for view in member.views)
            for member, image in zip(self.members, images, strict=True)
        )
        if empty.all():
            return _nothing(empty, self.members, self._mean_and_std, self._spread)
        return np.where(empty, np.nan, mixed(each, self._mean_and_std, self._spread))


Tiles = ExactTiles | BlendedTiles


def tiles_of(
    members: Sequence[Member],
    size: Size,
    tile: Size,
    mean_and_std: bool = False,
    begin: int = 0,
    spread: bool = False,
) -> Tiles:
    """Exact tiles where all models allow them, else blended ones.

    Args:
        members: The models.
        size: Pixels of the image along each axis.
        tile: Of the tiles, as for `ExactTiles`. If models were built for that size, and it has no
            room for their halo, tiles are blended.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.
        begin: Rows (of volumes slices) that are done already, of blended tiles.
        spread: As for `ExactTiles`.

    Raises:
        NetworkError: The tile is too small.
    """
    if all(member.tiling.exact for member in members):
        try:
            return ExactTiles(members, size, tile, mean_and_std, spread)
        except NetworkError:
            if not any(any(member.model.input_shape[1:-1]) for member in members):
                raise
    return BlendedTiles(members, size, tile, mean_and_std, begin, spread)


def predict_tiled(member: Member, image: Array, tile: Size, mean_and_std: bool = False) -> Array:
    """Predicts an image in memory by tiles.

    Args:
        member: A model and its views.
        image: As for `predict_whole`.
        tile: Pixels along each axis, a multiple of the stride.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Returns:
        As `predict_whole`.

    Raises:
        NetworkError: The tile is too small.
    """
    tiles = tiles_of([member], image.shape[:-1], tile, mean_and_std)
    whole: Array | None = None
    for piece in tiles.pieces():
        part = image[piece.context]
        found = tiles.add(piece, [part], np.zeros((*part.shape[:-1], 1), bool))
        if found is None:
            continue
        region, values = found
        if whole is None:
            whole = np.empty((*image.shape[:-1], values.shape[-1]), np.float32)
        whole[region] = values
    assert whole is not None, "an image has pixels"
    return whole


def name_of(region: Region) -> str:
    """A region in a word: `0-256_512-768`."""
    return "_".join(f"{span.start}-{span.stop}" for span in region)


def _nothing(missing: Array, members: Sequence[Member], mean_and_std: bool, spread: bool) -> Array:
    """What is predicted where there is no data, without asking the network."""
    outputs = int(members[0].model.output_shape[-1])
    outputs += deviations(outputs, mean_and_std) if spread else 0
    return np.full((*missing.shape[:-1], outputs), np.nan, np.float32)


def _demand(tiling: Tiling, axis: int) -> Demand:
    return Demand(tiling.stride[axis], *tiling.halo[axis])


def _demands(members: Sequence[Member], own: int, count: int) -> list[Demand]:
    """What all members and views ask of an axis of the image."""
    found = {
        replace(_demand(member.tiling, axis), mirrored=mirrored)
        for member in members
        for view in member.views
        for axis, (lying, mirrored) in enumerate(view.axes(count))
        if lying == own
    }
    return list(found)


def _hull(regions: Sequence[Region]) -> Region:
    return tuple(
        slice(min(s.start for s in spans), max(s.stop for s in spans))
        for spans in zip(*regions, strict=True)
    )


def _within(region: Region, context: Region) -> Region:
    return tuple(
        slice(r.start - c.start, r.stop - c.start) for r, c in zip(region, context, strict=True)
    )
