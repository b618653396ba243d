"""Keras models of the networks that the rules' examples draw."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from normwise.graph.graph import Graph, map_tensors, thaw
from normwise.rules import Context


def live(context: Context) -> Any:
    """The model of an example, with the weights of normalizations that it tells."""
    model = _model(context.model)
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    told = getattr(context.weights, "layers", {})
    for name in told:
        arrays = context.weights.of(name)  # type: ignore[union-attr]
        layers[name].set_weights([np.asarray(values) for values in arrays])
    return model


def _model(graph: Graph) -> Any:
    made: dict[Any, Any] = {}
    layers: dict[str, Any] = {}
    for index, node in enumerate(graph.nodes):
        if node.class_name == "InputLayer":
            shape, dtype = node.outputs[0].shape, node.outputs[0].dtype
            made[index] = keras.Input(shape[1:], name=node.name, dtype=dtype)
            continue
        if node.layer not in layers:
            layers[node.layer] = _layer(node)
        args, kwargs = (thaw(map_tensors(part, lambda t: made[t.node])) for part in
                        (node.args, node.kwargs))  # fmt: skip
        made[index] = layers[node.layer](*args, **kwargs)
    ends = map_tensors(graph.outputs, lambda t: made[t.node])
    inputs = map_tensors(graph.inputs, lambda t: made[t.node])
    return keras.Model(inputs, ends, name=graph.name)


def _layer(node: Any) -> Any:
    if node.model is not None:
        inner = _model(node.model)
        inner.name = node.layer
        return inner
    config = {key: value for key, value in thaw(node.config).items() if key != "name"}
    kind = getattr(keras.layers, node.class_name)
    return kind.from_config({**config, "name": node.layer})
