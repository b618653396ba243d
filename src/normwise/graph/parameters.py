"""Numbers of parameters, from configurations and shapes alone."""

from dataclasses import dataclass
from math import prod

from normwise.graph.catalogue import BATCH_NORMS, CONVOLUTIONS, Role, has_bias, role_of
from normwise.graph.graph import Graph, Node, Shape
from normwise.graph.layer_shapes import pair, split_shape


@dataclass(frozen=True)
class Parameters:
    """Weights of a layer: those that training by gradients changes, and fixed state."""

    trainable: int = 0
    state: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.trainable + self.state


def parameters_of(graph: Graph, node: Node) -> Parameters | None:
    """Parameters of the layer behind a call, or None where they can't be known.

    A layer's `trainable` flag is not looked at: gamma is trainable, a moving mean is state.
    """
    if node.model is not None:
        return total_parameters(node.model)
    shapes = [graph.spec(tensor).shape for tensor in node.inputs]
    if not shapes or shapes[0] is None:
        return Parameters() if _weightless(node) else None
    try:
        return _count(node, shapes[0])
    except (TypeError, KeyError, ValueError, IndexError, ArithmeticError):
        return None


def total_parameters(graph: Graph) -> Parameters | None:
    """Parameters of a model, each layer counted once; None when any layer's are unknown."""
    found = [parameters_of(graph, graph.nodes[calls[0]]) for calls in graph.calls.values()]
    known = [p for p in found if p is not None]
    if len(known) != len(found):
        return None
    return Parameters(sum(p.trainable for p in known), sum(p.state for p in known))


def _weightless(node: Node) -> bool:
    no_weights = {Role.INPUT, Role.MERGE, Role.PASS, Role.POOL, Role.GLOBAL_POOL}
    no_weights |= {Role.RESAMPLE, Role.BORDER, Role.SHAPE, Role.ACTIVATION}
    if node.class_name == "PReLU":
        return False
    return node.is_op or role_of(node) in no_weights or node.class_name == "Rescaling"


def _count(node: Node, shape: Shape) -> Parameters | None:
    name = node.class_name
    if name in CONVOLUTIONS:
        return Parameters(_convolution(node, shape))
    if name == "Dense":
        units = int(node.config["units"])
        return Parameters(_known(shape[-1]) * units + units * has_bias(node))
    if name == "PReLU":
        return Parameters(_prelu(node, shape))
    if role_of(node) is Role.NORM:
        return _norm(node, shape)
    return Parameters() if _weightless(node) else None


def _known(dim: int | None) -> int:
    if dim is None:
        raise ValueError("a free dimension where parameters depend on it")
    return dim


def _convolution(node: Node, shape: Shape) -> int:
    config = node.config
    window = prod(pair(config["kernel_size"], len(shape) - 2))
    channels = _known(split_shape(node, shape)[2])
    if node.class_name.startswith("Depthwise"):
        made = channels * int(config["depth_multiplier"])
        return window * made + made * has_bias(node)
    filters = int(config["filters"])
    bias = filters * has_bias(node)
    if node.class_name.startswith("Separable"):
        made = channels * int(config["depth_multiplier"])
        return window * made + made * filters + bias
    return window * (channels // int(config.get("groups") or 1)) * filters + bias


def _prelu(node: Node, shape: Shape) -> int:
    shared = set(node.config.get("shared_axes") or ())
    return prod(1 if axis in shared else _known(d) for axis, d in enumerate(shape[1:], start=1))


def _norm(node: Node, shape: Shape) -> Parameters | None:
    config = node.config
    if node.class_name == "UnitNormalization":
        return Parameters()
    if node.class_name == "Normalization":
        return _fixed_normalization(node, shape)
    axes = config.get("axis", -1)
    size = prod(_known(shape[a]) for a in (axes if isinstance(axes, tuple) else (axes,)))
    if node.class_name == "RMSNormalization":
        return Parameters(size)
    affine = bool(config.get("scale", True)) + bool(config.get("center", True))
    if node.class_name in BATCH_NORMS:
        # Renormalization keeps a second pair of moving statistics.
        return Parameters(affine * size, (5 if config.get("renorm") else 2) * size)
    return Parameters(affine * size)


def _fixed_normalization(node: Node, shape: Shape) -> Parameters:
    if node.config.get("mean") is not None:
        return Parameters()
    axes = node.config.get("axis", -1)
    kept = () if axes is None else axes if isinstance(axes, tuple) else (axes,)
    return Parameters(0, 2 * prod(_known(shape[a]) for a in kept) + 1)
