"""A Keras model as data: a frozen graph with one node for each call of a layer or an op.

A layer that is called twice has two nodes; both carry its name in `Node.layer`. What a node reads
stands in its call arguments, where every tensor is a `Tensor`: the index of the node that made it
and which of that node's outputs it is. Nothing here needs Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

Shape = tuple[int | None, ...]

_LEAVES = (str, int, float, type(None))
"""What holds nothing else; telling these apart first is most of what reading a graph costs."""
_MAPPINGS = (MappingProxyType, Mapping)
"""The first is what graphs hold, and told apart faster."""


@dataclass(frozen=True, order=True)
class Tensor:
    """One output of one call: `node` indexes `Graph.nodes`, `output` the node's outputs."""

    node: int
    output: int = 0


@dataclass(frozen=True)
class TensorSpec:
    """What is known of a tensor: shape with the batch axis first (None = free), and dtype.

    `shape` is None when not even the rank is known; `dtype` is None when unknown.
    """

    shape: Shape | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Node:
    """One call of a layer, an op or a nested model.

    Attributes:
        name: Unique in the graph: the layer's name, with `:k` for its call k (k = 1, 2, ...)
            after the first.
        layer: Name of the layer; calls that share a layer have it in common.
        class_name: Class of the layer or op, for example `"Conv2D"`.
        module: Module that the class comes from, or None when the file doesn't say.
        config: The layer's configuration, frozen.
        args: Positional call arguments; every tensor is a `Tensor`, constants are kept.
        kwargs: Keyword call arguments, likewise.
        outputs: Specs of the outputs.
        model: The graph inside, when the layer is itself a model.
        call: 0 for the layer's first call, 1 for the second, ...
        opaque: Why the configuration can't be read, or None.
        steps: What a `TimeDistributed` does at each step of time: a graph of an input and one
            layer, None for anything else.
    """

    name: str
    layer: str
    class_name: str
    module: str | None = None
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    outputs: tuple[TensorSpec, ...] = (TensorSpec(),)
    model: Graph | None = None
    call: int = 0
    opaque: str | None = None
    steps: Graph | None = None

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors it reads, in the order of its arguments."""
        return tuple(tensors_in((self.args, tuple(self.kwargs.values()))))

    def changed(self, **changes: Any) -> Node:
        """The same call with other attributes: what `dataclasses.replace` does, in less time."""
        made = object.__new__(Node)
        vars(made).update(vars(self))
        if "args" in changes or "kwargs" in changes:
            vars(made).pop("inputs", None)  # worked out from them
        vars(made).update(changes)
        return made

    @property
    def is_op(self) -> bool:
        """Whether it is a raw op (`ops.relu`, `x + y`) and no layer."""
        return bool(self.module) and ".ops." in f"{self.module}."

    @property
    def shape(self) -> Shape | None:
        """Shape of the first output."""
        return self.outputs[0].shape if self.outputs else None


@dataclass(frozen=True)
class Graph:
    """A model: its calls in an order in which each follows what it reads.

    Attributes:
        name: The model's name.
        class_name: `"Functional"`, `"Sequential"`, or the name of a subclass of these.
        nodes: One node for each call, inputs included.
        inputs: Structure (tuples and mappings) of the input `Tensor`s.
        outputs: Structure of the output `Tensor`s.
        source: The file or object it was read from, for messages.
    """

    name: str
    class_name: str
    nodes: tuple[Node, ...]
    inputs: Any
    outputs: Any
    source: str = ""

    @cached_property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """The input tensors, in order."""
        return tuple(tensors_in(self.inputs))

    @cached_property
    def output_tensors(self) -> tuple[Tensor, ...]:
        """The output tensors, in order."""
        return tuple(tensors_in(self.outputs))

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the indices of the nodes that read any of its outputs, in order."""
        readers: list[dict[int, None]] = [{} for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for tensor in node.inputs:
                readers[tensor.node][index] = None
        return tuple(tuple(found) for found in readers)

    @cached_property
    def readings(self) -> Mapping[Tensor, tuple[int, ...]]:
        """For each tensor that is read, the indices of the nodes that read it, once a reading."""
        readers: dict[Tensor, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for tensor in node.inputs:
                readers.setdefault(tensor, []).append(index)
        return MappingProxyType({tensor: tuple(found) for tensor, found in readers.items()})

    @cached_property
    def producers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the indices of the nodes that it reads, in order, each once."""
        return tuple(tuple(dict.fromkeys(t.node for t in node.inputs)) for node in self.nodes)

    @cached_property
    def calls(self) -> Mapping[str, tuple[int, ...]]:
        """For each layer name, the indices of its calls."""
        found: dict[str, list[int]] = {}
        for index, node in enumerate(self.nodes):
            found.setdefault(node.layer, []).append(index)
        return MappingProxyType({layer: tuple(indices) for layer, indices in found.items()})

    @cached_property
    def memo(self) -> dict[str, Any]:
        """What others have worked out about this graph, by keys of their own; it never changes."""
        return {}

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            KeyError: No node has that name.
        """
        return self.nodes[self.index[name]]

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Index of each node by its name."""
        return MappingProxyType({node.name: i for i, node in enumerate(self.nodes)})

    def spec(self, tensor: Tensor) -> TensorSpec:
        """What is known of a tensor."""
        outputs = self.nodes[tensor.node].outputs
        return outputs[tensor.output] if tensor.output < len(outputs) else TensorSpec()


def tensors_in(structure: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples and mappings, in the order in which Keras counts them.

    That is the order of the keys in a mapping, whatever the order in which it was written.
    Iterative, because a hostile file may nest deeper than Python's stack.
    """
    pending = [structure]
    while pending:
        part = pending.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, (tuple, list)):
            pending.extend(reversed(part))
        elif not isinstance(part, _LEAVES) and isinstance(part, _MAPPINGS):
            pending.extend(part[key] for key in sorted(part, key=str, reverse=True))


def map_tensors(structure: Any, change: Any) -> Any:
    """The same structure with `change(tensor)` in the place of every tensor."""
    if isinstance(structure, Tensor):
        return change(structure)
    if isinstance(structure, _LEAVES):
        return structure
    if isinstance(structure, _MAPPINGS):
        return MappingProxyType({k: map_tensors(v, change) for k, v in structure.items()})
    if isinstance(structure, (tuple, list)):
        # Some layers read thousands of tensors: those of a flat list take no calls of their own.
        return tuple(
            [change(p) if isinstance(p, Tensor) else map_tensors(p, change) for p in structure]
        )
    return structure


def freeze(value: Any) -> Any:
    """Nested dicts and lists as read-only mappings and tuples."""
    if isinstance(value, _LEAVES):
        return value
    if isinstance(value, Mapping):
        return MappingProxyType({str(k): freeze(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(part) for part in value)
    return value


def thaw(value: Any) -> Any:
    """Nested read-only mappings and tuples as dicts and lists, for writing as JSON."""
    if isinstance(value, Mapping):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(part) for part in value]
    return value
