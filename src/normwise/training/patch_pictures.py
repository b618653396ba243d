"""A picture of training patches as the network will see them, before anything is trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.loading import PatchBatches
from normwise.data.statistics import ChannelStatistics
from normwise.files import whole_file
from normwise.report.patches import PatchPanel, draw_patches
from normwise.report.preview import Meaning

Array = NDArray[Any]

_PATCHES: Final = 6


def draw_training_patches(
    path: Path,
    batches: PatchBatches,
    images: ChannelStatistics,
    meaning: Meaning,
    *,
    overwrite: bool = False,
) -> None:
    """Draws some patches of the first epoch as cut, as varied, and as scaled.

    Args:
        path: The PNG file.
        batches: What the network trains on, such as `training_batches` of a recipe.
        images: Statistics of the training images, which scale the network's input.
        meaning: What the labels mean.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and `overwrite` is False.
        RasterError: An image can't be read.
    """
    panels = list(_panels(batches, images))
    with whole_file(path, overwrite=overwrite) as temporary:
        draw_patches(temporary, panels, meaning)


def _panels(batches: PatchBatches, images: ChannelStatistics) -> Iterator[PatchPanel]:
    """One patch of each step as far as there are steps; of volumes the middle slice."""
    std = np.where(images.std > 0, images.std, 1)
    segmentation = batches.dataset.task == "segmentation"
    for step in range(min(_PATCHES, len(batches))):
        place = batches.positions(0)[step * batches.batch_size]
        sides = [
            _drawn(x[0], y[0], weight[0], segmentation)
            for x, y, weight in (batches.unvaried(0, step), batches.batch(0, step))
        ]
        corner = ", ".join(str(start) for start in place.corner)
        scaled = (sides[1][0] - images.mean) / std
        name = f"{batches.items[place.item].name}\n({corner})"
        yield PatchPanel(name, *sides[0], *sides[1], scaled)


def _drawn(
    image: Array, label: Array, weight: Array, segmentation: bool
) -> tuple[Array, Array, Array]:
    if not segmentation:
        label, weight = label[..., 0], weight[..., 0]
    if image.ndim == 4:
        image, label, weight = (part[len(part) // 2] for part in (image, label, weight))
    return image, label, weight > 0
