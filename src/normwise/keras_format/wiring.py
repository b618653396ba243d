"""How the calls of a functional model hang together: their order, what each reads, the ends.

A configuration lists layers in any order and names tensors by layer, call and output (`Reference`);
a graph has its nodes in an order in which each follows what it reads, and names tensors by their
index in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from normwise.errors import ModelReadError
from normwise.graph.graph import Node, Tensor, TensorSpec, freeze
from normwise.keras_format.bounds import refuse_many_outputs
from normwise.keras_format.references import (
    MAPPINGS,
    SEQUENCES,
    UNKNOWN,
    Reference,
    map_references,
    output_of,
    refuse_deep,
)

Key = tuple[str, int]
"""A call: its layer, and which of the layer's calls it is."""


def told_specs(
    reads: Mapping[Key, Sequence[Reference]], source: str
) -> Mapping[Key, Mapping[int, TensorSpec]]:
    """What the readers of each call tell of its outputs.

    Args:
        reads: What each call reads.
        source: The file or object, for messages.

    Raises:
        ModelReadError: More outputs are read than any model has.
    """
    specs: dict[Key, dict[int, TensorSpec]] = {}
    for references in reads.values():
        for reference in references:
            told = specs.setdefault((reference.layer, reference.call), {})
            told[reference.output] = reference.spec
    refuse_many_outputs(sum(max(told) + 1 for told in specs.values()), source)
    return specs


def topological(
    pending: Mapping[Key, Node], reads: Mapping[Key, Sequence[Reference]], source: str
) -> list[Key]:
    """The calls in an order in which each follows what it reads, else as they are listed.

    Args:
        pending: The calls.
        reads: What each of them reads.
        source: The file or object, for messages.
    """
    rank = {key: index for index, key in enumerate(pending)}
    readers: dict[Key, list[Key]] = {key: [] for key in pending}
    missing: dict[Key, int] = {}
    for key, node in pending.items():
        needed = {(r.layer, r.call) for r in reads[key]}
        for need in needed:
            if need not in pending:
                raise ModelReadError(
                    f"{source}: layer {node.layer!r} reads call {need[1]} of a layer "
                    f"{need[0]!r}, which isn't in the model."
                )
            readers[need].append(key)
        missing[key] = len(needed)
    ready = [rank[key] for key in pending if missing[key] == 0]
    heapq.heapify(ready)
    keys, order = list(pending), []
    while ready:
        key = keys[heapq.heappop(ready)]
        order.append(key)
        for reader in readers[key]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heapq.heappush(ready, rank[reader])
    if len(order) != len(pending):
        stuck = next(key[0] for key in pending if missing[key] > 0)
        raise ModelReadError(f"{source}: the graph has a loop; layer {stuck!r} waits for itself.")
    return order


def resolver(order: Sequence[Key], source: str) -> Callable[[Reference], Tensor]:
    """Finds the tensor that a reference means.

    Args:
        order: The calls in the order of the graph's nodes.
        source: The file or object, for messages.
    """
    place = {key: index for index, key in enumerate(order)}

    def resolve(reference: Reference) -> Tensor:
        key = (reference.layer, reference.call)
        if key not in place:
            raise ModelReadError(
                f"{source}: layer {reference.layer!r} has no call number {reference.call}, but "
                "another layer or an output of the model reads it."
            )
        return Tensor(place[key], reference.output)

    return resolve


def resolved(
    node: Node, told: Mapping[int, TensorSpec], resolve: Callable[[Reference], Tensor]
) -> Node:
    """A call with tensors in the place of references, and what is told of its outputs."""
    outputs = list(node.outputs)
    for output, spec in told.items():
        outputs.extend([UNKNOWN] * (output + 1 - len(outputs)))
        if outputs[output].shape is None:
            outputs[output] = spec
    return node.changed(
        args=map_references(node.args, resolve),
        kwargs=map_references(node.kwargs, resolve),
        outputs=tuple(outputs),
    )


def end_references(structure: Any, nested: set[str], depth: int = 0) -> Any:
    """The model's inputs or outputs as `Reference`s.

    Keras counts the calls of a nested functional model from 1 here, but from 0 in inbound nodes.

    Args:
        structure: The ends as they are serialized.
        nested: The names of nested functional models.
        depth: Of the structures around this one.
    """
    refuse_deep(depth)
    if isinstance(structure, MAPPINGS):
        ends = {k: end_references(v, nested, depth + 1) for k, v in structure.items()}
        return freeze(ends)
    parts = list(structure) if isinstance(structure, SEQUENCES) else []
    if len(parts) >= 3 and isinstance(parts[0], str) and isinstance(parts[1], int):
        layer, call, output = parts[:3]
        return Reference(layer, call - 1 if layer in nested else call, output_of(output))
    return tuple(end_references(part, nested, depth + 1) for part in parts)


def with_outputs(nodes: list[Node], ends: Sequence[Tensor], source: str) -> tuple[Node, ...]:
    """Every output that anyone reads has a spec, an unknown one if need be."""
    needed: dict[int, int] = {}
    for tensor in [*ends, *(t for node in nodes for t in node.inputs)]:
        needed[tensor.node] = max(needed.get(tensor.node, 0), tensor.output + 1)
    refuse_many_outputs(sum(needed.values()), source)
    return tuple(
        node
        if (more := needed.get(index, 0) - len(node.outputs)) <= 0
        else replace(node, outputs=node.outputs + (UNKNOWN,) * more)
        for index, node in enumerate(nodes)
    )


def refuse_like_names(nodes: Sequence[Node], source: str) -> None:
    """The second call of the layer `a` is known as `a:1`, so no other layer may be called so."""
    layers: dict[str, str] = {}
    for node in nodes:
        other = layers.setdefault(node.name, node.layer)
        if other != node.layer:
            raise ModelReadError(
                f"{source}: a layer is named {node.name!r}, and so is a further call of another "
                f"({min(other, node.layer, key=len)!r}); rename it, by another number at its end."
            )
