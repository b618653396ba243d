"""Epochs that are judged by labels which can't say much."""

import keras
import numpy as np
import pytest
from PIL import Image

from normwise.data.folder import open_dataset
from normwise.training.history import read_history
from normwise.training.losses.composition import loss_of
from normwise.training.output import segmentation_output
from normwise.training.run import train
from normwise.training.validation import Validation
from normwise.training.validation_notes import validation_notes

from .stand_in import recipe
from .test_run import recipe_of, write_folder

pytestmark = pytest.mark.usefixtures("no_pictures")


def measured(truth, linear):
    """What validation says of a model whose output is its input."""
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    tile = "a", linear[..., None], truth, np.ones((4, 4), np.float32)
    output = segmentation_output(("land", "water"))
    return Validation(lambda: [tile], output, loss_of(recipe().training), 1)(model)


def test_without_foreground_its_metrics_are_no_number():
    truth, linear = np.zeros((4, 4), np.uint8), np.full((4, 4), -3, np.float32)
    linear[0, 0] = 2
    found = measured(truth, linear)
    for name in ("iou", "dice", "precision", "recall", "mean_image_iou"):
        assert np.isnan(found[name]), name
    assert found["accuracy"] == pytest.approx(15 / 16)
    assert found["mean_iou"] == pytest.approx(15 / 16 / 2)
    truth[0, :2] = 1
    assert measured(truth, linear)["iou"] == pytest.approx(1 / 2)


def test_a_run_without_foreground_in_validation_says_so_and_keeps_the_lowest_loss(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    for name in ("i3", "i4"):
        path = data / "masks" / f"{name}.png"
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 1] = 255
        Image.fromarray(mask).save(path)
    dataset = open_dataset(data)
    (note,) = validation_notes("iou", dataset)
    assert "labelled pixel of class 1, so that iou says nothing" in note
    assert "data.validation" in note
    assert "in mean_iou it counts 0 as soon as" in validation_notes("mean_iou", dataset)[0]
    assert validation_notes("accuracy", dataset) == ()
    run = train(recipe_of(data, epochs=3, steps=3), out=tmp_path / "run", progress=False)
    assert f"validation: {note}" in (run.folder / "log.txt").read_text()
    rows = read_history(run.folder / "history.csv")
    assert np.isnan([row["val_iou"] for row in rows]).all()
    losses = [row["val_loss"] for row in rows]
    assert run.best_epoch == 1 + int(np.argmin(losses))


def test_foreground_in_one_image_is_enough(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    assert validation_notes("iou", open_dataset(data)) == ()
