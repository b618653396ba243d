"""A model's graph with nested models opened, and what each node in it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from normwise.graph.catalogue import (
    BATCH_NORMS,
    JOIN_STEPS,
    SPLIT_STEPS,
    Role,
    activation_of,
    roles_of,
)
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node, Tensor, tensors_in
from normwise.graph.regions import Layout, layout_of
from normwise.norms.kinds import NormSpec, spec_of
from normwise.rules.context.channels import ChannelAxis, channel_axes

FIXED_NORMS = frozenset({"Normalization", "UnitNormalization"})
"""Normalizations that learn nothing: scaling by data statistics, and to unit length."""
PER_POSITION = frozenset({"LayerNormalization", "RMSNormalization"})
"""Normalizations that usually take each position by itself, over its channels alone."""


@dataclass(frozen=True)
class OpenedGraph:
    """A model, opened. Nodes are named by their index in `graph`.

    Attributes:
        model: The graph as it was read, nested models closed.
    """

    model: Graph

    @cached_property
    def graph(self) -> Graph:
        """The graph with nested models and what stands in a `TimeDistributed` opened.

        `Node.layer` is a layer's full path.
        """
        return flatten(self.model, steps=True)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of `graph`."""
        return self.graph.nodes

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """What each node does; a user's own class is `OTHER`, whatever its name."""
        found = zip(self.nodes, roles_of(self.graph), strict=True)
        return tuple(role if _is_known(node) else Role.OTHER for node, role in found)

    @cached_property
    def activations(self) -> tuple[str | None, ...]:
        """The nonlinearity that each node applies to its result, fused ones included."""
        return tuple(
            activation_of(node) if role in (Role.LINEAR, Role.ACTIVATION) else None
            for node, role in zip(self.nodes, self.roles, strict=True)
        )

    @cached_property
    def layout(self) -> Layout:
        """Regions, resolutions, merges."""
        return layout_of(self.graph)

    @cached_property
    def axes(self) -> tuple[ChannelAxis | None, ...]:
        """The channel axis of what each node makes, None where nothing tells it."""
        return channel_axes(self.graph, self.roles, self.producers)

    @cached_property
    def producers(self) -> tuple[tuple[int, ...], ...]:
        """The nodes that each node reads, masks left out: Keras hands them on as a keyword."""
        return tuple(
            tuple(dict.fromkeys(tensor.node for tensor in _read_as_data(node)))
            for node in self.nodes
        )

    @cached_property
    def outputs(self) -> frozenset[int]:
        """The nodes that make an output of the model."""
        return frozenset(tensor.node for tensor in self.graph.output_tensors)

    @cached_property
    def norms(self) -> tuple[int, ...]:
        """The normalizations that learn (see `FIXED_NORMS` for the others)."""
        return tuple(i for i in self.of_role(Role.NORM) if not self.is_fixed(i))

    @cached_property
    def batch_norms(self) -> tuple[int, ...]:
        """The batch normalizations."""
        return tuple(i for i in self.norms if self.nodes[i].class_name in BATCH_NORMS)

    @cached_property
    def steps(self) -> tuple[tuple[int | None, ...], ...]:
        """Of each node the steps of the `TimeDistributed` layers around it, the outermost first.

        None for a number that is free; nothing for a node that runs once in a call of the model.
        """
        found: list[tuple[int | None, ...]] = []
        for node, producers in zip(self.nodes, self.producers, strict=True):
            around = found[producers[0]] if producers else ()
            if node.class_name == SPLIT_STEPS:
                around = (*around, node.config.get("steps"))
            found.append(around[:-1] if node.class_name == JOIN_STEPS else around)
        return tuple(found)

    def runs(self, index: int) -> int | None:
        """How often a node runs in one call of the model, None where that is free."""
        around = self.steps[index]
        known = [length for length in around if length is not None]
        return prod(known) if len(known) == len(around) else None

    @cached_property
    def closed_names(self) -> frozenset[str]:
        """Names of calls and layers that only the opened graph has: inside `TimeDistributed`."""
        inside = (
            node
            for node, around in zip(self.nodes, self.steps, strict=True)
            if around or node.class_name == SPLIT_STEPS
        )
        return frozenset(name for node in inside for name in (node.name, node.layer))

    @cached_property
    def linears(self) -> tuple[int, ...]:
        """Convolutions and dense layers."""
        return tuple(self.of_role(Role.LINEAR))

    def of_role(self, role: Role) -> Iterator[int]:
        """The nodes of a role, in order."""
        return (index for index, found in enumerate(self.roles) if found is role)

    def is_fixed(self, index: int) -> bool:
        """Whether a node is a normalization that learns nothing."""
        return self.nodes[index].class_name in FIXED_NORMS

    def is_norm(self, index: int) -> bool:
        """Whether a node is a normalization that learns."""
        return self.roles[index] is Role.NORM and not self.is_fixed(index)

    def is_frozen(self, index: int) -> bool:
        """Whether the layer is set not to be trained (`trainable=False`)."""
        return self.nodes[index].config.get("trainable") is False

    def name(self, index: int) -> str:
        """The call's name in the opened graph."""
        return self.nodes[index].name

    def layer(self, index: int) -> str:
        """The layer's full path."""
        return self.nodes[index].layer

    def layers(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The layers of several nodes, each once."""
        return tuple(dict.fromkeys(self.nodes[i].layer for i in indices))

    def spec(self, index: int) -> NormSpec | None:
        """The kind of a normalization, None where plans have none for it."""
        return spec_of(self.nodes[index]) if self.roles[index] is Role.NORM else None


def _read_as_data(node: Node) -> Iterator[Tensor]:
    data = tuple(value for key, value in node.kwargs.items() if key != "mask")
    return tensors_in((node.args, data))


_KERAS = ("keras", "tf_keras", "tensorflow", "builtins")


def _is_known(node: Node) -> bool:
    """Whether a class is Keras' own: files name a module, old ones don't."""
    return node.module is None or str(node.module).partition(".")[0] in _KERAS
