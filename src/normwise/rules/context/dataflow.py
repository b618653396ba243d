"""Which node makes what another one reads, back and forward, through what changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, Role
from normwise.rules.context.opened_graph import OpenedGraph

OUTPUT = -1
"""Stands for the model's output among the readers of a tensor."""

_IDENTITIES = frozenset(
    {SPLIT_STEPS, JOIN_STEPS, "Identity", "Copy", "StopGradient", "Cast", "Activation"}
)


@dataclass(frozen=True)
class Dataflow(OpenedGraph):
    """The way back and forward in an opened graph."""

    @cached_property
    def origins(self) -> tuple[int, ...]:
        """For each node the one whose result its own is: itself, or behind identities."""
        return self._seen_through(self._is_identity)

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Likewise, through all that changes nothing in inference, such as dropout."""
        return self._seen_through(lambda index: self.roles[index] is Role.PASS)

    def seen_through(self, roles: frozenset[Role]) -> tuple[int, ...]:
        """Likewise, with nodes of these roles that read one tensor skipped."""
        return self._seen_through(lambda index: self.roles[index] in roles)

    def _seen_through(self, transparent: Callable[[int], bool]) -> tuple[int, ...]:
        found: list[int] = []
        for index, producers in enumerate(self.producers):
            passes = len(producers) == 1 and transparent(index)
            found.append(found[producers[0]] if passes else index)
        return tuple(found)

    def _is_identity(self, index: int) -> bool:
        node = self.nodes[index]
        if self.roles[index] is not Role.PASS:
            return False
        return node.class_name in _IDENTITIES or node.config.get("rate") in (0, 0.0)

    def read(self, index: int, dropout: bool = False) -> int | None:
        """The node that makes what a node with one input reads, identities skipped.

        Args:
            index: The node.
            dropout: Whether to skip dropout too.
        """
        producers = self.producers[index]
        if len(producers) != 1:
            return None
        return (self.sources if dropout else self.origins)[producers[0]]

    def entry(self, source: int, index: int) -> int:
        """The node that reads `source` on the way to `index`, all of one input before that."""
        passed: list[int] = []
        # Many may ask for the same long way; each step of it is made once.
        while source not in self.producers[index]:
            if (source, index) in self._entries:
                index = self._entries[source, index]
                break
            passed.append(index)
            index = self.producers[index][0]
        self._entries.update(((source, before), index) for before in passed)
        return index

    @cached_property
    def _entries(self) -> dict[tuple[int, int], int]:
        return {}

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """The nodes that read what each node makes, identities skipped; `OUTPUT` if it ends there.

        Empty for identities.
        """
        return self._readers(self.origins)

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """Likewise, with all that changes nothing in inference skipped."""
        return self._readers(self.sources)

    def _readers(self, made_by: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        found: list[dict[int, None]] = [{} for _ in self.nodes]
        for index, producers in enumerate(self.producers):
            if made_by[index] == index:
                for producer in producers:
                    found[made_by[producer]][index] = None
        for index in sorted(self.outputs):
            found[made_by[index]][OUTPUT] = None
        return tuple(tuple(readers) for readers in found)

    def only_reader(self, index: int) -> int | None:
        """The one node that reads what a node makes, identities skipped; None if there are more."""
        readers = self.readers[index]
        return readers[0] if len(readers) == 1 and readers[0] != OUTPUT else None

    @cached_property
    def norm_beside(self) -> tuple[int | None, ...]:
        """For each node a normalization that reads its result, dropout skipped, None for none."""
        norms = (filter(self.is_norm, (r for r in users if r != OUTPUT)) for users in self.users)
        return tuple(next(found, None) for found in norms)

    @cached_property
    def reaches_linear(self) -> tuple[bool, ...]:
        """Whether what each node makes reaches a linear layer without being normalized before."""
        found = [False] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            found[index] = any(
                self.roles[r] is Role.LINEAR or (self._is_open(r) and found[r])
                for r in self.graph.consumers[index]
            )
        return tuple(found)

    @cached_property
    def reaches_norm(self) -> tuple[bool, ...]:
        """Whether what each node makes is normalized on some way before a linear layer."""
        found = [False] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            found[index] = any(
                self.is_norm(r) or (self._is_open(r) and found[r])
                for r in self.graph.consumers[index]
            )
        return tuple(found)

    def _is_open(self, index: int) -> bool:
        return self.roles[index] not in (Role.LINEAR, Role.NORM, Role.OTHER)
