"""The sheet of patches shows what the network trains on, in colour and grey, 2D and 3D."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from normwise.data import Augmentation, PatchBatches, open_dataset
from normwise.data.statistics import channel_statistics
from normwise.errors import OutputExistsError
from normwise.report.preview import Meaning
from normwise.training import patch_pictures
from normwise.training.patch_pictures import draw_training_patches
from tests.data.conftest import Folder

VARIED = Augmentation(intensity=0.2, angle=20, scale=0.2)


def batches(root: Path, labels: str, patch: tuple[int, ...] = (32, 24)) -> tuple[Any, Any]:
    dataset = open_dataset(Folder(root).fill(4, labels).root, validation=0)
    images = channel_statistics(dataset)
    made = PatchBatches(
        dataset, "train", patch, 2, fill=images.mean, std=images.std, augmentation=VARIED
    )
    return made, images


@pytest.mark.parametrize("labels", ["masks", "targets"])
def test_a_sheet_of_either_task(labels: str, tmp_path: Path) -> None:
    found, images = batches(tmp_path / "data", labels)
    classes = tuple(found.dataset.classes) if labels == "masks" else ()
    path = tmp_path / "patches.png"
    draw_training_patches(path, found, images, Meaning(classes=classes, quantity="height (m)"))
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] > 1000 and picture.std() > 20
    with pytest.raises(OutputExistsError):
        draw_training_patches(path, found, images, Meaning(classes=classes))
    draw_training_patches(path, found, images, Meaning(classes=classes), overwrite=True)


def test_the_panels_are_the_batches_that_training_sees(tmp_path: Path) -> None:
    found, images = batches(tmp_path / "data", "masks")
    panels = list(patch_pictures._panels(found, images))
    assert len(panels) == min(6, len(found))
    for step, panel in enumerate(panels):
        x, y, weight = found.batch(0, step)
        np.testing.assert_array_equal(panel.after, x[0])
        np.testing.assert_array_equal(panel.after_label, y[0])
        np.testing.assert_array_equal(panel.after_valid, weight[0] > 0)
        assert not np.array_equal(panel.before, panel.after)
        expected = (x[0] - images.mean) / images.std
        np.testing.assert_allclose(panel.scaled, expected, rtol=1e-5, atol=1e-5)
