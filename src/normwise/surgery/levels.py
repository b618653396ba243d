"""Between a flattened graph, where plans are read, and the levels of models, where edits are made.

A nested model that is called twice is one set of layers, and two sets of calls in the flattened
graph: an edit inside it is made once and seen at every call of the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from normwise.graph.editing import ENDS, Draft
from normwise.graph.graph import Graph, Node, Tensor
from normwise.surgery.passing import in_training


@dataclass(frozen=True)
class Spot:
    """A node at its level.

    Attributes:
        level: Path of the calls of nested models that lead there, `""` for the model itself.
        index: The node's number in that level's draft.
    """

    level: str
    index: int


@dataclass(frozen=True)
class Cut:
    """Where readers of a tensor can be parted from the others.

    Attributes:
        level: Path of calls.
        tensor: What is read there.
        readers: Which of its readers there are meant; `ENDS` for the level's own outputs.
    """

    level: str
    tensor: Tensor
    readers: tuple[int, ...]


@dataclass(frozen=True)
class _Level:
    draft: Draft
    path: str
    """Path of layers: the same for all calls of a nested model."""
    outside: Spot | None
    """The call of this nested model, None for the model itself."""


@final
class Levels:
    """The levels of a model and the flattened graph of all of them.

    Args:
        graph: The model.
        flat: The same, flattened.
        before: The draft that the model was made of by earlier edits, None for none.
    """

    def __init__(self, graph: Graph, flat: Graph, before: Draft | None = None) -> None:
        self.flat = flat
        self.root = Draft(graph, before)
        self._levels: dict[str, _Level] = {}
        self._open("", "", self.root, None)
        self._calls: dict[str, list[str]] = {}
        for prefix, level in self._levels.items():
            self._calls.setdefault(level.path, []).append(prefix)
        self._training: dict[str, bool] = {}

    def _open(self, prefix: str, path: str, draft: Draft, outside: Spot | None) -> None:
        self._levels[prefix] = _Level(draft, path, outside)
        for index, node in enumerate(draft.graph.nodes):
            if node.model is not None:
                inner = draft.inner[node.layer]
                spot = Spot(prefix, index)
                self._open(f"{prefix}{node.name}/", f"{path}{node.layer}/", inner, spot)

    def draft(self, level: str) -> Draft:
        """The draft of a level."""
        return self._levels[level].draft

    def path(self, level: str) -> str:
        """Path of the layers that lead to a level, with a slash at its end."""
        return self._levels[level].path

    def calls(self, level: str) -> int:
        """How often the level's layers are called as part of it."""
        return len(self._calls[self._levels[level].path])

    def trains(self, level: str) -> bool:
        """Whether a level's model, or one around it, is called in training mode anywhere."""
        path = self.path(level)
        if path not in self._training:
            self._training[path] = any(map(self._trains, self._calls[path]))
        return self._training[path]

    def _trains(self, level: str) -> bool:
        call = self._levels[level].outside
        return call is not None and (in_training(self.node(call)) or self._trains(call.level))

    def in_training(self, flat: int) -> bool:
        """Whether a node of the flattened graph or a model around it is called in training mode."""
        return in_training(self.flat.nodes[flat]) or self.trains(self.spot(flat).level)

    def spot(self, flat: int) -> Spot:
        """Where a node of the flattened graph is."""
        level, _, name = self.flat.nodes[flat].name.rpartition("/")
        prefix = f"{level}/" if level else ""
        return Spot(prefix, self._levels[prefix].draft.graph.index[name])

    def node(self, spot: Spot) -> Node:
        """The node at a spot, before any edit."""
        return self._levels[spot.level].draft.graph.nodes[spot.index]

    def layer_path(self, spot: Spot) -> str:
        """Path of the layer called at a spot."""
        return f"{self.path(spot.level)}{self.node(spot).layer}"

    def cut(self, flat: int, wanted: Iterable[int]) -> Cut | None:
        """Where some readers of a node's result can be parted from the others.

        Args:
            flat: The node in the flattened graph.
            wanted: The nodes there that read it, `ENDS` for the model's outputs.

        Returns:
            The place nearest to the node; None where a nested model's input or output stands for
            readers of both sorts.
        """
        spot = self.spot(flat)
        return self._cut(spot.level, Tensor(spot.index), frozenset(wanted))

    def _cut(self, level: str, tensor: Tensor, wanted: frozenset[int]) -> Cut | None:
        readers = self._readers(level, tensor)
        leads = {reader: self._leads(level, tensor, reader) for reader in readers}
        touched = [reader for reader in readers if leads[reader] & wanted]
        if all(leads[reader] <= wanted for reader in touched):
            return Cut(level, tensor, tuple(touched)) if touched else None
        if len(touched) != 1:
            return None
        further = self._next(level, tensor, touched[0])
        return self._cut(*further[0], wanted) if len(further) == 1 else None

    def _readers(self, level: str, tensor: Tensor) -> list[int]:
        graph = self._levels[level].draft.graph
        found = list(dict.fromkeys(graph.readings.get(tensor, ())))
        return [*found, ENDS] if tensor in graph.output_tensors else found

    def _leads(self, level: str, tensor: Tensor, reader: int) -> frozenset[int]:
        """The readers in the flattened graph that a reader at a level stands for."""
        if reader == ENDS and level == "":
            return frozenset({ENDS})
        if reader != ENDS and self.node(Spot(level, reader)).model is None:
            return frozenset({self._flat_index(level, reader)})
        found: set[int] = set()
        for where, there in self._next(level, tensor, reader):
            for further in self._readers(where, there):
                found |= self._leads(where, there, further)
        return frozenset(found)

    def _next(self, level: str, tensor: Tensor, reader: int) -> list[tuple[str, Tensor]]:
        """The same tensor inside the nested model that reads it, or outside of this one."""
        here = self._levels[level]
        if reader == ENDS:
            out = here.outside
            if out is None:
                return []
            ends = enumerate(here.draft.graph.output_tensors)
            return [(out.level, Tensor(out.index, k)) for k, end in ends if end == tensor]
        node = here.draft.graph.nodes[reader]
        inside = f"{level}{node.name}/"
        inputs = self._levels[inside].draft.graph.input_tensors
        return [
            (inside, inner)
            for inner, given in zip(inputs, node.inputs, strict=False)
            if given == tensor
        ]

    def _flat_index(self, level: str, index: int) -> int:
        return self.flat.index[f"{level}{self._levels[level].draft.graph.nodes[index].name}"]
