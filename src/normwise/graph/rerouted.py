"""The nodes of a draft: what they read follows when other layers are put before them.

What a node reads stands in frozen structures, which cost as much to make anew as there are tensors
in them. A layer that joins thousands may get another one for each; so changes are noted, and made
all at once when the node is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import final

from normwise.graph.graph import Node, Tensor, map_tensors


@final
class Nodes(MutableMapping[int, Node]):
    """Nodes by their numbers in a draft.

    Args:
        nodes: Those of the graph that is edited, in its order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._held = dict(enumerate(nodes))
        self._noted: dict[int, list[tuple[Tensor, Tensor]]] = {}

    def reroute(self, index: int, old: Tensor, new: Tensor) -> None:
        """Lets a node read `new` wherever it reads `old` by now; costs the same for all nodes."""
        self._noted.setdefault(index, []).append((old, new))

    def __getitem__(self, index: int) -> Node:
        noted = self._noted.pop(index, None)
        if noted is not None:
            self._held[index] = _rerouted(self._held[index], noted)
        return self._held[index]

    def __setitem__(self, index: int, node: Node) -> None:
        self._noted.pop(index, None)
        self._held[index] = node

    def __delitem__(self, index: int) -> None:
        self._noted.pop(index, None)
        del self._held[index]

    def __contains__(self, index: object) -> bool:
        return index in self._held

    def __iter__(self) -> Iterator[int]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def _rerouted(node: Node, noted: Sequence[tuple[Tensor, Tensor]]) -> Node:
    """A node after some changes of what it reads, one after another."""
    ends: dict[Tensor, Tensor] = {}
    # From the last to the first: what a change leads to is known when it is come to.
    for old, new in reversed(noted):
        ends[old] = ends.get(new, new)
    args, kwargs = (
        map_tensors(part, lambda tensor: ends.get(tensor, tensor))
        for part in (node.args, node.kwargs)
    )
    return node.changed(args=args, kwargs=kwargs)
