"""Compares what stands inside two models, where an output tells nothing.

An output can be the same whatever the input is: a last ReLU that no input wakes, a saturated
sigmoid. Then equal outputs prove nothing of the layers before it. Most rewrites keep what every
layer makes that they leave alone. Where a scale is folded, what stands between the layers concerned
is another one; but it never reaches beyond an activation, so what these read and make is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from normwise.graph.catalogue import activation_of
from normwise.graph.graph import Graph
from normwise.surgery.differences import is_constant, one_difference
from normwise.surgery.running import Pair

NEAREST = 16
"""Calls that are compared, counted back from the outputs."""


@dataclass(frozen=True)
class Inner:
    """What was compared inside.

    Attributes:
        difference: Largest difference, as a share of a result's largest value.
        layers: Calls that varied with the input and could be compared, the nearest first.
        layer: The first of them, in the order of the network, that differs by too much.
    """

    difference: float = 0.0
    layers: tuple[str, ...] = ()
    layer: str | None = None


def compared_inside(pair: Pair, inputs: Any, constant: Sequence[int], tolerance: float) -> Inner:
    """Compares the calls that lead to some outputs.

    Args:
        pair: The model and its copy.
        inputs: What both read.
        constant: Indices of the outputs that tell nothing.
        tolerance: The difference that counts as kept.
    """
    names = _nearest(pair, constant)
    if not names:
        return Inner()
    told: dict[str, float] = {}
    for position, (a, b) in enumerate(pair.inside(names, inputs, reads=True)):
        if not is_constant(a, tolerance):
            name = names[position // 2]
            told[name] = max(told.get(name, 0.0), one_difference(a, b))
    wrong = [name for name in told if not told[name] <= tolerance]
    return Inner(max(told.values(), default=0.0), tuple(told), wrong[-1] if wrong else None)


def _nearest(pair: Pair, constant: Sequence[int]) -> list[str]:
    """Calls that can be compared, the nearest first."""
    graph, same = pair.graph, frozenset(pair.same_calls())
    ends = [graph.output_tensors[index].node for index in constant]
    behind = sorted(_before(graph, ends), reverse=True)
    nodes = [graph.nodes[index] for index in behind if graph.nodes[index].name in same]
    comparable = [n.name for n in nodes if pair.everywhere or activation_of(n) is not None]
    return comparable[:NEAREST]


def _before(graph: Graph, ends: Sequence[int]) -> set[int]:
    found, pending = set(ends), list(ends)
    while pending:
        for producer in graph.producers[pending.pop()]:
            if producer not in found:
                found.add(producer)
                pending.append(producer)
    return found
