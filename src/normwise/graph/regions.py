"""Where a call stands in a network: encoder, bottleneck, decoder or head; merges and skips.

The bottleneck is the coarsest resolution. What leads to it is the encoder, what comes from it and
is finer is the decoder, and the last learned layer with what follows is the head. What stands
beside them is the decoder's where it was up-sampled (the inner U-Nets of a U-Net++), else the
encoder's (a layer on a skip). A network that never changes resolution is all encoder (and head); a
classification network has no decoder.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from normwise.graph.catalogue import Role, activation_of, roles_of
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.head import last_learned
from normwise.graph.resolution import Scale, area, areas_of, scales_of, total_stride

ENCODER, BOTTLENECK, DECODER, HEAD = "encoder", "bottleneck", "decoder", "head"
REGIONS = (ENCODER, BOTTLENECK, DECODER, HEAD)
MERGE_CLASSES = frozenset({"Add", "Concatenate", "Average", "Maximum"})
MASKING = frozenset({"sigmoid", "hard_sigmoid", "softmax"})
"""Activations between 0 and 1, which a gate multiplies onto a tensor."""

_KEEPS_MASK = frozenset({Role.PASS, Role.RESAMPLE, Role.SHAPE, Role.BORDER})


@dataclass(frozen=True)
class Merge:
    """A node that joins tensors, and which of them bypassed a change of resolution.

    Attributes:
        node: Index of the merging node.
        how: `"concatenate"` or `"add"` (any elementwise join).
        skips: For each skip that ends here, the indices (tap, first node after the tap). The tap
            is the last node on the encoder's way down, or in nested U-Nets an earlier node of the
            decoder at this resolution; where the merge reads it straight, the second index is the
            merge itself. A gate on the way is followed through.
    """

    node: int
    how: str
    skips: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """A flattened graph with the place of every node in it.

    Attributes:
        graph: The graph, nested models opened.
        scales: Resolution of each node, None where it has no spatial extent.
        regions: One of `REGIONS` for each node.
        trunk: The encoder nodes that lead to the bottleneck.
        stride: Total stride for each spatial axis.
        steps: For each node -1 if its output is coarser than what it reads, 1 if finer, else 0.
        merges: Adds and concatenations, in order.
    """

    graph: Graph
    scales: tuple[Scale | None, ...]
    regions: tuple[str, ...]
    trunk: frozenset[int]
    stride: tuple[int, ...]
    steps: Sequence[int]

    @cached_property
    def downsampling(self) -> frozenset[int]:
        """Nodes whose output is coarser than what they read."""
        return frozenset(i for i, step in enumerate(self.steps) if step < 0)

    def is_skip(self, tap: int, reader: int) -> bool:
        """Whether the edge from `tap` to `reader` leaves the way down towards the decoder.

        One that is up-sampled at once is no skip, but the way up of a smaller, nested U-Net.
        """
        if tap not in self.trunk or reader in self.trunk or self.steps[reader] > 0:
            return False
        return self.regions[reader] != BOTTLENECK

    @cached_property
    def gates(self) -> frozenset[int]:
        """Nodes without spatial extent that act on nodes with one: squeeze-and-excite branches."""
        spatial = [i for i, scale in enumerate(self.scales) if scale]
        behind = _reachable(spatial, self.graph.producers)
        return frozenset(i for i in behind if self.scales[i] is None)

    @cached_property
    def masks(self) -> frozenset[int]:
        """Activations between 0 and 1 that are only multiplied onto another tensor.

        `x * sigmoid(x)` has none: there the product is the activation.
        """
        return frozenset(
            index
            for index, node in enumerate(self.graph.nodes)
            if activation_of(node) in MASKING and self._only_multiplies(index)
        )

    def _only_multiplies(self, index: int) -> bool:
        own, pending, ends = set(self.graph.producers[index]), [index], []
        while pending:
            for reader in self.graph.consumers[pending.pop()]:
                if self._keeps_mask(reader):
                    pending.append(reader)
                else:
                    ends.append(reader)
        return bool(ends) and all(
            self.graph.nodes[end].class_name == "Multiply"
            and roles_of(self.graph)[end] is Role.MERGE
            and not own & set(self.graph.producers[end])
            for end in ends
        )

    def _keeps_mask(self, index: int) -> bool:
        one = len(self.graph.producers[index]) == 1
        return one and roles_of(self.graph)[index] in _KEEPS_MASK

    @cached_property
    def _masked(self) -> Sequence[bool]:
        """Whether each node is a mask, or one that was resized or reshaped."""
        found: list[bool] = []
        for index, producers in enumerate(self.graph.producers):
            kept = self._keeps_mask(index)
            found.append(found[producers[0]] if kept else index in self.masks)
        return found

    @cached_property
    def merges(self) -> tuple[Merge, ...]:
        """Adds and concatenations of two tensors or more."""
        return tuple(
            Merge(index, _how(node.class_name), self._skips(index))
            for index, (node, role) in enumerate(
                zip(self.graph.nodes, roles_of(self.graph), strict=True)
            )
            if role is Role.MERGE and node.class_name in MERGE_CLASSES
        )

    @cached_property
    def merge_at(self) -> Mapping[int, Merge]:
        """The merges by their nodes."""
        return {merge.node: merge for merge in self.merges}

    def _skips(self, merge: int) -> tuple[tuple[int, int], ...]:
        if self.regions[merge] in (ENCODER, BOTTLENECK) and merge in self.trunk:
            return ()
        if self.regions[merge] == BOTTLENECK:
            return ()
        found: dict[tuple[int, int], None] = {}
        rising = [self._risen[producer] for producer in self.graph.producers[merge]]
        nests = self.regions[merge] == DECODER and any(rising)
        for producer, risen in zip(self.graph.producers[merge], rising, strict=True):
            tap, first = self._taps[producer]
            reader = merge if first is None else first
            if self.is_skip(tap, reader) or (nests and not risen):
                found[tap, reader] = None
        return tuple(found)

    @cached_property
    def _taps(self) -> Sequence[tuple[int, int | None]]:
        """For each node the one that a skip to it leaves, and the first node behind that.

        Back over what stands on a skip: layers between encoder and decoder, and gates. A node that
        a skip leaves itself has nothing between.
        """
        found: list[tuple[int, int | None]] = []
        for index in range(len(self.graph.nodes)):
            before = self._before_on_skip(index)
            if before is None:
                found.append((index, None))
                continue
            tap, first = found[before]
            found.append((tap, index if first is None else first))
        return found

    def _before_on_skip(self, index: int) -> int | None:
        """The node before one that stands on a skip, None for one that doesn't."""
        before = self.graph.producers[index]
        if index in self.trunk:
            return None
        if self.graph.nodes[index].class_name == "Multiply":
            before = tuple(p for p in before if not self._masked[p])
        elif self.regions[index] != ENCODER:
            return None
        return before[0] if len(before) == 1 else None

    @cached_property
    def _risen(self) -> Sequence[bool]:
        """Whether each tensor was up-sampled since tensors last met."""
        found: list[bool] = []
        for index, producers in enumerate(self.graph.producers):
            before = len(producers) == 1 and found[producers[0]]
            found.append(self.steps[index] > 0 or before)
        return found


