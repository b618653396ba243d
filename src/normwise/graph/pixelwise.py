"""Which calls treat every pixel by itself, in inference: they don't care how an image is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from normwise.graph.catalogue import BATCH_NORMS, Role, activation_of, role_of
from normwise.graph.channels import channel_axis
from normwise.graph.graph import Graph, Node, Tensor

ELEMENTWISE_OPS = frozenset(
    {
        "Absolute", "Fabs", "Negative", "Sign", "Square", "Sqrt", "Rsqrt", "Cbrt", "Reciprocal",
        "Exp", "Exp2", "Expm1", "Log", "Log10", "Log1p", "Log2", "Sin", "Cos", "Tan", "Arcsin",
        "Arccos", "Arctan", "Sinh", "Cosh", "Arcsinh", "Arccosh", "Arctanh", "Sinc", "Erf",
        "Erfc", "Erfinv", "Ceil", "Floor", "Round", "Trunc", "Clip", "Isfinite", "Isinf",
        "Isnan", "LogicalNot", "NanToNum", "OnesLike", "ZerosLike", "FullLike", "Real",
        "Subtract", "Multiply", "Divide", "TrueDivide", "DivideNoNan", "FloorDivide", "Mod",
        "Fmod", "Power", "Add", "Average", "Maximum", "Minimum", "Fmax", "Fmin", "Arctan2",
        "Hypot", "Logaddexp", "Logaddexp2", "Heaviside", "Equal", "NotEqual", "Less",
        "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalXor",
        "Where", "ConvertToTensor", "RGBToHSV", "HSVToRGB",
    }
)  # fmt: skip
"""Raw ops on numbers and pairs of numbers."""

_OVER_CHANNELS = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})
_REDUCTIONS = frozenset(
    {
        "Mean", "Max", "Min", "Amax", "Amin", "Sum", "Prod", "Std", "Var", "Median", "Any",
        "All", "Logsumexp", "Argmax", "Argmin", "CountNonzero", "Nanmax", "Nanmin", "Nanmean",
        "Nansum", "Nanstd", "Nanvar",
    }
)  # fmt: skip
_KERAS = ("keras", "tf_keras", "tensorflow", "builtins")
_UNKNOWN = "what it reads of an image isn't known"


def obstacle(graph: Graph, index: int, rank: int) -> str | None:
    """Why a call doesn't treat each pixel by itself; None if it does.

    Args:
        graph: The graph, nested models opened.
        index: The call; it reads a tensor over space.
        rank: Number of spatial axes.

    Returns:
        A text without the layer's name, such as `"takes the statistics of all pixels"`.
    """
    node = graph.nodes[index]
    channels = channel_axis(graph, index) % (rank + 2)
    if not is_known(node):
        return f"{_UNKNOWN} ({node.class_name})"
    rule = _RULES.get(node.class_name) or _BY_ROLE.get(role_of(node))
    if rule is None:
        return f"{_UNKNOWN} ({node.class_name})"
    return rule(node, channels, rank) or fused_obstacle(graph, index, rank)


def fused_obstacle(graph: Graph, index: int, rank: int) -> str | None:
    """The same for the activation of a layer alone: a softmax may weigh pixels."""
    node = graph.nodes[index]
    if activation_of(node) not in _OVER_CHANNELS:
        return None
    channels = channel_axis(graph, index) % (rank + 2)
    own = node.class_name in ("Softmax", "LogSoftmax", "Sparsemax", "Glu")
    axes = _axes(node.config.get("axis", -1) if own else -1, rank)
    return None if axes == {channels} else "weighs pixels against each other"


def is_known(node: Node) -> bool:
    """Whether a class is Keras' own: files name a module, old ones don't."""
    return node.module is None or str(node.module).split(".")[0] in _KERAS


Rule = Callable[[Node, int, int], str | None]


def _never(node: Node, channels: int, rank: int) -> None:
    return None


def _prelu(node: Node, channels: int, rank: int) -> str | None:
    shared = _axes(node.config.get("shared_axes") or (), rank)
    return None if _spatial(channels, rank) <= shared else "has a weight for each place"


def _batch_norm(node: Node, channels: int, rank: int) -> str | None:
    if node.kwargs.get("training") is True and node.config.get("trainable", True):
        return "takes the statistics of what it sees (training=True)"
    axes = _axes(node.config.get("axis", -1), rank)
    return None if axes == {channels} else "has weights for each place"


def _group_norm(node: Node, channels: int, rank: int) -> str:
    return "takes the statistics of all pixels of an image"


def _layer_norm(node: Node, channels: int, rank: int) -> str | None:
    over = _axes(node.config.get("axis", -1), rank) & _spatial(channels, rank)
    return "takes the statistics of all pixels of an image" if over else None


def _normalization(node: Node, channels: int, rank: int) -> str | None:
    over = _axes(node.config.get("axis", -1), rank) & _spatial(channels, rank)
    return "has a mean for each place" if over else None


def _rescaling(node: Node, channels: int, rank: int) -> str | None:
    numbers = node.config.get("scale"), node.config.get("offset")
    return _constants(numbers, channels, rank)


def _dense(node: Node, channels: int, rank: int) -> str | None:
    return None if channels == rank + 1 else "mixes the pixels of a row"


def _along(node: Node, channels: int, rank: int) -> str | None:
    """Concatenation, splitting and sorting."""
    axes = _axes(node.config.get("axis", -1), rank)
    return None if axes == {channels} else "works along an axis over space"


def _reduction(node: Node, channels: int, rank: int) -> str | None:
    axis = node.config.get("axis")
    if axis is None or _axes(axis, rank) & _spatial(channels, rank):
        return "looks at all pixels of an image"
    if not node.config.get("keepdims"):
        return f"{_UNKNOWN}, as it drops an axis"
    return None


def _elementwise(node: Node, channels: int, rank: int) -> str | None:
    return _constants((node.args, tuple(node.kwargs.values())), channels, rank)


def _over_space(node: Node, channels: int, rank: int) -> str:
    return "looks at all pixels of an image"


def _rearranges(node: Node, channels: int, rank: int) -> str:
    return "rearranges the pixels of an image"


def _constants(values: Any, channels: int, rank: int) -> str | None:
    """A constant may hold a number for each channel, but not for each place."""
    for shape in _shapes(values):
        places = range(rank + 2 - len(shape), rank + 2)
        wide = {axis for axis, size in zip(places, shape, strict=True) if size != 1}
        if wide - {0, channels}:
            return "holds a number for each place"
    return None


def _shapes(values: Any) -> Iterable[tuple[int, ...]]:
    for value in values:
        if isinstance(value, Mapping):
            inside = value.get("config")
            yield _shape(inside.get("value") if isinstance(inside, Mapping) else None)
        elif isinstance(value, tuple) and not any(isinstance(part, Tensor) for part in value):
            yield from [_shape(value)] if not _has_mappings(value) else _shapes(value)
        elif isinstance(value, tuple):
            yield from _shapes(value)


def _has_mappings(value: tuple[Any, ...]) -> bool:
    return any(isinstance(part, Mapping) for part in value)


def _shape(value: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, tuple):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _spatial(channels: int, rank: int) -> set[int]:
    return set(range(1, rank + 2)) - {channels}


def _axes(axis: Any, rank: int) -> set[int]:
    """Axes counted from 0; what is no axis is none."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    return {a % (rank + 2) for a in axes if isinstance(a, int)}


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE_OPS, _elementwise),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(BATCH_NORMS, _batch_norm),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "UnitNormalization"), _layer_norm),
    **dict.fromkeys(("LayerNorm", "RMSNorm", "Normalize"), _over_space),
    **dict.fromkeys(("Concatenate", "Sort", "Split"), _along),
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupedQueryAttention", "Attention", "AdditiveAttention"),
        _over_space,
    ),
    **dict.fromkeys(("AdaptiveMaxPool", "AdaptiveAveragePool"), _over_space),
    **dict.fromkeys(("LayerScale", "StochasticDepth"), _never),
    "DotProductAttention": _over_space,
    "GroupNormalization": _group_norm,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "PReLU": _prelu,
    "Dense": _dense,
}
_BY_ROLE: Mapping[Role, Rule] = {
    Role.PASS: _never,
    Role.ACTIVATION: _never,
    Role.GLOBAL_POOL: _over_space,
    Role.SHAPE: _rearranges,
}
