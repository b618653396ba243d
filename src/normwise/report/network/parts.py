"""What a network drawing says of each call: which part it plays, and its words."""

import re
from dataclasses import dataclass
from typing import Literal

from normwise.graph.catalogue import Role, activation_of, data_format, role_of
from normwise.graph.graph import Graph, Node
from normwise.norms.kinds import KINDS, spec_of
from normwise.norms.plan import NormPlan

PartName = Literal["input", "linear", "norm", "activation", "merge", "other"]

_PARTS: dict[Role, PartName] = {
    Role.INPUT: "input",
    Role.LINEAR: "linear",
    Role.NORM: "norm",
    Role.ACTIVATION: "activation",
    Role.MERGE: "merge",
}
_SHORT = {
    "input layer": "input",
    "concatenate": "concat",
    "max pooling": "max pool",
    "average pooling": "avg pool",
    "global average pooling": "global avg",
    "global max pooling": "global max",
    "up sampling": "up",
    "zero padding": "pad",
    "multi head attention": "attention",
    "unit normalization": "unit",
    "normalization": "un-scale",
}


@dataclass(frozen=True)
class Part:
    """How one call is shown.

    Attributes:
        name: Which part it plays.
        words: The layer's name for an input or a linear layer, else what the call does.
        channels: Number of channels or units of a linear layer or an input, empty if unknown.
        kind: Kind of a normalization, None for other calls and for those that no kind describes.
        fused: Name of the activation inside a linear layer, or None.
        inputs: Number of tensors that it reads.
    """

    name: PartName
    words: str
    channels: str = ""
    kind: str | None = None
    fused: str | None = None
    inputs: int = 1


def parts_of(graph: Graph, plan: NormPlan) -> tuple[Part, ...]:
    """How each call of a flattened graph is shown.

    Args:
        graph: A graph without nested models.
        plan: Its plan, which tells an instance norm from a group norm with a group a channel.
    """
    return tuple(_part(graph, index, plan) for index in range(len(graph.nodes)))


def _part(graph: Graph, index: int, plan: NormPlan) -> Part:
    node = graph.nodes[index]
    name = _PARTS.get(role_of(node), "other")
    if name == "linear":
        return Part(name, node.name, _channels(graph, index), fused=activation_of(node))
    if name == "input":
        named = len(graph.input_tensors) > 1
        return Part(name, node.name if named else "input", _channels(graph, index))
    if name == "norm":
        kind = _kind(node, plan)
        return Part(name, kind or _short(node), kind=kind)
    if name == "activation":
        return Part(name, activation_of(node) or _short(node))
    return Part(name, _short(node), inputs=len(node.inputs))


def _kind(node: Node, plan: NormPlan) -> str | None:
    """The kind as the plan names it: Keras saves an instance norm as one group a channel."""
    spec = spec_of(node)
    if spec is None or spec.kind != "group":
        return spec.kind if spec else None
    usual = KINDS["group"].defaults["groups"]
    groups = dict(spec.args).get("groups", usual)
    planned = {
        dict(c.spec.args).get("groups", usual) for c in plan.clauses if c.spec.kind == "group"
    }
    one_each = node.shape is not None and groups == node.shape[-1]
    return "instance" if one_each and groups not in planned else "group"


def channels_first(graph: Graph, index: int) -> bool:
    """Whether axis 1 of what a call makes are the channels.

    A call that doesn't say has the format of the layers before it, or else of those behind it.
    """
    for edges in (graph.producers, graph.consumers):
        pending, seen = [index], {index}
        while pending:
            node = graph.nodes[current := pending.pop(0)]
            if "data_format" in node.config and role_of(node) is not Role.NORM:
                return data_format(node) == "channels_first"
            following = [i for i in edges[current] if i not in seen]
            pending += following
            seen.update(following)
    return False


def _channels(graph: Graph, index: int) -> str:
    node = graph.nodes[index]
    if node.shape is None or len(node.shape) < 2:
        return ""
    flat = len(node.shape) == 2
    count = node.shape[1 if channels_first(graph, index) else -1]
    unit = "units" if node.class_name == "Dense" else "values" if flat else "ch"
    return "" if count is None else f"{count} {unit}"


def _short(node: Node) -> str:
    plain = re.sub(r"[123]D", "", node.class_name)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).lower()
    return _SHORT.get(words, words)
