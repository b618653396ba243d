"""The layers of a live model by their paths, with those inside nested models and other layers.

A path is what `graph.flatten` calls a layer: `encoder/conv1` is the layer `conv1` of the nested
model `encoder`. A layer inside a layer that is no model has a path too, `each/norm` inside a
`TimeDistributed` named `each`, which `flatten` opens where it is asked to. Only inside such layers
may two have one name; the second is `block/norm:1` then.
"""

from collections import Counter
from collections.abc import Mapping
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
        path = _path_of(layer, f"{prefix}{layer.name}", found)
        if path in found:
            continue
        found[path] = layer
        inside = layer.layers if hasattr(layer, "layers") else getattr(layer, "_layers", ())
        pending.extend((f"{path}/", inner) for inner in reversed(list(inside)))
    return found


def _path_of(layer: Any, wanted: str, taken: Mapping[str, Any]) -> str:
    """The wanted path, or the first free one where another layer has it."""
    path, number = wanted, 0
    while taken.get(path, layer) is not layer:
        number += 1
        path = f"{wanted}:{number}"
    return path


def shared_paths(layers: Mapping[str, Any]) -> frozenset[str]:
    """The paths of layers that are reached in several ways: what changes at one does at all.

    Args:
        layers: A model's layers by path.
    """
    counts = Counter(id(layer) for layer in layers.values())
    return frozenset(path for path, layer in layers.items() if counts[id(layer)] > 1)


def operations_by_path(model: Any) -> dict[str, Any]:
    """Every operation of a model's graph by its path: layers and raw ops such as `x + y`.

    Those of nested models are among them, those inside other layers are not; each stands once, by
    the first of its paths.

    Args:
        model: A functional or Sequential `keras.Model`.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    pending = [("", model)]
    while pending:
        prefix, inner = pending.pop()
        for operation in getattr(inner, "operations", inner.layers):
            if id(operation) in seen:
                continue
            seen.add(id(operation))
            found[f"{prefix}{operation.name}"] = operation
            if hasattr(operation, "layers"):
                pending.append((f"{prefix}{operation.name}/", operation))
    return found
