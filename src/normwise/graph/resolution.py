"""The resolution of every tensor relative to the model's input, and the total stride.

Resolutions come from what the layers do (strides, pool sizes, up-sampling factors), so they are
known even where height and width are free.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import lcm, prod

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, Role, roles_of
from normwise.graph.graph import Graph, Node, Shape
from normwise.graph.layer_shapes import pair, split_shape

Scale = tuple[Fraction, ...]
"""Samples per input sample along each spatial axis: 1/2 after a convolution with strides 2."""

LARGEST = 2**40
"""A ratio of sizes beyond which a damaged file, and no network, has stated the strides."""


def scales_of(graph: Graph) -> tuple[Scale | None, ...]:
    """The resolution of each node's first output, None where there is no spatial extent.

    Args:
        graph: A graph without nested models (see `flatten`).
    """
    scales: list[Scale | None] = []
    # Where each chain of reshapes without a resolution starts.
    starts: list[int] = []
    for index, (node, role) in enumerate(zip(graph.nodes, roles_of(graph), strict=True)):
        starts.append(index)
        if node.class_name in (SPLIT_STEPS, JOIN_STEPS):
            scales.append(_across_steps(node, scales))
        else:
            scales.append(_scale(graph, index, role, scales, starts))
        read = graph.producers[index]
        if scales[index] is None and read and role is Role.SHAPE:
            starts[index] = starts[read[0]]
    return tuple(scales)


def _across_steps(node: Node, scales: Sequence[Scale | None]) -> Scale | None:
    """The resolution without the axis of time, or with it again."""
    read = scales[node.inputs[0].node] or ()
    return (Fraction(1), *read) if node.class_name == JOIN_STEPS else read[1:] or None


def area(scale: Scale) -> Fraction:
    """Resolution over all spatial axes: 1/4 when height and width are halved."""
    return prod(scale, start=Fraction(1))


def areas_of(scales: Sequence[Scale | None]) -> list[Fraction | None]:
    """The area of each resolution, None where there is none.

    Most nodes share their resolution with what they read; those have the same object here too, as
    computing with fractions, and comparing them, takes many times as long.
    """
    known: dict[int, Fraction] = {}
    found: list[Fraction | None] = []
    for scale in scales:
        if scale and id(scale) not in known:
            known[id(scale)] = area(scale)
        found.append(known[id(scale)] if scale else None)
    return found


def total_stride(scales: Sequence[Scale | None]) -> tuple[int, ...]:
    """Numbers that divide an input's spatial sizes so that every resolution step comes out even.

    Returns:
        One number an axis; empty for a model without spatial axes.
    """
    known = [scale for scale in scales if scale]
    rank = max((len(scale) for scale in known), default=0)
    return tuple(
        _common(scale[axis].denominator for scale in known if len(scale) == rank)
        for axis in range(rank)
    )


def _common(denominators: Iterable[int]) -> int:
    """Their least common multiple, as far as it is one that sizes can have."""
    found = 1
    for number in sorted(set(denominators)):
        found = common if (common := lcm(found, number)) <= LARGEST else found
    return found


def _scale(
    graph: Graph,
    index: int,
    role: Role,
    scales: Sequence[Scale | None],
    starts: Sequence[int],
) -> Scale | None:
    node = graph.nodes[index]
    if role is Role.INPUT or not node.inputs:
        rank = len(node.shape) - 2 if node.shape else 0
        return (Fraction(1),) * rank if rank > 0 else None
    read = [scales[tensor.node] for tensor in node.inputs]
    source = next((scale for scale in read if scale), None)
    if source is None and role is Role.SHAPE:
        return _regained(graph, index, scales, starts)
    if source is None or role is Role.GLOBAL_POOL or not _is_spatial(node, source):
        return None
    if role is Role.MERGE:
        known = [scale for scale in read if scale]
        # Most merge what is of one resolution; comparing fractions takes many times as long.
        return source if all(scale is source for scale in known) else max(known, key=area)
    factor = _factor(graph, node, role, len(source))
    if factor is _UNCHANGED:
        return source
    return _possible(tuple(s * f for s, f in zip(source, factor, strict=True)))


def _regained(
    graph: Graph, index: int, scales: Sequence[Scale | None], starts: Sequence[int]
) -> Scale | None:
    """The resolution behind a chain of reshapes, such as one that moves space to depth."""
    back = starts[graph.producers[index][0]]
    scale, node = scales[back], graph.nodes[index]
    if scale is None or node.shape is None or not _is_spatial(node, scale):
        return None
    factor = _from_shapes(node, graph.nodes[back].shape, len(scale))
    return _possible(tuple(s * f for s, f in zip(scale, factor, strict=True)))


def _possible(scale: Scale) -> Scale | None:
    """A scale that a network can have, None for another."""
    fits = all(0 < s.numerator <= LARGEST and s.denominator <= LARGEST for s in scale)
    return scale if fits else None


def _is_spatial(node: Node, source: Scale) -> bool:
    return node.shape is None or len(node.shape) == len(source) + 2


_UNCHANGED: Scale = ()
"""Stands for a factor of 1 along every axis, as nearly all layers have it."""


def _factor(graph: Graph, node: Node, role: Role, rank: int) -> Scale:
    rule = _FACTORS.get(node.class_name)
    if rule is not None:
        try:
            return rule(node, rank)
        except (TypeError, ValueError, KeyError, ArithmeticError):
            return _UNCHANGED
    if role in (Role.OTHER, Role.RESAMPLE, Role.SHAPE):
        return _from_shapes(node, graph.spec(node.inputs[0]).shape, rank)
    return _UNCHANGED


def _strided(node: Node, rank: int) -> Scale:
    strides = pair(node.config.get("strides", 1), rank)
    return tuple(Fraction(1, s) for s in strides) if strides != (1,) * rank else _UNCHANGED


def _transposed(node: Node, rank: int) -> Scale:
    return tuple(Fraction(s) for s in pair(node.config.get("strides", 1), rank))


def _pooled(node: Node, rank: int) -> Scale:
    strides = node.config.get("strides") or node.config["pool_size"]
    return tuple(Fraction(1, s) for s in pair(strides, rank))


def _upsampled(node: Node, rank: int) -> Scale:
    return tuple(Fraction(s) for s in pair(node.config["size"], rank))


def _from_shapes(node: Node, before: Shape | None, rank: int) -> Scale:
    after = node.shape
    if before is None or after is None or len(before) != len(after):
        return (Fraction(1),) * rank
    sizes = zip(split_shape(node, before)[1], split_shape(node, after)[1], strict=True)
    return tuple(_ratio(a, b) for a, b in sizes)


def _ratio(before: int | None, after: int | None) -> Fraction:
    """Whole steps only: 13 -> 26 is 2, and 13 -> 6, a `valid` halving, is 1/2."""
    if not before or not after or before < 0 or after < 0:
        return Fraction(1)  # a damaged file can state any number
    if after >= before:
        return Fraction(round(after / before))
    return Fraction(1, round(before / after))


_FACTORS: dict[str, Callable[[Node, int], Scale]] = {
    **{f"{k}Conv{r}D": _strided for k in ("", "Depthwise", "Separable") for r in (1, 2, 3)},
    **{f"Conv{r}DTranspose": _transposed for r in (1, 2, 3)},
    **{f"{k}Pooling{r}D": _pooled for k in ("Max", "Average") for r in (1, 2, 3)},
    **dict.fromkeys(("MaxPool", "AveragePool"), _pooled),
    **{f"UpSampling{r}D": _upsampled for r in (1, 2, 3)},
    "DepthToSpace": lambda node, rank: (Fraction(int(node.config["block_size"])),) * rank,
    "SpaceToDepth": lambda node, rank: (Fraction(1, int(node.config["block_size"])),) * rank,
}
