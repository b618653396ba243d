"""Runs of learned layers with nothing but affine maps between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from normwise.graph.catalogue import BATCH_NORMS, Role
from normwise.graph.graph import Node, Tensor
from normwise.rules.context.channels import ELEMENTWISE
from normwise.rules.context.context import Context

_AFFINE_ROLES = frozenset({Role.PASS, Role.RESAMPLE, Role.BORDER, Role.SHAPE})
_SUMS = frozenset({"Add", "Subtract", "Average"})
_SCALINGS = ELEMENTWISE & {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"}
_QUOTIENTS = frozenset({"Divide", "TrueDivide"})
_CASTS = frozenset({"Cast", "SaturateCast"})


@dataclass(frozen=True)
class AffineRuns:
    """Longest runs of learned layers: `up` to and with each node, `down` from and with it.

    Attributes:
        up: The number of layers for each node.
        down: Likewise.
        gives: Whether what the node makes is an affine map of what it reads.
        takes: Whether the node can be part of a run at all: so, or linear with an activation.
    """

    up: Sequence[int]
    down: Sequence[int]
    gives: Sequence[bool]
    takes: Sequence[bool]


@dataclass(frozen=True)
class Chain:
    """Long runs that hang together.

    Attributes:
        nodes: All their nodes, in order.
        layers: The learned ones.
        length: Learned layers of the longest run.
    """

    nodes: tuple[int, ...]
    layers: tuple[int, ...]
    length: int


def affine_runs(context: Context, carries: Sequence[bool]) -> AffineRuns:
    """The longest runs to and from each node, in one pass each way.

    Args:
        context: The network.
        carries: For each node without a kernel whether a run goes on through it.
    """
    indices = range(len(context.nodes))
    linear = [role is Role.LINEAR for role in context.roles]
    gives = [carries[i] or (linear[i] and context.activations[i] is None) for i in indices]
    takes = [carries[i] or linear[i] for i in indices]
    up, down = [0] * len(indices), [0] * len(indices)
    for i in indices:
        if takes[i]:
            before = [up[p] for p in context.producers[i] if gives[p]]
            up[i] = max(before, default=0) + weight(context, i)
    for i in reversed(indices):
        if takes[i]:
            behind = [down[c] for c in context.graph.consumers[i] if gives[i] and takes[c]]
            down[i] = max(behind, default=0) + weight(context, i)
    return AffineRuns(up, down, gives, takes)


def chains(context: Context, runs: AffineRuns, more_than: int) -> Iterator[Chain]:
    """The runs of more layers than so many; two nodes hang together where one goes through both."""
    group = list(range(len(context.nodes)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    longest: dict[int, int] = {}
    for index, consumers in enumerate(context.graph.consumers):
        for reader in consumers if runs.gives[index] else ():
            length = runs.up[index] + runs.down[reader]
            if runs.takes[reader] and length > more_than:
                group[root(reader)] = root(index)
                longest[index] = max(longest.get(index, 0), length)
                longest[reader] = max(longest.get(reader, 0), length)
    members: dict[int, list[int]] = {}
    for index in sorted(longest):
        members.setdefault(root(index), []).append(index)
    for indices in members.values():
        layers = tuple(i for i in indices if context.roles[i] is Role.LINEAR)
        yield Chain(tuple(indices), layers, max(longest[i] for i in indices))


def reaches(context: Context, runs: AffineRuns, ends: Sequence[bool]) -> Sequence[bool]:
    """Whether what each node makes reaches one of the ends through nothing but affine maps."""
    found = [False] * len(ends)
    for index in reversed(range(len(ends))):
        found[index] = runs.gives[index] and any(
            ends[r] or (found[r] and context.roles[r] is not Role.LINEAR)
            for r in context.graph.consumers[index]
        )
    return found


def weight(context: Context, index: int) -> int:
    """1 for a learned layer; a depthwise convolution belongs to the one behind it."""
    if context.roles[index] is not Role.LINEAR:
        return 0
    return 0 if context.nodes[index].class_name.startswith("Depthwise") else 1


def is_sum(context: Context, index: int) -> bool:
    """Whether a node adds tensors up."""
    return context.roles[index] is Role.MERGE and context.nodes[index].class_name in _SUMS


def is_affine(context: Context, index: int) -> bool:
    """Whether a node without a kernel is an affine map of what it reads."""
    node, role = context.nodes[index], context.roles[index]
    if role is Role.NORM:
        return node.class_name in BATCH_NORMS or node.class_name == "Normalization"
    if role is Role.MERGE:
        return node.class_name == "Concatenate" or node.class_name in _SUMS
    if role in (Role.POOL, Role.GLOBAL_POOL):
        return "Average" in node.class_name or node.class_name == "Mean"
    if node.class_name in _CASTS and _is_integer(node.config.get("dtype")):
        return False
    if role is Role.OTHER:
        return _is_affine_op(node)
    return role in _AFFINE_ROLES


def _is_affine_op(node: Node) -> bool:
    """Whether an op of one tensor is affine; a tensor as the denominator is not."""
    first = node.kwargs.get("x1", node.args[0] if node.args else None)
    if node.class_name in _QUOTIENTS and not isinstance(first, Tensor):
        return False
    return len(node.inputs) == 1 and (
        node.class_name in _SCALINGS or node.class_name == "Rescaling"
    )


def _is_integer(dtype: object) -> bool:
    return isinstance(dtype, str) and dtype.startswith(("int", "uint", "bool"))
