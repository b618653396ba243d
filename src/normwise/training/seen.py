"""What is kept of the images that are evaluated: a few to show, and what a constant reaches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from normwise.data.dataset import Item
from normwise.files import as_utf8
from normwise.report.page.examples import SHOWN, Example, example_row, middle
from normwise.report.page.facts import Row
from normwise.report.preview import Meaning, Panel
from normwise.training.floors import Constant, Floors
from normwise.training.output import Output
from normwise.training.predicted_parts import Part
from normwise.training.whole_items import Region

IMAGES: Final = 4
PREVIEW_SIDE: Final = 2048
"""Pixels along a side of an image in `preview.png`: whole images, but for the largest."""
_ON_THE_PAGE: Final = 3
_COLOURS: Final = 3
"""Channels that pictures show, at the most."""


@dataclass
class SeenImages:
    """Is handed each image that is evaluated, or one part of it after the other.

    Args:
        output: What outputs mean.
        constants: The answers that the model's are compared with.
        side: Pixels along a side of a panel, at the most; of larger images the middle.
        panels: The first images, of volumes the middle slice; of several targets the first, of a
            distribution its middle.
    """

    output: Output
    constants: Sequence[Constant]
    side: int = SHOWN
    panels: list[Panel] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.floors = Floors(self.output, self.constants)
        self._items: list[Item] = []

    def __call__(self, part: Part) -> None:
        """Looks at an image, or a part of it; `predicted` holds class ids, or outputs."""
        self.floors.add(part.truth, part.weight, part.item.name)
        if not self._items or self._items[-1] is not part.item:
            if len(self._items) == IMAGES:
                return
            self._items.append(part.item)
            self.panels.append(_empty(part, self.side))
        _fill(self.panels[-1], part, self.side, self.output)

    def rows(self, meaning: Meaning) -> tuple[Row, ...]:
        """The first images for a page, of large ones the middle."""
        return tuple(_row(panel, meaning) for panel in self.panels[:_ON_THE_PAGE])


def _shown(item: Item, side: int) -> Region:
    """The pixels of an image that are shown: of a volume one slice."""
    begins = [(max(0, (size - side) // 2), size) for size in (item.height, item.width)]
    plane = tuple(slice(begin, min(size, begin + side)) for begin, size in begins)
    if item.depth is None:
        return plane
    return slice(item.depth // 2, item.depth // 2 + 1), *plane


def _empty(part: Part, side: int) -> Panel:
    """A panel for an image, of which a part tells types and channels."""
    item, region = part.item, _shown(part.item, side)
    size = tuple(span.stop - span.start for span in region[-2:])
    name = as_utf8(item.name)
    return Panel(
        name if item.depth is None else f"{name}, slice {item.depth // 2}",
        np.zeros((*size, min(_COLOURS, part.image.shape[-1])), part.image.dtype),
        np.zeros(size, part.truth.dtype),
        np.zeros(size, part.predicted.dtype),
        np.zeros(size, bool),
    )


def _fill(panel: Panel, part: Part, side: int, output: Output) -> None:
    """Puts what a part has of the shown pixels in their places."""
    shown = _shown(part.item, side)
    common = tuple(
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in zip(shown, part.region, strict=True)
    )
    if any(span.stop <= span.start for span in common):
        return
    here, there = _within(common, part.region), _within(common, shown)[-2:]
    image, truth, predicted, weight = (
        array[here] if part.item.depth is None else array[here][0]
        for array in (part.image, part.truth, part.predicted, part.weight)
    )
    if output.task != "segmentation":
        truth, weight = truth[..., 0], weight[..., 0]
        predicted = output.distribution.point(predicted)[..., 0]
    panel.image[there] = image[..., :_COLOURS]
    panel.truth[there], panel.predicted[there] = truth, predicted
    panel.valid[there] = weight > 0


def _within(region: Region, other: Region) -> Region:
    return tuple(
        slice(one.start - two.start, one.stop - two.start)
        for one, two in zip(region, other, strict=True)
    )


def _row(panel: Panel, meaning: Meaning) -> Row:
    parts = (panel.image, panel.truth, panel.valid, panel.predicted)
    image, truth, valid, predicted = map(middle, parts)
    return example_row(Example(panel.name, image, truth, valid, {"": predicted}), meaning)
