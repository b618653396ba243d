"""Networks that were built for one size: as they would be for any, and what keeps them at it."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.graph.free_size import applied_tiling, fixed_sides, freed, held_at_its_size
from normwise.graph.tiling import Tiling
from normwise.keras_format import read_graph
from normwise.networks import build
from tests.zoo import conv, image

SIZES = {"unet": 32, "residual": 32, "attention": 32, "nested": 32, "question": 64}


def of_size(*made: Any, shape: Any = (16, 24, 4)) -> Any:
    inputs = x = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return read_graph(keras.Model(inputs, x))


@pytest.mark.parametrize("network", SIZES)
def test_our_networks_are_applied_as_those_of_free_size(network: str) -> None:
    sides = SIZES[network], None
    fixed, free = (read_graph(build(network, (side, side, 2), filters=4)) for side in sides)
    assert applied_tiling(fixed) == applied_tiling(free)
    shapes = [node.shape for node in freed(fixed).nodes]
    assert shapes == [node.shape for node in free.nodes]
    assert fixed_sides(freed(fixed)) == (None, None) != fixed_sides(fixed)


def test_nested_models_are_freed_and_stay_one_where_they_are_shared() -> None:
    inner_in = keras.Input((16, 24, 4))
    inner = keras.Model(inner_in, conv(4)(inner_in), name="inner")
    graph = freed(of_size(inner, inner))
    models = [node.model for node in graph.nodes if node.model is not None]
    assert len(models) == 2 and models[0] is models[1]
    assert fixed_sides(models[0]) == (None, None)
    assert graph.nodes[-1].shape == (None, None, None, 4)
    assert not held_at_its_size(graph)


def test_channels_first_keeps_its_channels() -> None:
    inputs = keras.Input((4, 16, 24))
    x = layers.Conv2D(5, 3, padding="same", data_format="channels_first")(inputs)
    graph = freed(read_graph(keras.Model(inputs, x)))
    assert [node.shape for node in graph.nodes] == [(None, 4, None, None), (None, 5, None, None)]


HELD: dict[str, tuple[Any, str]] = {
    "flat": (
        [layers.Flatten(name="flat"), layers.Dense(4), layers.Reshape((1, 1, 4))],
        "flat: rearranges the pixels of an image",
    ),
    "squeezed": ([lambda x: x * layers.GlobalAveragePooling2D(keepdims=True, name="all")(x)],
                 "all: looks at all pixels of an image"),
    "reshaped": ([layers.Reshape((24, 16, 4), name="shape")],
                 "shape: rearranges the pixels of an image"),
    "resized": ([layers.Resizing(8, 12, name="down"), layers.UpSampling2D()],
                "down: it resizes whatever it gets to a fixed size"),
    "norm": ([layers.LayerNormalization(axis=[1, 2, 3], name="norm")],
             "norm: takes the statistics of all pixels of an image"),
    "places": ([lambda x: x * np.ones((16, 24, 1), "float32")], "holds a number for each place"),
    "cut": ([lambda x: x[:, :16]], "it cuts out a part of a fixed place or size"),
    "own": ([layers.Lambda(lambda x: x, name="own")], "own: what it reads of an image isn't known"),
    "attention": ([lambda x: layers.MultiHeadAttention(1, 2, name="heads")(x, x)],
                  "heads: looks at all pixels of an image"),
    "uneven": ([layers.MaxPooling2D(5), layers.UpSampling2D(5)],
               "takes 16x24 pixels, which its total stride of 5x5 doesn't divide"),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_what_keeps_a_network_at_its_size_is_named(name: str) -> None:
    made, told = HELD[name]
    graph = of_size(*made)
    assert told in str(held_at_its_size(graph)[0])
    found = applied_tiling(graph)
    assert found.built_for == (16, 24) and found.held
    (size, _), *more = found.table
    assert size == (16, 24) and not more
    assert f"takes 16x24 pixels alone ({found.held[0]}" in str(found)
    assert "  tiles of 16x24: " in str(found)


def test_the_table_of_a_network_that_keeps_its_size_is_of_that_size() -> None:
    gate = [conv(4), lambda x: ops.softmax(x, axis=(1, 2))]
    found = applied_tiling(of_size(*gate, shape=(64, 64, 4)))
    assert found.table == ((64, pytest.approx(1 - 0.75**2)),)
    found = applied_tiling(of_size(*gate, shape=(None, 64, 4)))
    assert found.built_for == (None, 64)
    assert [size for size, _ in found.table][:2] == [(128, 64), (256, 64)]
    assert "takes anyx64 pixels alone" in str(found)
    assert Tiling((2,), ((1, 1),)).table[0][0] == 128


@pytest.mark.parametrize(("kernel", "room"), [(9, True), (17, False)])
def test_a_size_without_room_for_the_halo_can_not_be_exact(kernel: int, room: bool) -> None:
    between = layers.Resizing(8, 8), layers.Resizing(16, 16, name="up")
    graph = of_size(*between, layers.Conv2D(1, kernel, padding="same"), shape=(16, 16, 4))
    found = applied_tiling(graph)
    assert found.built_for == (16, 16) and found.exact == room
    if not room:
        told = "takes 16x16 pixels, which leave none beside the halo"
        assert found.reasons[-1].reason == told
        assert found.table == ((16, pytest.approx(0.75)),)


def test_networks_of_several_inputs_are_left_alone() -> None:
    both = [image(2, 8), image(2, 8)]
    graph = read_graph(keras.Model(both, layers.Flatten()(layers.Add()(both))))
    assert not applied_tiling(graph).built_for
