"""Rewrites of graphs that are drawn without Keras: all that is planned and edited, no model.

Used by the tests of how cost grows and by `benchmarks/surgery.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.graph.editing import Draft
from normwise.graph.graph import Graph
from normwise.norms import NormPlan
from normwise.rules.sketches import Sketch
from normwise.surgery.fold_plan import Plan
from normwise.surgery.planning import edited_graph
from normwise.surgery.work import EditSettings, Work

CHAIN = 50
"""Most layers in a row."""


@dataclass(frozen=True)
class Variable:
    """What folding asks of a variable."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """What folding asks of a layer."""

    variables: tuple[Variable, ...] = ()
    compute_dtype: str = "float32"
    variable_dtype: str = "float32"
    epsilon: float = 1e-3
    axis: int = -1


class Ones:
    """Weights that are all one."""

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        self.layers = layers

    def of(self, path: str) -> dict[str, Any]:
        """The arrays of one layer."""
        return {v.name: np.ones(v.shape, "float32") for v in self.layers[path].variables}


def layers_of(graph: Graph) -> dict[str, Layer]:
    """Layers that a graph of convolutions and norms could have."""
    found = {}
    for node in graph.nodes:
        shapes: dict[str, tuple[int, ...]] = {}
        if node.class_name == "Conv2D":
            read, made = graph.spec(node.inputs[0]).shape[-1], node.shape[-1]
            shapes = {"kernel": (*node.config["kernel_size"], read, made), "bias": (made,)}
        if node.class_name == "BatchNormalization":
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            shapes = dict.fromkeys(names, (node.shape[-1],))
        found[node.layer] = Layer(tuple(Variable(*pair) for pair in shapes.items()))
    return found


def place(graph: Graph, plan: str, settings: EditSettings) -> int:
    """Plans and edits a placing; how many edits there are."""
    return len(edited_graph(Work(graph, settings), NormPlan.parse(plan)).changed)


def fold(graph: Graph, layers: Mapping[str, Layer] | None = None) -> int:
    """Plans and edits a fold; how many norms go."""
    layers = layers_of(graph) if layers is None else layers
    plan, draft = Plan(layers, Ones(layers)), Draft(graph)
    plan.level(graph, draft, "")
    draft.freeze()
    return len(plan.changed)


def side_by_side(convolutions: int, norms: bool = False) -> Graph:
    """Chains of convolutions with fused activations, or with norms before them."""
    net = Sketch()
    inputs, ends = net.input(4, 4, 2), []
    chain = min(CHAIN, convolutions)
    for _ in range(convolutions // chain):
        x = inputs
        for _ in range(chain):
            x = net.conv(2, x, size=1, activation="linear" if norms else "elu")
            x = net.add("Activation", net.norm(x), activation="elu") if norms else x
        ends.append(x)
    joined = net.add("Concatenate", *ends) if len(ends) > 1 else ends[0]
    return net.graph(net.conv(1, joined, size=1))
