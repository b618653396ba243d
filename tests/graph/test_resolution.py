"""Resolutions and the total stride, beside an independent measurement."""

from fractions import Fraction
from functools import reduce
from math import gcd
from typing import Any

import keras
import numpy as np
import pytest

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.graph.regions import layout_of
from normwise.graph.resolution import area, scales_of, total_stride
from normwise.keras_format import read_graph
from normwise.keras_format.stride import stride_of
from normwise.networks import build
from tests import unets
from tests.zoo import built, conv, image

layers = keras.layers


def measured(model: Any, sizes: range) -> int:
    """The step between the sizes that come out as they went in, tried one by one."""
    fitting = []
    for size in sizes:
        images = [np.zeros((1, size, size, tensor.shape[-1]), "float32") for tensor in model.inputs]
        try:
            made = model(images if len(images) > 1 else images[0])
        except Exception:  # each backend refuses tensors that don't fit in its own words
            continue
        if tuple(made.shape[1:3]) == (size, size):
            fitting.append(size)
    assert len(fitting) > 1
    return reduce(gcd, fitting)


@pytest.mark.parametrize("name", sorted(unets.SAME_SIZE))
def test_the_total_stride_is_the_measured_one(name: str) -> None:
    make, expected = unets.SAME_SIZE[name]
    model = make()
    assert stride_of(model) == expected
    assert measured(model, range(expected, 3 * expected + 1)) == expected


@pytest.mark.parametrize("depth", [1, 3])
def test_the_total_stride_of_a_u_net_is_the_measured_one(depth: int) -> None:
    model = build("unet", (None, None, 3), filters=2, depth=depth)
    assert stride_of(model) == measured(model, range(2**depth, 3 * 2**depth + 1)) == 2**depth


def test_the_total_stride_of_the_question_is_the_measured_one() -> None:
    model = build("question", (None, None, 3), filters=2)
    assert stride_of(model) == 64
    assert measured(model, range(64, 193, 16)) == 64


def test_axes_may_differ() -> None:
    inputs = image(2, None)
    x = layers.MaxPooling2D((2, 1))(conv(2, strides=(1, 3))(inputs))
    layout = layout_of(read_graph(keras.Model(inputs, conv(1)(x))))
    assert layout.stride == (2, 3)
    assert layout.scales[-1] == (Fraction(1, 2), Fraction(1, 3))
    assert area(layout.scales[-1]) == Fraction(1, 6)


def test_what_is_broadcast_over_an_image_leaves_its_resolution() -> None:
    inputs = image(4)
    context = conv(4, 1)(layers.AveragePooling2D(16)(inputs))
    x = layers.Add(name="added")([context, conv(4)(inputs)])
    layout = layout_of(read_graph(keras.Model(inputs, conv(1)(x))))
    assert layout.scales[layout.graph.index["added"]] == (1, 1)


def test_other_ranks() -> None:
    assert layout_of(read_graph(built("three_dimensions"))).stride == (2, 4, 4)
    assert len(layout_of(read_graph(built("one_dimension"))).stride) == 1
    assert layout_of(read_graph(built("integer_input"))).stride == ()
    assert layout_of(read_graph(built("channels_first"))).stride == (2, 2)


def test_a_resizing_to_a_fixed_size_is_told_by_the_shapes() -> None:
    layout = layout_of(read_graph(built("resizing")))
    scale = {n.name: s for n, s in zip(layout.graph.nodes, layout.scales, strict=True)}
    assert scale["resizing"] == (1, 1) and scale["resize"] == (Fraction(1, 2),) * 2


@pytest.mark.parametrize(("size", "after"), [(13, 6), (13, 7), (512, 256), (15, 7)])
def test_halving_is_halving_whatever_the_rounding(size: int, after: int) -> None:
    entry = Node("x", "x", "InputLayer", outputs=(TensorSpec((None, size, size, 1)),))
    custom = Node(
        "c", "c", "Custom", args=(Tensor(0),), outputs=(TensorSpec((None, after, after, 1)),)
    )
    graph = Graph("m", "Functional", (entry, custom), Tensor(0), Tensor(1))
    assert scales_of(graph)[1] == (Fraction(1, 2),) * 2


def test_broken_settings_change_nothing() -> None:
    entry = Node("x", "x", "InputLayer", outputs=(TensorSpec((None, 8, 8, 1)),))
    for strides in (0, "two", (1, 2, 3), {"a": 1}, float("inf"), None):
        config = freeze({"strides": strides})
        odd = Node(
            "c",
            "c",
            "Conv2D",
            config=config,
            args=(Tensor(0),),
            outputs=(TensorSpec((None, 8, 8, 1)),),
        )
        graph = Graph("m", "Functional", (entry, odd), Tensor(0), Tensor(1))
        assert total_stride(scales_of(graph)) == (1, 1)


def test_what_has_no_extent_has_no_resolution() -> None:
    layout = layout_of(read_graph(built("residual_post")))
    names = [node.name for node in layout.graph.nodes]
    assert layout.scales[names.index("global_average_pooling2d")] is None
    assert layout.scales[names.index("dense")] is None
    assert total_stride([None, None]) == ()