def _how(class_name: str) -> str:
    return "concatenate" if class_name == "Concatenate" else "add"


def layout_of(graph: Graph) -> Layout:
    """Regions, merge points and total stride of a network.

    Args:
        graph: Any graph; nested models are opened first.
    """
    flat = flatten(graph)
    scales = scales_of(flat)
    coarsest = _coarsest(scales)
    above = _reachable(coarsest, flat.producers)
    below = _reachable(coarsest, flat.consumers)
    ends = last_learned(flat)
    head = frozenset(ends) | _reachable(ends, flat.consumers)
    steps = [_step(flat, i, scales) for i in range(len(flat.nodes))]
    up = [i for i, step in enumerate(steps) if step > 0]
    risen = _reachable(up, flat.consumers) | set(up)
    falling = _falling(flat, scales)
    regions = tuple(
        HEAD if i in head else _region(i, scales, coarsest, above, below, risen, falling)
        for i in range(len(flat.nodes))
    )
    trunk = frozenset(i for i, region in enumerate(regions) if region == ENCODER and i in above)
    return Layout(flat, scales, regions, trunk, total_stride(scales), steps)


def _step(graph: Graph, index: int, scales: Sequence[Scale | None]) -> int:
    """-1 for a node whose output is coarser than what it reads, 1 for a finer one, else 0."""
    scale = scales[index]
    read = [s for p in graph.producers[index] if (s := scales[p])]
    if not scale or all(s is scale for s in read):
        return 0  # nothing is read, or what keeps its resolution, as nearly everywhere
    now, before = area(scale), max(area(s) for s in read)
    return (now > before) - (now < before)


