"""Live models in the form of files."""

from typing import Any

import keras
import numpy as np
import pytest

from normwise.errors import ModelReadError
from normwise.keras_format import read_graph
from normwise.keras_format.live import describe
from tests.zoo import ZOO, built, conv, image


@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_description_holds_only_what_json_holds(name: str) -> None:
    pending: list[Any] = [describe(built(name))]
    while pending:
        part = pending.pop()
        assert part is None or isinstance(part, (bool, int, float, str, list, dict))
        if isinstance(part, dict):
            assert all(isinstance(key, str) for key in part)
            pending += list(part.values())
        elif isinstance(part, list):
            pending += part


def test_the_model_is_untouched() -> None:
    model = built("nested_twice")
    before = [w.numpy() for w in model.weights], model.to_json()
    describe(model)
    assert model.to_json() == before[1]
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before[0], model.weights, strict=True))


def test_an_unbuilt_sequential_has_no_input() -> None:
    described = describe(keras.Sequential([conv(2), conv(3)], name="unbuilt"))
    assert [layer["class_name"] for layer in described["config"]["layers"]] == ["Conv2D", "Conv2D"]


def test_an_error_inside_get_config_makes_the_layer_opaque() -> None:
    class Broken(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def get_config(self) -> Any:
            raise RuntimeError("the factory\nis closed\n\nand more")

    class Silent(Broken):
        def get_config(self) -> Any:
            raise RuntimeError

    inputs = image()
    model = keras.Model(inputs, Silent(name="silent")(Broken(name="broken")(inputs)))
    layers = {layer["name"]: layer for layer in describe(model)["config"]["layers"]}
    assert layers["broken"]["opaque"] == "the factory is closed"
    assert layers["silent"]["opaque"] == "RuntimeError"


def test_constants_that_keras_cannot_write_are_told_apart_by_their_text() -> None:
    class Shift(keras.layers.Layer):
        def call(self, x: Any, by: Any = None) -> Any:
            return x

    class Thing:
        def __repr__(self) -> str:
            return "<thing>"

    inputs = image()
    model = keras.Model(inputs, Shift(name="shift")(inputs, by=Thing()))
    told = {layer["name"]: layer for layer in describe(model)["config"]["layers"]}
    assert "thing" in str(told["shift"]["inbound_nodes"][0]["kwargs"]["by"]).lower()


def test_what_is_no_model() -> None:
    with pytest.raises(ModelReadError, match="got Conv2D"):
        describe(conv(2))


@pytest.mark.parametrize("name", ["conv:1", "conv:2"])
def test_a_layer_called_like_a_further_call_of_another(name: str) -> None:
    inputs, twice = image(4), conv(4, name="conv")
    model = keras.Model(inputs, twice(conv(4, name=name)(twice(inputs))))
    if name == "conv:2":
        assert len(read_graph(model).nodes) == 4
        return
    with pytest.raises(ModelReadError, match=r"'conv:1', and so is .* another \('conv'\)"):
        read_graph(model)
