"""Biases that a normalization cancels, and those that only look so."""

import keras
import pytest
from keras import layers

from normwise.norms import NormPlan
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.models import shaken
from tests.zoo import conv, image

PLAN = NormPlan.parse("batch@pre-activation")


def dropped(done):
    return {c.layer for c in done.report.changed if c.action.startswith("bias dropped")}


@pytest.mark.parametrize("keep", [True, False])
def test_normalizations_on_both_sides_of_a_fused_activation(keep):
    inputs = image(3)
    x = conv(4, activation="relu", name="a")(inputs)
    x = conv(4, activation="relu", name="b")(x)
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    plan = NormPlan.parse("batch@pre-activation+post-activation")
    done = place(model, plan, EditSettings(keep=keep, drop_bias=True))
    assert dropped(done) == {"a", "b"}
    actions = [c.action for c in done.report.changed if c.action.startswith("bias dropped")]
    assert actions == ["bias dropped, a_norm cancels it", "bias dropped, b_norm cancels it"]
    norm = done.model.get_layer("a_norm")
    # It starts as the identity of the layer with its bias, which it reads without.
    expected = -keras.ops.convert_to_numpy(model.get_layer("a").bias)
    assert keras.ops.convert_to_numpy(norm.moving_mean) == pytest.approx(expected, abs=1e-6)


def test_a_normalization_that_two_layers_share_keeps_both_biases():
    inputs, norm = image(3), layers.BatchNormalization(name="bn")
    x = layers.ReLU()(norm(conv(4, name="a")(inputs)))
    x = layers.ReLU()(norm(conv(4, name="b")(x)))
    x = layers.ReLU()(layers.BatchNormalization(name="own")(conv(4, name="c")(x)))
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    done = place(model, PLAN, EditSettings(drop_bias=True))
    assert dropped(done) == {"c"}
    assert done.model.get_layer("a").use_bias and done.model.get_layer("b").use_bias


def test_a_normalization_over_another_axis_cancels_nothing():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(axis=1, name="rows")(conv(4, name="a")(inputs))
    model = shaken(keras.Model(inputs, conv(2, name="head")(layers.ReLU()(x))))
    done = place(model, PLAN, EditSettings(drop_bias=True))
    assert not dropped(done) and done.model.get_layer("a").use_bias


@pytest.mark.parametrize("chosen", ["b", "b_bn", "b_relu"])
def test_the_biases_of_other_layers_than_those_named_stay(chosen):
    inputs = x = image(3)
    for name in "ab":
        x = layers.BatchNormalization(name=f"{name}_bn")(conv(4, name=name)(x))
        x = layers.ReLU(name=f"{name}_relu")(x)
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    done = place(model, PLAN, EditSettings(drop_bias=True), layers=chosen)
    assert dropped(done) == {"b"} and done.model.get_layer("a").use_bias
    assert dropped(place(model, PLAN, EditSettings(drop_bias=True))) == {"a", "b"}
