"""Of each resolution the tap is the last learned tensor that every way down still sees."""

from fractions import Fraction
from typing import Any

import keras
import pytest

from normwise.graph.regions import layout_of
from normwise.graph.taps import taps_of
from normwise.keras_format import read_graph

layers = keras.layers


def taps(outputs: Any) -> dict[int, str]:
    """The layer of each tap, by its stride."""
    layout = layout_of(read_graph(keras.Model(START, outputs)))
    found = taps_of(layout)
    assert [tap.scale for tap in found] == sorted((t.scale for t in found), reverse=True)
    return {
        Fraction(1 / tap.scale[0]).numerator: layout.graph.nodes[tap.node].name for tap in found
    }


START = keras.Input((None, None, 3), name="input")


def conv(x: Any, name: str, strides: int = 1) -> Any:
    return layers.Conv2D(4, 3, strides, padding="same", name=name)(x)


def test_a_chain_is_tapped_before_each_step() -> None:
    x = layers.ReLU(name="relu")(conv(START, "full"))
    x = layers.MaxPooling2D(2)(x)
    x = conv(conv(x, "half"), "half_last")
    x = layers.ZeroPadding2D(1)(x)
    assert taps(conv(x, "quarter", 2)) == {1: "relu", 2: "half_last"}


def test_shortcuts_that_go_down_too_see_the_tap() -> None:
    x = conv(START, "stem", 2)
    short = conv(x, "short", 2)
    inner = layers.ReLU(name="inner")(conv(x, "first"))
    x = layers.Add()([conv(inner, "second", 2), short])
    # `inner` is later, but the shortcut goes by it.
    assert taps(x) == {2: "stem"}


def test_where_no_tensor_is_seen_by_all_the_last_of_those_that_most_see() -> None:
    one, two = conv(START, "one", 2), conv(START, "two", 2)
    two_later = conv(two, "two_later")
    steps = [conv(one, "a", 2), conv(two_later, "b", 2), conv(two_later, "c", 2)]
    assert taps(layers.Add()(steps)) == {2: "two_later"}


@pytest.mark.parametrize("strides", [2, 4])
def test_what_is_not_learned_is_no_tap(strides: int) -> None:
    x = layers.ZeroPadding2D(1)(layers.Rescaling(2.0)(START))
    x = layers.Conv2D(4, 3, strides, name="stem")(x)
    x = layers.Dropout(0.1, name="drop")(x)
    assert taps(layers.AveragePooling2D(2)(x)) == {strides: "drop"}


def test_a_network_that_keeps_its_resolution_has_none() -> None:
    assert taps(conv(START, "only")) == {}
