"""A healthy network as an injection sees it: its calls, and the usual patterns among them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from normwise.graph.catalogue import Role, activation_of, has_bias, role_of
from normwise.graph.editing import Draft
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node, Shape

HIDDEN = frozenset({"relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "swish", "prelu"})
BATCH = {"axis": -1, "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True}
"""The settings of a new batch normalization."""


@dataclass(frozen=True)
class Block:
    """A linear layer, the batch norm that alone reads it, the activation that alone reads that.

    Attributes:
        linear: Its node.
        norm: Likewise.
        act: Likewise.
    """

    linear: int
    norm: int
    act: int


class Net:
    """A network, opened.

    Args:
        graph: Any graph; nested models are opened.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = flatten(graph)
        self.nodes: tuple[Node, ...] = self.graph.nodes
        self.roles = tuple(role_of(node) for node in self.nodes)
        self.ends = frozenset(tensor.node for tensor in self.graph.output_tensors)

    def edited(self, change: Callable[[Draft], None]) -> Graph:
        """The network after a change."""
        draft = Draft(self.graph)
        change(draft)
        return draft.freeze()

    def layer(self, index: int) -> str:
        """The layer that a node calls."""
        return self.nodes[index].layer

    def readers(self, index: int) -> tuple[int, ...]:
        """The nodes that read what a node makes."""
        return self.graph.consumers[index]

    def reader(self, index: int) -> int | None:
        """The only one, None where there are others or an output of the model."""
        readers = self.readers(index)
        return readers[0] if len(readers) == 1 and index not in self.ends else None

    def source(self, index: int) -> int | None:
        """What a node with one input reads."""
        producers = self.graph.producers[index]
        return producers[0] if len(producers) == 1 else None

    def shape(self, index: int) -> Shape:
        """The shape of what a node makes; empty where unknown."""
        return self.nodes[index].shape or ()

    def once(self, index: int) -> bool:
        """Whether the layer is called only there."""
        return len(self.graph.calls[self.layer(index)]) == 1

    def is_batch(self, index: int) -> bool:
        """Whether a node is a batch normalization that is called once and can be trained."""
        node = self.nodes[index]
        known = node.class_name == "BatchNormalization" and self.roles[index] is Role.NORM
        return known and self.once(index) and node.config.get("trainable") is not False

    def is_act(self, index: int) -> bool:
        """Whether a node is a hidden activation and nothing else."""
        hidden = activation_of(self.nodes[index]) in HIDDEN
        return self.roles[index] is Role.ACTIVATION and hidden and self.once(index)

    def is_linear(self, index: int) -> bool:
        """Whether a node is a convolution or dense layer without an activation, called once."""
        role, act = self.roles[index], activation_of(self.nodes[index])
        return role is Role.LINEAR and act is None and self.once(index)

    def has_bias(self, index: int) -> bool:
        """Whether a linear layer has a bias."""
        return has_bias(self.nodes[index])

    def is_map(self, index: int) -> bool:
        """Whether a node makes a map of more than one pixel, of a known size."""
        shape = self.shape(index)
        return len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1  # type: ignore[operator]

    @cached_property
    def norms(self) -> tuple[int, ...]:
        """The batch normalizations."""
        return tuple(i for i in range(len(self.nodes)) if self.is_batch(i))

    @cached_property
    def maps(self) -> tuple[int, ...]:
        """Those of maps with rows, columns and channels."""
        return tuple(i for i in self.norms if self.is_map(i))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every linear layer, batch norm and activation in a row."""
        return tuple(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        for norm in self.norms:
            linear, act = self.source(norm), self.reader(norm)
            if linear is None or act is None or not self.is_linear(linear):
                continue
            if self.reader(linear) == norm and self.is_act(act):
                yield Block(linear, norm, act)
