"""Statistics measured anew at the end of a run are kept if validation likes them."""

import logging

import keras
import numpy as np
import pytest

from normwise.training.determinism import seed_run
from normwise.training.precise_statistics import refine_statistics
from normwise.training.run import train_until

from .stand_in import Batches, network, recipe, same_weights, weights_of
from .test_run import recipe_of, write_folder

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("no_pictures")]


def moved():
    """A network whose moving statistics are far from those of its data."""
    seed_run(0)
    model = network(dropout=0.3)
    (norm,) = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    norm.moving_mean.assign(np.linspace(-1, 1, 6))
    norm.moving_variance.assign(np.linspace(4, 9, 6))
    return model, norm


def saying(*values):
    told = iter(values)
    return lambda model: {"loss": 0.0, "iou": next(told)}


def test_statistics_are_those_of_the_patches(caplog):
    caplog.set_level(logging.INFO, logger="normwise")
    model, norm = moved()
    others = [w for w, v in zip(weights_of(model), model.weights, strict=True) if v.trainable]
    training = recipe().training
    assert refine_statistics(model, Batches(), saying(0.5, 0.6), training)
    epoch = Batches()
    epoch.set_epoch(training.epochs)
    images = np.concatenate([epoch[step][0] for step in range(len(epoch))])
    read = keras.Model(model.inputs, norm.input)
    values = keras.ops.convert_to_numpy(read(images)).astype(float)
    for variable, wanted in (
        (norm.moving_mean, values.mean((0, 1, 2))),
        (norm.moving_variance, values.var((0, 1, 2))),
    ):
        found = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    left = [w for w, v in zip(weights_of(model), model.weights, strict=True) if v.trainable]
    assert same_weights(others, left)
    assert "16 patches kept: iou 0.6 with them, 0.5 with moving averages" in caplog.text


@pytest.mark.parametrize("worse", [0.49, float("nan")])
def test_what_validation_does_not_like_is_put_back(worse, caplog):
    caplog.set_level(logging.INFO, logger="normwise")
    model, _ = moved()
    before = weights_of(model)
    assert not refine_statistics(model, Batches(), saying(0.5, worse), recipe().training)
    assert same_weights(before, weights_of(model))
    assert "not kept: iou" in caplog.text


def test_a_run_says_what_was_decided(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    settings = recipe_of(data, epochs=1, steps=3, precise_bn=True)
    train_until(1, settings, out=tmp_path / "run", progress=False)
    assert "precise batch statistics of 12 patches" in (tmp_path / "run" / "log.txt").read_text()
