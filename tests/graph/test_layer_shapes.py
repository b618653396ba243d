"""The output shape of single layers is the one that Keras computes."""

from typing import Any

import keras
import pytest

from normwise.graph.graph import Node, freeze
from normwise.graph.layer_shapes import join_shape, pair, split_shape
from normwise.graph.shapes import with_shapes
from normwise.keras_format import read_graph
from tests.graph.forgotten import forgotten
from tests.zoo import conv

layers = keras.layers


def convolutions() -> list[Any]:
    made: list[Any] = []
    for padding in ("same", "valid"):
        for size, strides, dilation in (
            (3, 1, 1),
            (2, 2, 1),
            (3, 2, 1),
            (5, 3, 1),
            (3, 1, 2),
            (1, 2, 1),
        ):
            made.append(layers.Conv2D(2, size, strides, padding, dilation_rate=dilation))
            made.append(layers.MaxPooling2D(size, strides, padding))
            if dilation == 1:
                made.append(layers.Conv2DTranspose(2, size, strides, padding))
                made.append(layers.DepthwiseConv2D(size, strides, padding))
    # With a dilation Keras' own answer depends on the backend; with an output padding it does not.
    made += [
        layers.Conv2DTranspose(2, size, strides, padding, output_padding=extra)
        for size, strides, extra in ((3, 2, 1), (3, 2, 0), (4, 2, 1), (2, 2, 0), (5, 3, 2))
        for padding in ("same", "valid")
    ]
    return made


@pytest.mark.parametrize("size", [16, 15, 13])
def test_windows_on_even_and_odd_sizes(size: int) -> None:
    for layer in convolutions():
        inputs = keras.Input((size, size + 1, 2))
        model = keras.Model(inputs, layer(inputs))
        found = with_shapes(forgotten(read_graph(model))).nodes[-1].shape
        assert found == tuple(model.outputs[0].shape), layer.get_config()


def test_pairs() -> None:
    assert pair(3, 2) == (3, 3) and pair((1, 2), 2) == (1, 2)
    with pytest.raises(ValueError, match="expected 2 numbers"):
        pair((1, 2, 3), 2)


def test_splitting_and_joining_are_inverse() -> None:
    for data_format in ("channels_first", "channels_last"):
        node = Node("n", "n", "Conv2D", config=freeze({"data_format": data_format}))
        assert join_shape(node, *split_shape(node, (None, 3, 4, 5))) == (None, 3, 4, 5)
    assert conv(2).data_format in {"channels_last", "channels_first"}
