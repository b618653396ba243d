"""Graphs whose shapes have to be found again."""

from dataclasses import replace

from normwise.graph.graph import Graph, TensorSpec


def forgotten(graph: Graph) -> Graph:
    """The graph without any shape or dtype but those of its inputs."""
    nodes = tuple(
        node
        if node.class_name == "InputLayer"
        else replace(
            node,
            outputs=(TensorSpec(),) * len(node.outputs),
            model=None if node.model is None else forgotten(node.model),
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)
