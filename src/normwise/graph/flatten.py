"""A graph with its nested models opened: every call at one level, named by its path."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Shape, Tensor, map_tensors
from normwise.graph.shapes import with_shapes


def flatten(graph: Graph) -> Graph:
    """The graph with nested models replaced by the calls inside them.

    A call inside the nested model `backbone` is named `backbone/conv1`, and its layer likewise;
    inside the second call of `backbone` its name is `backbone:1/conv1`, its layer the same, so
    that calls which share weights still share `Node.layer`. The nested models' own inputs are
    gone: what reads them reads what was passed in.
    """
    if all(node.model is None for node in graph.nodes):
        return graph
    nodes: list[Node] = []
    made = _inline(graph, nodes, "", "", None, told=True)
    flat = replace(
        graph,
        nodes=_unique(nodes),
        inputs=map_tensors(graph.inputs, made.__getitem__),
        outputs=map_tensors(graph.outputs, made.__getitem__),
    )
    return with_shapes(flat)


def _inline(
    graph: Graph,
    nodes: list[Node],
    path: str,
    layer_path: str,
    passed: Sequence[Tensor] | None,
    *,
    told: bool,
) -> dict[Tensor, Tensor]:
    """Appends the graph's calls to `nodes`; returns where each of its tensors now is.

    Whether the shapes that it tells hold for this call, says `told`.
    """
    made: dict[Tensor, Tensor] = {}
    if passed is not None:
        made.update(zip(graph.input_tensors, passed, strict=False))
    for index, node in enumerate(graph.nodes):
        if passed is not None and role_of(node) is Role.INPUT and Tensor(index) in made:
            continue
        if node.model is not None:
            read = [made[tensor] for tensor in node.inputs]
            inner = _inline(
                node.model, nodes, f"{path}{node.name}/", f"{layer_path}{node.layer}/", read,
                told=told and _built_for(node.model, [graph.spec(t).shape for t in node.inputs]),
            )  # fmt: skip
            for output, tensor in enumerate(node.model.output_tensors):
                made[Tensor(index, output)] = inner[tensor]
            continue
        for output in range(max(1, len(node.outputs))):
            made[Tensor(index, output)] = Tensor(len(nodes), output)
        nodes.append(_moved(node, path, layer_path, made, told=told))
    return made


def _moved(
    node: Node, path: str, layer_path: str, made: dict[Tensor, Tensor], *, told: bool
) -> Node:
    def now(tensor: Tensor) -> Any:
        return made[tensor]

    return replace(
        node,
        name=f"{path}{node.name}",
        layer=f"{layer_path}{node.layer}",
        args=map_tensors(node.args, now),
        kwargs=map_tensors(node.kwargs, now),
        outputs=node.outputs if told else tuple(replace(s, shape=None) for s in node.outputs),
    )


def _built_for(model: Graph, passed: Sequence[Shape | None]) -> bool:
    """Whether a nested model was built for what it is called with, free sizes left open."""
    own = [model.spec(tensor).shape for tensor in model.input_tensors]
    return len(own) == len(passed) and all(
        a is not None and b is not None and len(a) == len(b)
        and all(n in (None, m) for n, m in zip(a[1:], b[1:], strict=True))
        for a, b in zip(own, passed, strict=True)
    )  # fmt: skip


def _unique(nodes: Sequence[Node]) -> tuple[Node, ...]:
    calls: dict[str, int] = {}
    renumbered = []
    for node in nodes:
        call = calls.get(node.layer, 0)
        calls[node.layer] = call + 1
        renumbered.append(replace(node, call=call))
    return tuple(renumbered)
