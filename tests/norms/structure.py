"""A graph without names, so that two builds of one network can be compared."""

from typing import Any

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Tensor, map_tensors, thaw

UNSAID = frozenset({"name", "trainable"})


def structure(graph: Graph) -> tuple[Any, ...]:
    """What the graph computes: one entry a call, numbered as the outputs are followed back.

    Two graphs have equal structures if they have the same layers, with the same settings, wired
    in the same way. Names and the order in which layers were made don't matter.
    """
    flat = flatten(graph)
    number: dict[int, int] = {}
    entries: list[Any] = []
    pending = [(tensor.node, False) for tensor in reversed(flat.output_tensors)]
    while pending:
        index, ready = pending.pop()
        if index in number:
            continue
        node = flat.nodes[index]
        if not ready:
            pending.append((index, True))
            pending += [(t.node, False) for t in reversed(node.inputs) if t.node not in number]
            continue

        def told(tensor: Tensor) -> Tensor:
            return Tensor(number[tensor.node], tensor.output)

        config = {k: v for k, v in thaw(node.config).items() if k not in UNSAID}
        args, kwargs = map_tensors(node.args, told), thaw(map_tensors(node.kwargs, told))
        entries.append((node.class_name, repr(sorted(config.items())), args, repr(kwargs)))
        number[index] = len(number)
    ends = tuple(Tensor(number[t.node], t.output) for t in flat.output_tensors)
    return (*entries, ends)
