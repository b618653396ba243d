"""What a rule may look at: the opened graph, and what else is known of a model and its training.

Whatever several rules need is computed here, when it is first asked for, in one pass over the
graph: a check has to stay linear in the number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, Role, activation_of, roles_of
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node, Shape, Tensor, tensors_in
from normwise.graph.parameters import parameters_of
from normwise.graph.regions import Layout, layout_of
from normwise.norms.kinds import NormSpec, spec_of
from normwise.rules.channels import ChannelAxis, channel_axes

if TYPE_CHECKING:
    from normwise.rules.batch_statistics import Weights as BatchNormWeights
    from normwise.rules.measurements import Measurements, StateChange

OUTPUT = -1
"""Stands for the model's output among the readers of a tensor."""

BATCH_NORMS = frozenset({"BatchNormalization", "SyncBatchNormalization"})
FIXED_NORMS = frozenset({"Normalization", "UnitNormalization"})
"""Normalizations that learn nothing: scaling by data statistics, and to unit length."""

MOST_PARAMETERS = 10**15
"""A file can state any number; beyond this one it is none that anybody meant."""

HONOURED_FROM = (3, 16)
"""The first Keras in which `training=False` in an inner call holds."""

_IDENTITIES = frozenset(
    {SPLIT_STEPS, JOIN_STEPS, "Identity", "Copy", "StopGradient", "Cast", "Activation"}
)


class Values(Protocol):
    """Numbers in a shape: a view of memory, or an array of NumPy."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Sizes of the axes."""
        ...

    def tolist(self) -> Any:
        """The numbers as Python's."""
        ...


class Weights(Protocol):
    """Reads a model's weights, one layer at a time."""

    def of(self, layer: str) -> Sequence[Values] | None:
        """The arrays of a layer in Keras' order, None if there are none.

        Args:
            layer: Its full path.

        Raises:
            TooWideError: They are more than is read.
        """
        ...


