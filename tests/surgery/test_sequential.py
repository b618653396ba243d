"""Sequential models with layers whose shapes no rule tells: what stands behind them is reached."""

import keras
import pytest
from keras import layers

from normwise.norms.mends import RemoveNorm
from normwise.rules.sketches import Sketch
from normwise.surgery.mend import bench
from tests.surgery.contract import check_pass, norms_of, placed
from tests.surgery.models import shaken
from tests.zoo import Opaque, conv, double, image


def augmented():
    parts = [layers.RandomRotation(0.1), layers.Rescaling(1 / 255)]
    parts += [conv(4, activation="relu", name="a"), layers.Flatten()]
    parts += [layers.Dense(6, activation="relu", name="mix"), layers.Dense(2, name="head")]
    return keras.Sequential([image(), *parts])


def of_functions():
    parts = [layers.Lambda(double, output_shape=(16, 16, 3)), conv(4, activation="relu", name="a")]
    parts += [Opaque(object()), conv(4, activation="relu", name="mix"), conv(1, name="head")]
    return keras.Sequential([image(), *parts])


def inside_another():
    inner = keras.Sequential([Opaque(object()), conv(4, activation="relu", name="a")], name="inner")
    inputs = image()
    x = conv(4, activation="relu", name="mix")(inner(inputs))
    return keras.Model(inputs, conv(1, name="head")(x))


@pytest.mark.parametrize("make", [augmented, of_functions, inside_another])
def test_what_stands_behind_such_a_layer_is_normalized(make):
    done = check_pass(shaken(make()), placed("batch@pre-activation"), trains=False)
    assert not done.report.skipped
    inside = "inner/" if make is inside_another else ""
    assert norms_of(done.model) == {f"{inside}a_norm", "mix_norm"}


def test_what_stands_behind_such_a_layer_is_folded():
    parts = [layers.RandomRotation(0.1), conv(4, name="a"), layers.BatchNormalization(name="norm")]
    parts += [layers.ReLU(), conv(1, name="head")]
    model = shaken(keras.Sequential([image(), *parts]))
    done = check_pass(model, placed("none"), trains=False)
    assert not done.report.skipped and not norms_of(done.model)


def test_a_layer_that_stands_twice_gets_a_norm_behind_each_call():
    twice = conv(3, name="twice")
    parts = [twice, layers.ReLU(), twice, layers.ReLU(), conv(1, name="head")]
    done = placed("batch@pre-activation")(shaken(keras.Sequential([image(), *parts])))
    assert not done.report.skipped and norms_of(done.model) == {"twice_norm", "twice_norm_2"}
    assert not placed("batch@pre-activation")(done.model).report.changed


def test_where_no_shape_is_known_the_reason_says_so():
    net = Sketch()
    x = net.conv(4, net.add("Mystery", net.input(8, 8, 4)), name="a")
    graph = net.graph(net.conv(1, net.relu(net.norm(x, name="norm"))))
    mend = RemoveNorm("norm")
    assert bench(graph, [mend], True).done[mend] == "the number of channels of a is not known"
