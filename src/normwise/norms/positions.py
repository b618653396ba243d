"""Where normalizations stand in a graph, in the terms of plans.

The graph is looked at as if its normalizations were not there: a *tensor* is what a node makes
that neither normalizes nor passes through, and its *readers* are the next such nodes. Each reader
sees the tensor through the normalizations on its way, and from that follows which position each
of them takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from normwise.graph.catalogue import Role, role_of
from normwise.graph.regions import Layout
from normwise.norms.kinds import is_norm
from normwise.norms.plan import DOWN, INPUT, MERGE, POST, PRE, SKIP, Position
from normwise.norms.sites import Site, sites_of

OUTPUT = -1
"""Stands for the model's output among the readers of a tensor."""


@dataclass(frozen=True)
class Reader:
    """A node that reads a tensor, through the normalizations `norms` (outermost last)."""

    node: int
    norms: tuple[int, ...]
    skip: bool


@dataclass(frozen=True)
class Coverage:
    """How the readers of a tensor see it.

    Attributes:
        main: The normalization that every reader, or every reader but the skips, goes through.
        skips_raw: The skips read the tensor without `main`.
        skip: The normalizations that stand on the skips alone, one for each skip; empty if any
            skip has none.
        has_skips: Whether any reader is a skip.
    """

    main: int | None
    skips_raw: bool
    skip: tuple[int, ...]
    has_skips: bool


@dataclass(frozen=True)
class Slot:
    """A place that a position means: normalizing it takes one of `norms`, now empty if none.

    Attributes:
        norms: The normalizations that take this place.
        optional: Whether a normalization of the position may stand there and need not.
        tensor: The node whose result is normalized there; for `pre-activation` a linear layer,
            before its fused activation if it has one.
    """

    norms: frozenset[int]
    optional: bool = False
    tensor: int = -1


