"""Sketches of the examples are what Keras would write."""

import re

import keras
import pytest

from normwise.graph.graph import Tensor, freeze
from normwise.graph.text import text_of
from normwise.keras_format import read_graph
from normwise.rules.sketches import Sketch
from normwise.rules.sketches.sketch import DEFAULTS

NEEDED = {
    "AveragePooling2D": (2,),
    "MaxPooling2D": (2,),
    "Conv1D": (4, 1),
    "Conv2D": (4, 1),
    "Conv2DTranspose": (4, 1),
    "Dense": (4,),
    "DepthwiseConv2D": (1,),
    "Embedding": (100, 8),
    "LSTM": (4,),
    "Activation": ("linear",),
    "AlphaDropout": (0.5,),
    "Dropout": (0.5,),
    "SpatialDropout2D": (0.5,),
}
"""Arguments that Keras' constructors ask for."""


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_settings_nobody_stated_are_those_of_keras(name):
    config = freeze(getattr(keras.layers, name)(*NEEDED.get(name, ())).get_config())
    for key, value in DEFAULTS[name].items():
        told = config[key]
        assert value in (told, (told,)), key


def test_a_sketch_is_what_keras_would_read():
    inner = Sketch("block")
    y = inner.relu(inner.norm(inner.conv(8, inner.input(None, None, 4), name="c"), name="n"))
    net = Sketch("sketch")
    x = net.conv(4, net.input(16, 16, 3, name="in"), name="stem")
    x = net.nest(inner.graph(y), x, name="block")
    x = net.add("Concatenate", x, net.conv(2, x, name="side"), name="join")
    drawn = net.graph(net.norm(x, name="end", call={"training": False}))

    layers = keras.layers
    inputs = keras.Input((None, None, 4), name="input")
    y = layers.BatchNormalization(name="n")(layers.Conv2D(8, 3, padding="same", name="c")(inputs))
    block = keras.Model(inputs, layers.Activation("relu", name="activation")(y), name="block")
    start = keras.Input((16, 16, 3), name="in")
    x = block(layers.Conv2D(4, 3, padding="same", name="stem")(start))
    x = layers.Concatenate(name="join")([x, layers.Conv2D(2, 3, padding="same", name="side")(x)])
    x = layers.BatchNormalization(name="end")(x, training=False)
    built = read_graph(keras.Model(start, x, name="sketch"))
    assert lines(drawn) == lines(built)


def lines(graph):
    """The text of a graph, each word in order: settings have none."""
    return [sorted(re.split(r"[(), ]+", line)) for line in text_of(graph).splitlines()]


def test_a_sketch_calls_a_layer_again():
    net = Sketch()
    a = net.conv(4, net.input(8, 8, 3), name="conv")
    again = net.again("conv", net.input(8, 8, 3))
    graph = net.graph(a, again)
    assert [n.name for n in graph.nodes if n.layer == "conv"] == ["conv", "conv:1"]
    assert graph.output_tensors == (Tensor(1), Tensor(3))
