"""What is kept of the images that are evaluated: a few to show, and what a constant reaches."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from normwise.data.dataset import Item
from normwise.files import as_utf8
from normwise.report.page.examples import Example, example_row, middle
from normwise.report.page.facts import Row
from normwise.report.preview import Meaning, Panel
from normwise.training.floors import Constant, Floors
from normwise.training.loading import Array
from normwise.training.output import Output

IMAGES: Final = 4
_ON_THE_PAGE: Final = 3


@dataclass
class SeenImages:
    """Is handed each image that is evaluated.

    Args:
        output: What outputs mean.
        constants: The answers that the model's are compared with.
        whole: Whether the first images are kept whole, and not only the middle of large ones.
        panels: The first images, of volumes the middle slice; of several targets the first, of a
            distribution its middle.
    """

    output: Output
    constants: Sequence[Constant]
    whole: bool = False
    panels: list[Panel] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.floors = Floors(self.output, self.constants)

    def __call__(
        self, item: Item, image: Array, truth: Array, weight: Array, predicted: Any
    ) -> None:
        """Looks at an image; `predicted` holds class ids, or the outputs of a regression."""
        self.floors.add(truth, weight, item.name)
        if len(self.panels) == IMAGES:
            return
        panel = panel_of(item, image, truth, weight, predicted, self.output)
        self.panels.append(panel if self.whole else _cropped(panel))

    def rows(self, meaning: Meaning) -> tuple[Row, ...]:
        """The first images for a page, of large ones the middle."""
        return tuple(_row(panel, meaning) for panel in self.panels[:_ON_THE_PAGE])


def panel_of(
    item: Item, image: Array, truth: Array, weight: Array, predicted: Any, output: Output
) -> Panel:
    """One image as pictures show it: of a volume the middle slice, of several targets the first.

    Args:
        item: The image.
        image: Raw pixel values.
        truth: Its labels.
        weight: 0 where there is none.
        predicted: Class ids, or the outputs of a regression, of which the middle is shown.
        output: What outputs mean.
    """
    if output.task == "segmentation":
        drawn = (image, truth, predicted, weight > 0)
    else:
        values = output.distribution.point(predicted)[..., 0]
        drawn = (image, truth[..., 0], values, weight[..., 0] > 0)
    name = as_utf8(item.name)
    if item.depth is None:
        return Panel(name, *drawn)
    number = item.depth // 2
    # A copy: a view would keep the whole volume.
    return Panel(f"{name}, slice {number}", *(np.array(array[number]) for array in drawn))


def _cropped(panel: Panel) -> Panel:
    """What a page shows of it, as a copy: a view would keep the whole image."""
    return replace(
        panel,
        image=middle(panel.image).copy(),
        truth=middle(panel.truth).copy(),
        predicted=middle(panel.predicted).copy(),
        valid=middle(panel.valid).copy(),
    )


def _row(panel: Panel, meaning: Meaning) -> Row:
    parts = (panel.image, panel.truth, panel.valid, panel.predicted)
    image, truth, valid, predicted = map(middle, parts)
    return example_row(Example(panel.name, image, truth, valid, {"": predicted}), meaning)
