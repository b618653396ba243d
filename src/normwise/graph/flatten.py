"""A graph with its nested models opened: every call at one level, named by its path."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, Role, role_of
from normwise.graph.graph import Graph, Node, Shape, Tensor, map_tensors
from normwise.graph.shapes import shaped, with_shapes


@dataclass(frozen=True)
class _Paths:
    """Where a graph stands in another one.

    Attributes:
        call: Before the names of its calls.
        layer: Before the names of its layers.
    """

    call: str = ""
    layer: str = ""

    def inside(self, node: Node) -> "_Paths":
        """Those of what a call holds."""
        return _Paths(f"{self.call}{node.name}/", f"{self.layer}{node.layer}/")


def flatten(graph: Graph, steps: bool = False) -> Graph:
    """The graph with nested models replaced by the calls inside them.

    A call inside the nested model `backbone` is named `backbone/conv1`, and its layer likewise;
    inside the second call of `backbone` its name is `backbone:1/conv1`, its layer the same, so
    that calls which share weights still share `Node.layer`. The nested models' own inputs are
    gone: what reads them reads what was passed in.

    Args:
        graph: The graph.
        steps: Whether to open `TimeDistributed` layers as well. What is inside sees one step of
            time, without that axis; before it stands a call of the class `SplitSteps`, behind it
            one of `JoinSteps` under the layer's own name, and none between two such layers.
    """
    steps = steps and _has_steps(graph)
    if not steps and all(node.model is None for node in graph.nodes):
        return graph
    opener = _Opener(steps)
    made = opener.inline(graph, _Paths(), None, told=True)
    flat = replace(
        graph,
        nodes=_unique(opener.nodes),
        inputs=map_tensors(graph.inputs, made.__getitem__),
        outputs=map_tensors(graph.outputs, made.__getitem__),
    )
    return _without_unread(flat) if steps else with_shapes(flat)


def _has_steps(graph: Graph) -> bool:
    """Whether there is a `TimeDistributed` anywhere; each model is looked at once."""
    pending, seen = [graph], {id(graph)}
    while pending:
        for node in pending.pop().nodes:
            if node.steps is not None:
                return True
            if node.model is not None and id(node.model) not in seen:
                seen.add(id(node.model))
                pending.append(node.model)
    return False


class _Opener:
    """Collects the calls of a graph, and those inside, at one level."""

    def __init__(self, steps: bool) -> None:
        self.nodes: list[Node] = []
        self.joined: dict[Tensor, Tensor] = {}
        """What is read of each `JoinSteps`."""
        self._steps = steps

    def inline(
        self, graph: Graph, paths: _Paths, passed: Sequence[Tensor] | None, *, told: bool
    ) -> dict[Tensor, Tensor]:
        """Appends the graph's calls; returns where each of its tensors now is.

        Whether the shapes that it tells hold for this call, says `told`.
        """
        made: dict[Tensor, Tensor] = {}
        if passed is not None:
            made.update(zip(graph.input_tensors, passed, strict=False))
        for index, node in enumerate(graph.nodes):
            if passed is not None and role_of(node) is Role.INPUT and Tensor(index) in made:
                continue
            if node.model is not None:
                shapes = [graph.spec(tensor).shape for tensor in node.inputs]
                inner = self.inline(
                    node.model,
                    paths.inside(node),
                    [made[tensor] for tensor in node.inputs],
                    told=told and _built_for(node.model, shapes),
                )
                for output, tensor in enumerate(node.model.output_tensors):
                    made[Tensor(index, output)] = inner[tensor]
            elif self._steps and (series := _series(node)) is not None:
                made[Tensor(index)] = self._each_step(node, paths, made[series])
            else:
                for output in range(max(1, len(node.outputs))):
                    made[Tensor(index, output)] = Tensor(len(self.nodes), output)
                self._append(_moved(node, paths, made, told=told))
        return made

    def _each_step(self, node: Node, paths: _Paths, series: Tensor) -> Tensor:
        """Appends what a layer does at each step of time; returns the joined result."""
        name, layer = f"{paths.call}{node.name}", f"{paths.layer}{node.layer}"
        shape = self.nodes[series.node].outputs[series.output].shape or ()
        settings = MappingProxyType({"steps": shape[1] if len(shape) > 1 else None})
        step = self.joined.get(series)
        if step is None:
            step = self._append(
                Node(f"{name}/(steps)", f"{layer}/(steps)", SPLIT_STEPS, None, settings, (series,))
            )
        assert node.steps is not None
        inner = self.inline(node.steps, paths.inside(node), [step], told=False)
        (end,) = (inner[tensor] for tensor in node.steps.output_tensors)
        joined = self._append(Node(name, layer, JOIN_STEPS, None, settings, (end,)))
        self.joined[joined] = end
        return joined

    def _append(self, node: Node) -> Tensor:
        # The number of steps is that of the series, whose shape has to be known by then.
        self.nodes.append(shaped(node, self.nodes) if self._steps else node)
        return Tensor(len(self.nodes) - 1)


def _series(node: Node) -> Tensor | None:
    """The one tensor that a layer reads step by step, a mask aside; None if it isn't such."""
    if node.steps is None or len(node.outputs) != 1:
        return None
    first = node.args[0] if node.args else node.kwargs.get("inputs")
    return first if isinstance(first, Tensor) else None


def _moved(node: Node, paths: _Paths, made: dict[Tensor, Tensor], *, told: bool) -> Node:
    def now(tensor: Tensor) -> Any:
        return made[tensor]

    return replace(
        node,
        name=f"{paths.call}{node.name}",
        layer=f"{paths.layer}{node.layer}",
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


def _without_unread(graph: Graph) -> Graph:
    """Without joined series that nobody reads, as between two layers of each step."""
    ends = {tensor.node for tensor in graph.output_tensors}
    kept = [
        index
        for index, node in enumerate(graph.nodes)
        if node.class_name != JOIN_STEPS or graph.consumers[index] or index in ends
    ]
    place = {index: new for new, index in enumerate(kept)}

    def now(tensor: Tensor) -> Any:
        return replace(tensor, node=place[tensor.node])

    nodes = (graph.nodes[index] for index in kept)
    return replace(
        graph,
        nodes=tuple(
            replace(n, args=map_tensors(n.args, now), kwargs=map_tensors(n.kwargs, now))
            for n in nodes
        ),
        inputs=map_tensors(graph.inputs, now),
        outputs=map_tensors(graph.outputs, now),
    )


def _unique(nodes: Sequence[Node]) -> tuple[Node, ...]:
    calls: dict[str, int] = {}
    renumbered = []
    for node in nodes:
        call = calls.get(node.layer, 0)
        calls[node.layer] = call + 1
        renumbered.append(replace(node, call=call))
    return tuple(renumbered)
