"""What calls say of `training`: a batch norm told `False` uses its moving statistics throughout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from normwise.graph.catalogue import BATCH_NORMS
from normwise.graph.graph import Graph, Node

HONOURED_FROM = (3, 16)
"""The first Keras in which `training=False` in an inner call holds."""


def mode_of(node: Node) -> Any:
    """What a call of a batch norm or of a model says of `training`, None where it says nothing."""
    if node.model is None and node.steps is None and node.class_name not in BATCH_NORMS:
        return None
    second = node.args[1] if len(node.args) > 1 and node.model is None else None
    return node.kwargs.get("training", second)


def told_to_rest(model: Graph, opened: Graph) -> frozenset[int]:
    """The batch norms whose call, or a call around it, says `training=False`.

    Args:
        model: The graph, nested models closed.
        opened: The same, opened; the nodes are named by their index in it.
    """
    return frozenset(
        opened.index[name]
        for name, told in _told_modes(model)
        if told is False
        and name in opened.index
        and opened.nodes[opened.index[name]].class_name in BATCH_NORMS
    )


def _told_modes(model: Graph) -> Iterator[tuple[str, Any]]:
    """Each call inside by its name, and what it or the nearest around it says of `training`."""
    pending: list[tuple[Graph, str, Any]] = [(model, "", None)]
    while pending:
        graph, path, around = pending.pop()
        for node in graph.nodes:
            own = mode_of(node)
            told = around if own is None else own
            inside = node.model or node.steps
            if inside is not None:
                pending.append((inside, f"{path}{node.name}/", told))
            elif told is not None:
                yield f"{path}{node.name}", told
