"""What one call in training mode would do to the state; nothing is done to it."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.keras_format import read_graph
from normwise.probes.state_change import TriedState
from tests.surgery.models import weights_of


def backbone():
    inputs = keras.Input((None, None, 3))
    x = inputs
    for index, momentum in enumerate((0.9, 1.0)):
        x = layers.Conv2D(4, 3, name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=momentum, name=f"norm{index}")(x)
    return keras.Model(inputs, layers.ReLU()(x), name="backbone")


def called_off(trainable=True):
    base = backbone()
    base.trainable = trainable
    inputs = keras.Input((16, 16, 3))
    x = layers.Dropout(0.5)(base(inputs, training=False))
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


NORMS = ("backbone/norm0", "backbone/norm1")


@pytest.mark.backends
def test_which_statistics_move_and_that_nothing_does():
    model = called_off()
    before = weights_of(model)
    tried = TriedState(model, read_graph(model))
    baked_holds = tuple(int(n) for n in keras.__version__.split(".")[:2]) >= (3, 16)
    assert tried.moved(NORMS) == (frozenset() if baked_holds else {"backbone/norm0"})
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert TriedState(called_off(False), read_graph(model)).moved(NORMS) == frozenset()


def test_what_the_model_does_itself_is_what_was_tried():
    model = called_off()
    moved = TriedState(model, read_graph(model)).moved(NORMS)
    base = model.get_layer("backbone")
    before = {name: base.get_layer(name).get_weights()[2] for name in ("norm0", "norm1")}
    model(np.ones((2, 16, 16, 3), np.float32), training=True)
    after = {name: base.get_layer(name).get_weights()[2] for name in ("norm0", "norm1")}
    assert moved == {f"backbone/{n}" for n in before if (before[n] != after[n]).any()}


def test_a_model_that_can_not_be_tried_says_nothing():
    inputs = keras.Input((16, 16, 3))

    class Broken(layers.Layer):
        broken = False

        def call(self, x):
            if self.broken:
                raise ValueError("no")
            return x

    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(Broken()(inputs)))
    assert TriedState(model, read_graph(model)).moved(["norm"]) == {"norm"}
    Broken.broken = True
    assert TriedState(model, read_graph(model)).moved(["norm"]) is None
