"""A graph while it is edited: nodes are put in, taken out and changed, the rest stays as it is.

In a draft a `Tensor` names its node by a number that never changes, the node's index in the graph
it came from; new nodes get larger ones. `freeze` makes a graph of it again.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, final

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze, map_tensors, tensors_in
from normwise.graph.rerouted import Nodes

ENDS = -1
"""Stands for the model's outputs among the readers of a tensor."""


@final
class Draft:
    """A graph that can be changed; the graph it was made from is not.

    Args:
        graph: The graph. Its nested models become drafts too, one for each layer.
        before: A draft that this graph was made of: what was called by a name in it is gone or
            means something else, so new layers get none of these names.
    """

    def __init__(self, graph: Graph, before: Draft | None = None) -> None:
        self.graph = graph
        self.nodes = Nodes(graph.nodes)
        self._ends = list(tensors_in(graph.outputs))
        self._places: dict[Tensor, list[int]] = {}
        for place, tensor in enumerate(self._ends):
            self._places.setdefault(tensor, []).append(place)
        self.inner: dict[str, Draft] = {}
        for node in graph.nodes:
            if node.model is not None and node.layer not in self.inner:
                theirs = None if before is None else before.inner.get(node.layer)
                self.inner[node.layer] = Draft(node.model, theirs)
        self._rank: dict[int, tuple[int, ...]] = {i: (i,) for i in self.nodes}
        self._readers: dict[Tensor, dict[int, None]] = {
            tensor: dict.fromkeys(readers) for tensor, readers in graph.readings.items()
        }
        self._names = {node.layer for node in graph.nodes}
        self._names |= set() if before is None else before._names
        self._next = len(graph.nodes)
        self._changed = False
        self._added: dict[str, list[int]] = {}

    @property
    def outputs(self) -> Any:
        """The structure of the model's outputs as it is now."""
        return _refilled(self.graph.outputs, iter(self._ends))

    def readers(self, tensor: Tensor) -> list[int]:
        """The nodes that read a tensor, and `ENDS` if it is an output of the model."""
        found = list(self._readers.get(tensor, ()))
        return [*found, ENDS] if tensor in self._places else found

    def free_name(self, wanted: str) -> str:
        """A layer name that is not taken yet: the wanted one, or with `_2`, `_3`, ... behind it."""
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def insert(
        self,
        tensor: Tensor,
        readers: Collection[int],
        layer: str,
        class_name: str,
        config: Mapping[str, Any],
        call: int = 0,
    ) -> Tensor:
        """Puts a new layer's call behind a tensor; the readers named read its result from now on.

        Args:
            tensor: What it reads.
            readers: Some of `readers(tensor)`.
            layer: Its name; the same one may be called several times.
            class_name: A Keras class.
            config: Its configuration.
            call: Which call of the layer it is.

        Returns:
            Its result.
        """
        name = layer if call == 0 else f"{layer}:{call}"
        spec = self.nodes[tensor.node].outputs[tensor.output]
        node = Node(
            name, layer, class_name, "keras.layers", freeze(config), (tensor,), outputs=(spec,),
            call=call,
        )  # fmt: skip
        index, self._next = self._next, self._next + 1
        self._names.add(layer)
        self._added.setdefault(layer, []).append(index)
        self._rank[index] = (*self._rank[tensor.node], index)
        self._place(index, node)
        made = Tensor(index)
        self.reroute(tensor, made, readers)
        return made

    def reroute(self, old: Tensor, new: Tensor, readers: Iterable[int]) -> None:
        """Lets readers of one tensor read another."""
        self._changed = True
        reading = self._readers.get(old, {})
        for reader in tuple(readers) if old != new else ():
            if reader == ENDS:
                self._end_with(new, self._places.pop(old, []))
            elif reader in reading:
                self.nodes.reroute(reader, old, new)
                del reading[reader]
                self._reads(reader, [new])

    def move(self, index: int, tensor: Tensor, readers: Collection[int]) -> Tensor:
        """Takes a node out and puts it behind another tensor, before some of its readers.

        Args:
            index: A node with one input.
            tensor: What it reads from now on.
            readers: What reads its result from now on, of `readers(tensor)` with it taken out.
        """
        source, made = self.nodes[index].inputs[0], Tensor(index)
        self.reroute(made, source, self.readers(made))
        self.reroute(source, tensor, [index])
        # A node that is moved so makes a tensor like the one it reads.
        spec = self.nodes[tensor.node].outputs[tensor.output]
        self.nodes[index] = replace(self.nodes[index], outputs=(spec,))
        self._rank[index] = (*self._rank[tensor.node], index)
        self.reroute(tensor, made, [reader for reader in readers if reader != index])
        return made

    def exchange(
        self,
        index: int,
        layer: str,
        class_name: str,
        config: Mapping[str, Any],
        call: int | None = None,
    ) -> None:
        """Puts another layer in the place of the one that a node calls.

        Args:
            index: The node.
            layer: The other layer's name.
            class_name: Its class.
            config: Its configuration.
            call: Which of its calls this is, None if it is the same as before.
        """
        self._changed = True
        node = self.nodes[index]
        number = node.call if call is None else call
        name = layer if number == 0 else f"{layer}:{number}"
        self._names.add(layer)
        made = replace(
            node, name=name, layer=layer, class_name=class_name, config=freeze(config),
            args=node.inputs[:1], kwargs=freeze({}), call=number,
        )  # fmt: skip
        self._reads_no_more(index, set(node.inputs) - set(made.inputs))
        self.nodes[index] = made
        if layer != node.layer:
            self._added.setdefault(layer, []).append(index)

    def depends(self, index: int, on: int) -> bool:
        """Whether a node reads what another one makes, over any number of steps, or is it."""
        seen, pending = {index}, [index]
        while pending:
            node = pending.pop()
            if node == on:
                return True
            for tensor in self.nodes[node].inputs:
                if tensor.node not in seen:
                    seen.add(tensor.node)
                    pending.append(tensor.node)
        return False

    def remove(self, index: int) -> None:
        """Takes out a node; what read its result reads what it read."""
        source = self.nodes[index].inputs[0]
        self.reroute(Tensor(index), source, self.readers(Tensor(index)))
        self._reads_no_more(index, self.nodes[index].inputs)
        del self.nodes[index]

    def configure(self, layer: str, **settings: Any) -> None:
        """Changes settings of a layer, in all its calls."""
        self._changed = True
        for index in (*self.graph.calls.get(layer, ()), *self._added.get(layer, ())):
            if index in self.nodes:
                node = self.nodes[index]
                config = {**node.config, **freeze(settings)}
                self.nodes[index] = replace(node, config=freeze(config))

    def rename(self, layer: str, name: str) -> None:
        """Calls a layer otherwise, in all its calls; its old name is free then.

        Args:
            layer: A layer that is no nested model.
            name: A name that no other layer has.
        """
        self._changed = True
        for index, node in self.nodes.items():
            if node.layer == layer:
                self.nodes[index] = replace(
                    node, name=name if node.call == 0 else f"{name}:{node.call}", layer=name,
                    config=freeze({**node.config, "name": name}),
                )  # fmt: skip
        self._names = (self._names - {layer}) | {name}

    def end(self, layer: str, positions: Sequence[int], dtype: str | None) -> None:
        """Puts a layer that does nothing behind some of the model's outputs.

        Args:
            layer: Its name, which no other layer has.
            positions: Which outputs, in the order of `tensors_in`; each is a call of its own.
            dtype: Its policy.
        """
        config = {"name": layer, "dtype": dtype}
        for call, position in enumerate(positions):
            last = self._ends[position]
            self._places[last].remove(position)
            if not self._places[last]:
                del self._places[last]
            self._end_with(self.insert(last, (), layer, "Identity", config, call), [position])

    def spec(self, position: int) -> TensorSpec:
        """What is known of an output of the model as it is now."""
        tensor = self._ends[position]
        return self.nodes[tensor.node].outputs[tensor.output]

    def _end_with(self, tensor: Tensor, positions: Sequence[int]) -> None:
        for position in positions:
            self._ends[position] = tensor
        if positions:
            self._places.setdefault(tensor, []).extend(positions)

    def _place(self, index: int, node: Node) -> None:
        self.nodes[index] = node
        self._reads(index, node.inputs)

    def _reads(self, index: int, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            self._readers.setdefault(tensor, {})[index] = None

    def _reads_no_more(self, index: int, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            self._readers[tensor].pop(index, None)

    def freeze(self) -> Graph:
        """The graph as it is now, nested models included; the original where nothing changed."""
        inner = {layer: draft.freeze() for layer, draft in self.inner.items()}
        same = all(graph is self.inner[layer].graph for layer, graph in inner.items())
        if same and not self._changed:
            return self.graph
        order = self._order()
        place = {index: position for position, index in enumerate(order)}

        def now(tensor: Tensor) -> Tensor:
            return Tensor(place[tensor.node], tensor.output)

        nodes = tuple(
            replace(
                node,
                args=map_tensors(node.args, now),
                kwargs=map_tensors(node.kwargs, now),
                model=inner.get(node.layer) if node.model is not None else None,
            )
            for node in (self.nodes[index] for index in order)
        )
        return replace(
            self.graph,
            nodes=nodes,
            inputs=map_tensors(self.graph.inputs, now),
            outputs=map_tensors(self.outputs, now),
        )

    def _order(self) -> list[int]:
        """Each node after what it reads, else in the original order; new ones behind theirs."""
        missing: dict[int, int] = {}
        readers: dict[int, list[int]] = {index: [] for index in self.nodes}
        for index, node in self.nodes.items():
            before = {tensor.node for tensor in node.inputs}
            missing[index] = len(before)
            for producer in before:
                readers[producer].append(index)
        ready = [(self._rank[i], i) for i, count in missing.items() if count == 0]
        heapq.heapify(ready)
        order = []
        while ready:
            _, index = heapq.heappop(ready)
            order.append(index)
            for reader in readers[index]:
                missing[reader] -= 1
                if missing[reader] == 0:
                    heapq.heappush(ready, (self._rank[reader], reader))
        return order


def _refilled(structure: Any, tensors: Iterator[Tensor]) -> Any:
    """The same structure with other tensors, in the order of `tensors_in`."""
    if isinstance(structure, Tensor):
        return next(tensors)
    if isinstance(structure, Mapping):
        made = {key: _refilled(structure[key], tensors) for key in sorted(structure, key=str)}
        return MappingProxyType({key: made[key] for key in structure})
    if isinstance(structure, (tuple, list)):
        return tuple(_refilled(part, tensors) for part in structure)
    return structure
