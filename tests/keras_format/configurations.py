"""Small configurations in the form in which Keras 3 writes models."""

from typing import Any

import pytest

from normwise.errors import ModelReadError
from normwise.keras_format.config import graph_from_config


def tensor(layer: str, call: int = 0, output: int = 0) -> dict[str, Any]:
    history = {"shape": [None, 8, 8, 2], "dtype": "float32", "keras_history": [layer, call, output]}
    return {"class_name": "__keras_tensor__", "config": history}


def call(*arguments: Any, **keywords: Any) -> dict[str, Any]:
    return {"args": list(arguments), "kwargs": keywords}


def layer(name: str, *calls: Any, class_name: str = "ReLU", **config: Any) -> dict[str, Any]:
    return {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": list(calls),
    }


def entry(name: str = "x") -> dict[str, Any]:
    return layer(name, class_name="InputLayer", batch_shape=[None, 8, 8, 2], dtype="float32")


def model(*layers: Any, ends: Any = ("y", 0, 0), name: str = "m") -> dict[str, Any]:
    config = {"name": name, "layers": list(layers), "input_layers": ["x", 0, 0]}
    ends = list(ends) if isinstance(ends, tuple) else ends
    return {"class_name": "Functional", "config": {**config, "output_layers": ends}}


def nest(depth: int, calls: int = 1) -> dict[str, Any]:
    """Models inside models, each called `calls` times by the one around it."""
    around = [call(tensor("x")), *(call(tensor("inner", i)) for i in range(calls - 1))]
    inner = layer("inner", *around)
    end = calls - 1
    for _ in range(depth):
        within = model(entry(), inner, ends=("inner", end, 0), name="inner")
        inner, end = {**within, "name": "inner", "inbound_nodes": around}, calls
    return model(entry(), inner, ends=("inner", end, 0))


def refused(config: Any, *words: str) -> None:
    """Asserts that a configuration is refused, with the file and these words in the message."""
    with pytest.raises(ModelReadError) as caught:
        graph_from_config(config, "some/file.json")
    for word in ("some/file.json", *words):
        assert word in str(caught.value)