@dataclass(frozen=True)
class Training:
    """How a model is, or will be, trained; None for what isn't known.

    Attributes:
        batch_size: Samples of a batch, over all replicas.
        samples: Samples of an epoch.
        epochs: Their number.
        steps: Optimizer's or loader's steps of the whole training; else from the three above.
        loss: Its name.
        optimizer: Settings in Keras' names, such as `weight_decay`; what its method
            `exclude_from_weight_decay` was told as `var_names` stands under the method's name.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        recalibrated: Whether moving statistics are measured anew at the end.
        read: Whether the optimizer's settings were read from a file, which doesn't say what was
            left out of weight decay.
    """

    batch_size: int | None = None
    samples: int | None = None
    epochs: int | None = None
    steps: int | None = None
    loss: str | None = None
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1
    accumulation: int = 1
    recalibrated: bool = False
    read: bool = False

    @property
    def total_steps(self) -> int | None:
        """Batches that the training shows to the model."""
        if self.steps is not None:
            return self.steps
        if self.samples is None or self.batch_size is None or self.epochs is None:
            return None
        return self.epochs * -(-self.samples // self.batch_size)

    @property
    def samples_per_statistic(self) -> int | None:
        """N: the samples behind a batch statistic, which replicas take each by themselves."""
        batch = self.largest_batch
        return None if batch is None else max(1, batch // self.replicas)

    @property
    def largest_batch(self) -> int | None:
        """Samples of the largest batch: no more than the data set has."""
        if self.batch_size is None or self.samples is None:
            return self.batch_size
        return max(1, min(self.batch_size, self.samples))


@dataclass(frozen=True)
class Context:
    """A model, opened, with what else is known.

    Nodes are named by their index in `graph`.

    Attributes:
        model: The graph as it was read, nested models closed.
        weights: Its weights, None if there are none to read.
        training: Its training set-up.
        keras_version: Of the Keras that wrote the file, such as `(3, 15, 1)`, None if unknown.
        written: Whether it was read from a file, which another Keras may have to read.
        measured: What was measured on data, None without data.
        live: Tries what training does to the state, where a live model is at hand.
        batch_norm_weights: What was read of the weights so far, by layer (see `batch_statistics`).
        unread: The layers whose weights are too many to look at, as far as rules asked for them.
    """

    model: Graph
    weights: Weights | None = None
    training: Training = field(default_factory=Training)
    keras_version: tuple[int, ...] | None = None
    written: bool = False
    measured: Measurements | None = None
    live: StateChange | None = None
    batch_norm_weights: dict[str, BatchNormWeights | None] = field(
        default_factory=dict, repr=False, compare=False
    )
    unread: list[str] = field(default_factory=list, repr=False, compare=False)

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
    def resting(self) -> frozenset[int]:
        """Batch norms that use moving statistics in training too, as a call says `training=False`.

        Before Keras 3.16 a call inside a model couldn't say that.
        """
        if self.keras_version is None or self.keras_version < HONOURED_FROM:
            return frozenset()
        return frozenset(
            index
            for name, told in _told_modes(self.model)
            if told is False
            and (index := self.graph.index.get(name, OUTPUT)) != OUTPUT
            and self.nodes[index].class_name in BATCH_NORMS
        )

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

    # ---- the way back and forward, through what changes nothing

    @cached_property
    def origins(self) -> tuple[int, ...]:
        """For each node the one whose result its own is: itself, or behind identities."""
        return self._seen_through(self._is_identity)

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Likewise, through all that changes nothing in inference, such as dropout."""
        return self._seen_through(lambda index: self.roles[index] is Role.PASS)

    def seen_through(self, roles: frozenset[Role]) -> tuple[int, ...]:
        """Likewise, with nodes of these roles that read one tensor skipped."""
        return self._seen_through(lambda index: self.roles[index] in roles)

    def _seen_through(self, transparent: Callable[[int], bool]) -> tuple[int, ...]:
        found: list[int] = []
        for index, producers in enumerate(self.producers):
            passes = len(producers) == 1 and transparent(index)
            found.append(found[producers[0]] if passes else index)
        return tuple(found)

    def _is_identity(self, index: int) -> bool:
        node = self.nodes[index]
        if self.roles[index] is not Role.PASS:
            return False
        return node.class_name in _IDENTITIES or node.config.get("rate") in (0, 0.0)

    def read(self, index: int, dropout: bool = False) -> int | None:
        """The node that makes what a node with one input reads, identities skipped.

        Args:
            index: The node.
            dropout: Whether to skip dropout too.
        """
        producers = self.producers[index]
        if len(producers) != 1:
            return None
        return (self.sources if dropout else self.origins)[producers[0]]

    def entry(self, source: int, index: int) -> int:
        """The node that reads `source` on the way to `index`, all of one input before that."""
        passed: list[int] = []
        # Many may ask for the same long way; each step of it is made once.
        while source not in self.producers[index]:
            if (source, index) in self._entries:
                index = self._entries[source, index]
                break
            passed.append(index)
            index = self.producers[index][0]
        self._entries.update(((source, before), index) for before in passed)
        return index

    @cached_property
    def _entries(self) -> dict[tuple[int, int], int]:
        return {}

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """The nodes that read what each node makes, identities skipped; `OUTPUT` if it ends there.

        Empty for identities.
        """
        return self._readers(self.origins)

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """Likewise, with all that changes nothing in inference skipped."""
        return self._readers(self.sources)

    def _readers(self, made_by: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        found: list[dict[int, None]] = [{} for _ in self.nodes]
        for index, producers in enumerate(self.producers):
            if made_by[index] == index:
                for producer in producers:
                    found[made_by[producer]][index] = None
        for index in sorted(self.outputs):
            found[made_by[index]][OUTPUT] = None
        return tuple(tuple(readers) for readers in found)

    def only_reader(self, index: int) -> int | None:
        """The one node that reads what a node makes, identities skipped; None if there are more."""
        readers = self.readers[index]
        return readers[0] if len(readers) == 1 and readers[0] != OUTPUT else None

    @cached_property
    def norm_beside(self) -> tuple[int | None, ...]:
        """For each node a normalization that reads its result, dropout skipped, None for none."""
        norms = (filter(self.is_norm, (r for r in users if r != OUTPUT)) for users in self.users)
        return tuple(next(found, None) for found in norms)

    @cached_property
    def reaches_linear(self) -> tuple[bool, ...]:
        """Whether what each node makes reaches a linear layer without being normalized before."""
        found = [False] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            found[index] = any(
                self.roles[r] is Role.LINEAR or (self._is_open(r) and found[r])
                for r in self.graph.consumers[index]
            )
        return tuple(found)

    @cached_property
    def reaches_norm(self) -> tuple[bool, ...]:
        """Whether what each node makes is normalized on some way before a linear layer."""
        found = [False] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            found[index] = any(
                self.is_norm(r) or (self._is_open(r) and found[r])
                for r in self.graph.consumers[index]
            )
        return tuple(found)

    def _is_open(self, index: int) -> bool:
        return self.roles[index] not in (Role.LINEAR, Role.NORM, Role.OTHER)

    # ---- sizes

    def axes_of(self, index: int) -> tuple[int, ...] | None:
        """The axes in a normalization's `axis`, counted from the front; None where unknown."""
        if index not in self._axes_of:
            self._axes_of[index] = self._axes_counted(index)
        return self._axes_of[index]

    @cached_property
    def _axes_of(self) -> dict[int, tuple[int, ...] | None]:
        return {}

    def _axes_counted(self, index: int) -> tuple[int, ...] | None:
        shape = self.shape_read(index)
        axis = self.nodes[index].config.get("axis", -1)
        axes = axis if isinstance(axis, tuple) else (axis,)
        if shape is None or not all(isinstance(a, int) for a in axes):
            return None
        rank = len(shape)
        inside = all(-rank <= a < rank for a in axes)
        return tuple(sorted(a % rank for a in axes)) if inside else None

    def axis_read(self, index: int) -> ChannelAxis | None:
        """The channel axis of what a node with one input reads."""
        producers = self.producers[index]
        return self.axes[producers[0]] if len(producers) == 1 else None

    def shape_read(self, index: int) -> Shape | None:
        """The shape of the first tensor that a node reads."""
        inputs = self.nodes[index].inputs
        return self.graph.spec(inputs[0]).shape if inputs else None

    def channels_made(self, index: int) -> int | None:
        """The number of channels of what a node makes."""
        width = _size(self.nodes[index].shape, self.axes[index])
        return None if width is None or width > MOST_PARAMETERS else width

    def channels_read(self, index: int) -> int | None:
        """The number of channels that a node with one input reads."""
        return _size(self.shape_read(index), self.axis_read(index))

    def spatial_read(self, index: int) -> Shape | None:
        """The sizes of the axes over space that a node reads; None where nothing tells them."""
        shape, axis = self.shape_read(index), self.axis_read(index)
        if shape is None or axis is None:
            return None
        return tuple(size for a, size in enumerate(shape) if a not in (0, axis.axis))

    @cached_property
    def parameters(self) -> Mapping[str, int | None]:
        """The number of parameters of each layer, None where unknown."""
        found = {}
        for layer, calls in self.graph.calls.items():
            own = parameters_of(self.graph, self.nodes[calls[0]])
            found[layer] = None if own is None or own.total > MOST_PARAMETERS else own.total
        return found

    @cached_property
    def total_parameters(self) -> int | None:
        """The number of parameters of the model, None where any layer's is unknown."""
        counts = [count for count in self.parameters.values() if count is not None]
        return sum(counts) if len(counts) == len(self.parameters) else None


def _size(shape: Shape | None, axis: ChannelAxis | None) -> int | None:
    """The size of an axis; a damaged file can state shapes that don't have it."""
    if shape is None or axis is None:
        return None
    return shape[axis.axis] if -len(shape) <= axis.axis < len(shape) else None


def _read_as_data(node: Node) -> Iterator[Tensor]:
    data = tuple(value for key, value in node.kwargs.items() if key != "mask")
    return tensors_in((node.args, data))


def mode_of(node: Node) -> Any:
    """What a call of a batch norm or of a model says of `training`, None where it says nothing."""
    if node.model is None and node.steps is None and node.class_name not in BATCH_NORMS:
        return None
    second = node.args[1] if len(node.args) > 1 and node.model is None else None
    return node.kwargs.get("training", second)


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


_KERAS = ("keras", "tf_keras", "tensorflow", "builtins")


def _is_known(node: Node) -> bool:
    """Whether a class is Keras' own: files name a module, old ones don't."""
    return node.module is None or str(node.module).partition(".")[0] in _KERAS