def _coarsest(scales: Sequence[Scale | None]) -> frozenset[int]:
    areas = areas_of(scales)
    distinct = {id(value): value for value in areas if value is not None}
    if len(set(distinct.values())) < 2:
        return frozenset()
    least = min(distinct.values())
    coarse = {key for key, value in distinct.items() if value == least}
    return frozenset(i for i, value in enumerate(areas) if id(value) in coarse)


def _reachable(start: Iterable[int], edges: Sequence[Sequence[int]]) -> frozenset[int]:
    found: set[int] = set()
    pending = list(start)
    while pending:
        for following in edges[pending.pop()]:
            if following not in found:
                found.add(following)
                pending.append(following)
    return frozenset(found)


def _region(  # noqa: PLR0911 - one line for each case
    index: int,
    scales: Sequence[Scale | None],
    coarsest: frozenset[int],
    above: frozenset[int],
    below: frozenset[int],
    risen: frozenset[int],
    falling: Sequence[bool],
) -> str:
    if not coarsest:
        return ENCODER
    if index in coarsest:
        return BOTTLENECK
    if index in above and index in below:
        if scales[index] is None:
            return BOTTLENECK
        return ENCODER if falling[index] else DECODER
    if index in above:
        return ENCODER
    if index in below:
        return DECODER if scales[index] is not None else BOTTLENECK
    return DECODER if index in risen else ENCODER


def _falling(graph: Graph, scales: Sequence[Scale | None]) -> Sequence[bool]:
    """Whether the next change of resolution is a step down (stacked encoder-decoders).

    The nearest change counts, of equally near ones that of the first reader.
    """
    areas: list[Fraction | None] = []
    for own, producers in zip(areas_of(scales), graph.producers, strict=True):
        before = (areas[p] for p in producers)
        areas.append(next(before, None) if own is None else own)
    nearest: list[tuple[int, Fraction] | None] = [None] * len(areas)
    for index in reversed(range(len(areas))):
        found = [step for r in graph.consumers[index] if (step := _ahead(areas, nearest, index, r))]
        nearest[index] = min(found, key=lambda step: step[0], default=None)
    return [
        step is not None and own is not None and step[1] < own
        for step, own in zip(nearest, areas, strict=True)
    ]


def _ahead(
    areas: Sequence[Fraction | None],
    nearest: Sequence[tuple[int, Fraction] | None],
    index: int,
    reader: int,
) -> tuple[int, Fraction] | None:
    """The nearest other resolution by way of one reader: how far it is, and which."""
    own, other, beyond = areas[index], areas[reader], nearest[reader]
    if other is not None and other is not own and other != own:
        return 1, other
    return None if beyond is None else (beyond[0] + 1, beyond[1])
