"""A model as data: the graph of its calls, and what can be computed from it without Keras."""

from normwise.graph.graph import Graph, Node, Shape, Tensor, TensorSpec

__all__ = ["Graph", "Node", "Shape", "Tensor", "TensorSpec"]
