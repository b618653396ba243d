"""The layers of a live model by their paths, with those inside nested models and other layers.

A path is what `graph.flatten` calls a layer: `encoder/conv1` is the layer `conv1` of the nested
model `encoder`. A layer inside a layer that is no model has a path too, `each/norm` inside a
`TimeDistributed` named `each`, though no graph shows it.
"""

from typing import Any


def layers_by_path(model: Any) -> dict[str, Any]:
    """Every layer of a model.

    Args:
        model: A functional or Sequential `keras.Model`.

    Returns:
        From paths to layers, in the model's order. A layer that is reached in several ways has
        several paths.
    """
    found: dict[str, Any] = {}
    pending = [("", layer) for layer in reversed(model.layers)]
    while pending:
        prefix, layer = pending.pop()
        path = f"{prefix}{layer.name}"
        if path in found:
            continue
        found[path] = layer
        inside = layer.layers if hasattr(layer, "layers") else getattr(layer, "_layers", ())
        pending.extend((f"{path}/", inner) for inner in reversed(list(inside)))
    return found
