"""The images of a split with what models predict of them, in memory that their size doesn't set.

An image that fits into memory is one part. Of a larger one tiles are read and predicted one by
one: where the networks allow it they are exactly what the whole image would give, to rounding.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final

import numpy as np

from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source
from normwise.inference.in_memory import predict_member
from normwise.inference.members import Member
from normwise.inference.mixtures import combined
from normwise.inference.portions import Portions
from normwise.inference.tiled import Tiles, tiles_of
from normwise.memory import available_memory
from normwise.training.loading import Array
from normwise.training.whole_items import (
    Region,
    image_part,
    items_of,
    labelled_part,
    whole_of,
)

_OF_THE_FREE: Final = 0.5

log = logging.getLogger("normwise.training")


@dataclass(frozen=True)
class Part:
    """An image, or a part of one, with its labels and what is predicted of it.

    Attributes:
        item: The image; its parts come one after the other, and share no pixel.
        region: The pixels of the image that are in the part.
        image: Pixels as the first model takes them, shape (*region, channels).
        truth: Class ids of shape (*region), or values of shape (*region, targets).
        weight: 0 where there is no label; the shape of `truth`.
        predicted: Outputs of shape (*region, outputs), or the class ids that they mean.
    """

    item: Item
    region: Region
    image: Array
    truth: Array
    weight: Array
    predicted: Any


@dataclass(frozen=True)
class Applied:
    """A model as it is applied to a data set.

    Args:
        member: The model with its views.
        dataset: The data as it takes them.
        fill: For each channel, what stands where nothing was measured.
    """

    member: Member
    dataset: Dataset
    fill: Sequence[float]


def predicted_parts(
    models: Sequence[Applied], split: str, mean_and_std: bool = False
) -> Iterator[Part]:
    """Predicts the images of a split, one after the other.

    Args:
        models: The models, whose mean is predicted; their data sets differ in scaling alone.
        split: `train`, `val` or `test`.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.

    Yields:
        The parts of each image; `predicted` holds outputs.

    Raises:
        DataError: If the split is empty.
        NetworkError: The network's halo leaves no pixels in any tile that can be predicted.
    """
    items, members = items_of(models[0].dataset, split), [model.member for model in models]
    portions = Portions(members, int(_OF_THE_FREE * available_memory()))
    with ExitStack() as stack:
        sources = [stack.enter_context(Source(model.dataset, items)) for model in models]
        read, noted = _Read(sources, [model.fill for model in models]), False
        for item in items:
            tile = portions.tile(item.shape)
            if tile is None:
                yield _whole(members, read, item, mean_and_std)
                continue
            tiles = tiles_of(members, item.shape, tile, mean_and_std)
            if not noted:
                _note(item, tiles)
                noted = True
            yield from _tiled(tiles, read, item)


@dataclass(frozen=True)
class _Read:
    """Reads an image as each model takes it."""

    sources: Sequence[Source]
    fills: Sequence[Sequence[float]]

    def images(self, item: Item, region: Region) -> Iterator[Array]:
        """A window for each model, read when it is asked for."""
        for source, fill in zip(self.sources, self.fills, strict=True):
            yield image_part(source, item, region, fill)[0]

    def labelled(self, item: Item, region: Region) -> tuple[Array, Array, Array]:
        """A window for the first model, with label and weight."""
        return labelled_part(self.sources[0], item, region, self.fills[0])


def _whole(members: Sequence[Member], read: _Read, item: Item, mean_and_std: bool) -> Part:
    region = whole_of(item)
    image, truth, weight = read.labelled(item, region)

    def each() -> Iterator[Array]:
        yield predict_member(members[0], image, mean_and_std)
        others = _Read(read.sources[1:], read.fills[1:]).images(item, region)
        for member, own in zip(members[1:], others, strict=True):
            yield predict_member(member, own, mean_and_std)

    return Part(item, region, image, truth, weight, combined(each(), mean_and_std))


def _tiled(tiles: Tiles, read: _Read, item: Item) -> Iterator[Part]:
    with tiles.held_in(Path(gettempdir())):
        for piece in tiles.pieces():
            images = list(read.images(item, piece.context))
            # What was not measured is filled, and has no weight.
            done = tiles.add(piece, images, np.zeros((*images[0].shape[:-1], 1), bool))
            if done is not None:
                region, values = done
                yield Part(item, region, *read.labelled(item, region), values)


def _note(item: Item, tiles: Tiles) -> None:
    """Says how images are measured that are too large for memory, and what that means."""
    size, side = ("x".join(map(str, sides)) for sides in (item.shape, tiles.tile))
    what = f"{item.name} ({size} pixels) would need more memory and is measured in tiles of {side}"
    if tiles.exact:
        log.info("%s, which give what the whole image would", what)
        return
    reasons = [str(reason) for member in tiles.members for reason in member.tiling.reasons]
    log.warning(
        "%s that overlap and are blended: not quite what the whole image would give (%s)",
        what, reasons[0] if reasons else "the model takes no other size",
    )  # fmt: skip
