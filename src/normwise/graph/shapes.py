"""The shapes of all tensors of a graph: what a file tells, else what can be inferred of each call.

A file tells the shape of every tensor that another call reads, but not of the model's outputs,
and Keras 2 files tell none. A dimension that can't be known is None; an unknown class has an
unknown shape (None), and whoever needs it stays silent.
"""

from collections.abc import Sequence
from dataclasses import replace

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Shape, Tensor, TensorSpec
from normwise.graph.layer_shapes import RULES

MAX_RANK, MAX_SIZE = 64, 2**53
"""What a tensor can have; a damaged file may state more, which would fill the memory."""


def possible(shape: Shape | None) -> Shape | None:
    """A shape without what no tensor has: sizes beyond all bounds are unknown, ranks too."""
    if shape is None or len(shape) > MAX_RANK:
        return None
    for size in shape:
        if size is not None and not 0 <= size <= MAX_SIZE:
            break
    else:
        return shape
    return tuple(n if n is not None and 0 <= n <= MAX_SIZE else None for n in shape)


def with_shapes(graph: Graph) -> Graph:
    """The same graph with every shape and dtype that can be inferred filled in.

    What a file tells wins where the two disagree on a known dimension.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(shaped(node, nodes))
    return replace(graph, nodes=tuple(nodes))


def shaped(node: Node, before: Sequence[Node]) -> Node:
    """A node with what can be inferred of its outputs.

    Args:
        node: The node.
        before: The nodes before it in its graph, with their shapes.
    """
    read = [_spec(before, tensor) for tensor in node.inputs]
    inferred = infer_outputs(node, read)
    if inferred == node.outputs:
        return node  # as in nearly every file that Keras 3 writes
    return node.changed(outputs=_merge(node.outputs, inferred))


def _spec(nodes: Sequence[Node], tensor: Tensor) -> TensorSpec:
    outputs = nodes[tensor.node].outputs
    return outputs[tensor.output] if tensor.output < len(outputs) else TensorSpec()


def _merge(
    told: tuple[TensorSpec, ...], inferred: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    count = max(len(told), len(inferred))
    padded = [(*specs, *[TensorSpec()] * (count - len(specs))) for specs in (told, inferred)]
    return tuple(
        TensorSpec(_merge_shapes(a.shape, b.shape), a.dtype or b.dtype)
        for a, b in zip(*padded, strict=True)
    )


def _merge_shapes(told: Shape | None, inferred: Shape | None) -> Shape | None:
    if told is None or inferred is None or len(told) != len(inferred):
        return told if told is not None else inferred
    return tuple(b if a is None else a for a, b in zip(told, inferred, strict=True))


def infer_outputs(node: Node, read: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Specs of a call's outputs, from the specs of what it reads."""
    if node.model is not None:
        known = node.model.memo.setdefault(_CALLED_WITH, {})
        if (key := tuple(read)) not in known:
            known[key] = _nested_outputs(node.model, read)
        found: tuple[TensorSpec, ...] = known[key]
        return found
    if not read:
        return node.outputs
    dtype = _dtype(node) or read[0].dtype
    return (TensorSpec(_shape(node, [spec.shape for spec in read]), dtype),)


_CALLED_WITH = "outputs of a nested model by what it is called with"


def _nested_outputs(model: Graph, read: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    nodes = list(model.nodes)
    for tensor, spec in zip(model.input_tensors, read, strict=False):
        nodes[tensor.node] = replace(nodes[tensor.node], outputs=(spec,))
    free = [
        node if role_of(node) is Role.INPUT else replace(node, outputs=_free(node.outputs))
        for node in nodes
    ]
    inside = with_shapes(replace(model, nodes=tuple(free)))
    found = tuple(inside.spec(tensor) for tensor in inside.output_tensors)
    told = tuple(model.spec(tensor) for tensor in model.output_tensors)
    return _merge(found, told)


def _free(outputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    # What a nested model was built for need not be what it is called with.
    return tuple(TensorSpec(None, spec.dtype) for spec in outputs)


def _dtype(node: Node) -> str | None:
    policy = node.config.get("dtype")
    if isinstance(policy, str):
        return policy
    try:
        name = policy["config"]["name"]  # type: ignore[index]
    except (TypeError, KeyError):
        return None
    if not isinstance(name, str):
        return None
    return name.removeprefix("mixed_") if name.startswith("mixed_") else name


def _shape(node: Node, shapes: Sequence[Shape | None]) -> Shape | None:
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    rule = RULES.get(node.class_name)
    if rule is not None:
        try:
            return possible(rule(node, known))
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError):
            return None
    if role_of(node) in (Role.NORM, Role.ACTIVATION, Role.PASS):
        return known[0]
    return None
