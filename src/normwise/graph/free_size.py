"""Networks that were built for one size: how they would be for any, and what keeps them at it."""

from __future__ import annotations

from dataclasses import replace

from normwise.graph.catalogue import Role, role_of
from normwise.graph.channels import output_channel_axis, spatial_shape
from normwise.graph.graph import Graph, Node, Shape, TensorSpec, freeze
from normwise.graph.receptive_field import tiling_of_graph
from normwise.graph.shapes import with_shapes
from normwise.graph.tiling import Obstacle, Tiling, in_words


def freed(graph: Graph) -> Graph:
    """The graph of the same layers for inputs of any size over space.

    Args:
        graph: A network's; nested models are freed, too.
    """
    return _freed(graph, {})


def _freed(graph: Graph, done: dict[int, Graph]) -> Graph:
    nodes = [_free_node(graph, index, done) for index in range(len(graph.nodes))]
    return with_shapes(replace(graph, nodes=tuple(nodes)))


def _free_node(graph: Graph, index: int, done: dict[int, Graph]) -> Node:
    node = graph.nodes[index]
    if role_of(node) is Role.INPUT:
        return _free_input(graph, index)
    if not node.inputs:
        return node
    model = node.model
    if model is not None:
        # One model that is called twice stays one.
        if id(model) not in done:
            done[id(model)] = _freed(model, done)
        model = done[id(model)]
    outputs = tuple(TensorSpec(None, spec.dtype) for spec in node.outputs)
    return node.changed(model=model, outputs=outputs)


def _free_input(graph: Graph, index: int) -> Node:
    node = graph.nodes[index]
    if node.shape is None or len(node.shape) < 3:
        return node
    channels = output_channel_axis(graph, index) % len(node.shape)
    shape = tuple(size if axis in (0, channels) else None for axis, size in enumerate(node.shape))
    config = {**node.config, "batch_shape": shape} if "batch_shape" in node.config else node.config
    return node.changed(outputs=(replace(node.outputs[0], shape=shape),), config=freeze(config))


def fixed_sides(graph: Graph) -> Shape:
    """The size over space that a network with one input was built for; None where any is taken."""
    found = spatial_shape(graph, graph.input_tensors[0].node)
    return found if found is not None and len(graph.input_tensors) == 1 else ()


def held_at_its_size(graph: Graph) -> tuple[Obstacle, ...]:
    """What keeps a network at the size that it was built for; nothing if it can be for any.

    Args:
        graph: The network's, with one input.
    """
    tiling = tiling_of_graph(freed(graph))
    uneven = uneven_size(graph, tiling)
    return tiling.reasons if uneven is None else (uneven, *tiling.reasons)


def uneven_size(graph: Graph, tiling: Tiling) -> Obstacle | None:
    """A network for a size that its stride doesn't divide pads differently wherever it stands."""
    sides = fixed_sides(graph) or (None,) * len(tiling.stride)
    if all(not side or side % step == 0 for side, step in zip(sides, tiling.stride, strict=True)):
        return None
    stride = "x".join(map(str, tiling.stride))
    reason = f"takes {in_words(sides)} pixels, which its total stride of {stride} doesn't divide"
    return Obstacle(graph.nodes[graph.input_tensors[0].node].name, reason)


def applied_tiling(graph: Graph) -> Tiling:
    """How a network is applied to images: with free size where its layers allow it.

    Args:
        graph: The network's.

    Raises:
        NetworkError: Nothing that the network takes has an extent over space.
    """
    tiling, sides = tiling_of_graph(graph), fixed_sides(graph)
    if not any(sides):
        return tiling
    held = held_at_its_size(graph)
    if not held:
        return tiling_of_graph(freed(graph))
    narrow = uneven_size(graph, tiling) or _narrow(graph, tiling)
    reasons = tiling.reasons if narrow is None else (*tiling.reasons, narrow)
    return replace(tiling, reasons=reasons, built_for=sides, held=held)


def _narrow(graph: Graph, tiling: Tiling) -> Obstacle | None:
    """Tiles of its size may have no room for the halo."""
    sides = fixed_sides(graph)
    if not any(side and side < least for side, least in zip(sides, tiling.smallest, strict=True)):
        return None
    reason = f"takes {in_words(sides)} pixels, which leave none beside the halo"
    return Obstacle(graph.nodes[graph.input_tensors[0].node].name, reason)