class Placement:
    """The places of all positions in a network, and what stands there."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.graph = layout.graph
        self._coverage: dict[int, Coverage] = {}
        self._slots: dict[Position, list[Slot]] = {}
        self._taking: dict[Position, frozenset[int]] = {}

    @cached_property
    def norms(self) -> tuple[int, ...]:
        """All normalizations, the fixed one that un-scales an output left out."""
        return tuple(
            i
            for i, node in enumerate(self.graph.nodes)
            if is_norm(node) and (node.class_name != "Normalization" or self._at_input(i))
        )

    def _at_input(self, index: int) -> bool:
        producers = self.graph.producers[index]
        return bool(producers) and self.skeleton(producers[0]) in self._inputs

    @cached_property
    def _inputs(self) -> frozenset[int]:
        return frozenset(
            i for i, node in enumerate(self.graph.nodes) if role_of(node) is Role.INPUT
        )

    def skeleton(self, index: int) -> int:
        """The node whose tensor reaches `index` through nothing but norms and pass-throughs."""
        return self._skeleton[index]

    @cached_property
    def _skeleton(self) -> Sequence[int]:
        """That of each node."""
        found: list[int] = []
        for index, producers in enumerate(self.graph.producers):
            through = producers and self._is_transparent(index)
            found.append(found[producers[0]] if through else index)
        return found

    def _is_transparent(self, index: int) -> bool:
        return role_of(self.graph.nodes[index]) in (Role.NORM, Role.PASS)

    def readers(self, tensor: int) -> Iterator[Reader]:
        """The readers of what node `tensor` makes, outputs of the model included."""
        yield from self.readers_from(tensor, tensor)

    def readers_from(self, tensor: int, start: int) -> Iterator[Reader]:
        """Those of the readers of a tensor that see it through the node `start`."""
        through = (start,) if start in self.norms_set and start != tensor else ()
        pending: list[tuple[int, tuple[int, ...]]] = [(start, through)]
        while pending:
            index, norms = pending.pop(0)
            if index in self._ends:
                yield Reader(OUTPUT, norms, skip=False)
            for reader in self.graph.consumers[index]:
                if reader in self.norms_set:
                    pending.append((reader, (*norms, reader)))
                elif self._is_transparent(reader):
                    pending.append((reader, norms))
                else:
                    yield Reader(reader, norms, self.layout.is_skip(tensor, reader))

    @cached_property
    def _ends(self) -> frozenset[int]:
        return frozenset(tensor.node for tensor in self.graph.output_tensors)

    @cached_property
    def norms_set(self) -> frozenset[int]:
        """`norms`, for look-ups."""
        return frozenset(self.norms)

    def coverage(self, tensor: int) -> Coverage:
        """How the readers of what node `tensor` makes see it."""
        if tensor not in self._coverage:
            self._coverage[tensor] = self._cover(tensor)
        return self._coverage[tensor]

    def _cover(self, tensor: int) -> Coverage:
        readers = list(self.readers(tensor))
        skips = [reader for reader in readers if reader.skip]
        others = [reader for reader in readers if not reader.skip]
        firsts = {reader.norms[:1] for reader in others}
        first = firsts.pop() if len(firsts) == 1 else ()
        main = first[0] if first else None
        raw = [reader for reader in skips if main is None or main not in reader.norms]
        if main is not None and raw and len(raw) < len(skips):
            main = None  # some skips see it normalized and some don't: no position is like that
            raw = skips
        own = [[n for n in reader.norms if n != main] for reader in skips]
        alone = tuple(norms[0] for norms in own) if all(len(n) == 1 for n in own) else ()
        return Coverage(main, bool(raw), alone, bool(skips))

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every linear layer with an activation; see `sites_of`."""
        return sites_of(self.layout)

    @cached_property
    def sites_by_node(self) -> Mapping[int, tuple[Site, ...]]:
        """The sites that a linear layer or an activation belongs to, by its node."""
        found: dict[int, list[Site]] = {}
        for site in self.sites:
            for node in {site.linear, site.activation}:
                found.setdefault(node, []).append(site)
        return {node: tuple(sites) for node, sites in found.items()}

    def slots(self, position: Position) -> list[Slot]:
        """The places that a position means here; an empty slot is one where nothing stands."""
        if position not in self._slots:
            self._slots[position] = _SLOTS[position.where](self, position)
        return self._slots[position]

    def taking(self, position: Position) -> frozenset[int]:
        """The normalizations that take any of the places of a position."""
        if position not in self._taking:
            slots = self.slots(position)
            self._taking[position] = frozenset().union(*(slot.norms for slot in slots))
        return self._taking[position]

    def _normalized(self, tensor: int, raw_skip: bool) -> Slot:
        cover = self.coverage(tensor)
        if cover.main is None or (cover.has_skips and cover.skips_raw != raw_skip):
            return Slot(frozenset(), tensor=tensor)
        return Slot(frozenset({cover.main}), tensor=tensor)

    def _pre(self, position: Position) -> list[Slot]:
        found: dict[int, set[int]] = {}
        masks = set()
        for site in self.sites:
            if self.layout.regions[site.linear] in position.regions:
                found.setdefault(site.linear, set()).update(self._direct(site))
                masks |= {site.linear} if site.activation in self.layout.masks else set()
        return [Slot(frozenset(norms), linear in masks, linear) for linear, norms in found.items()]

    def _direct(self, site: Site) -> Iterator[int]:
        """Of the norms between layer and activation, the first, if the layer's readers share it."""
        if site.between:
            norm = site.between[0]
            if self.skeleton(norm) != site.linear or self.coverage(site.linear).main == norm:
                yield norm

    def _post(self, position: Position) -> list[Slot]:
        tensors = dict.fromkeys(
            site.activation
            for site in self.sites
            if self.layout.regions[site.activation] in position.regions
            and site.activation not in self.layout.masks
        )
        return [self._normalized(tensor, position.raw_skip) for tensor in tensors]

    def _down(self, position: Position) -> list[Slot]:
        tensors = {
            self.skeleton(producer): None
            for step in sorted(self.layout.downsampling)
            for producer in self.graph.producers[step][:1]
        }
        return [
            self._normalized(tensor, position.raw_skip)
            for tensor in tensors
            if tensor not in self._inputs and self.layout.regions[tensor] in position.regions
        ]

    def _skip(self, position: Position) -> list[Slot]:
        found = []
        for tensor in range(len(self.graph.nodes)):
            if self._is_transparent(tensor) or self.layout.regions[tensor] not in position.regions:
                continue
            cover = self.coverage(tensor)
            if cover.has_skips:
                found.append(Slot(frozenset(cover.skip), tensor=tensor))
        return found

    def _merge(self, position: Position) -> list[Slot]:
        return [
            self._normalized(merge.node, raw_skip=False)
            for merge in self.layout.merges
            if self.layout.regions[merge.node] in position.regions
        ]

    def _input(self, position: Position) -> list[Slot]:
        del position
        return [self._normalized(tensor, raw_skip=False) for tensor in sorted(self._inputs)]


_SLOTS = {
    PRE: Placement._pre,
    POST: Placement._post,
    DOWN: Placement._down,
    SKIP: Placement._skip,
    MERGE: Placement._merge,
    INPUT: Placement._input,
}
