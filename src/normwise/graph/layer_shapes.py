"""The output shape of each known layer and op, from its configuration and the shapes it reads.

A rule may meet settings of any type, as a file can hold them: what it raises then is caught by
`shapes`, for which the shape is unknown.
"""

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, data_format
from normwise.graph.graph import Node, Shape

Dim = int | None


def pair(value: Any, rank: int) -> tuple[int, ...]:
    """A number for each spatial axis, from one number or a sequence."""
    if isinstance(value, int):
        return (value,) * rank
    values = tuple(map(int, value))
    if len(values) != rank:
        raise ValueError(f"expected {rank} numbers, got {values}")
    return values


def split_shape(node: Node, shape: Shape) -> tuple[Dim, tuple[Dim, ...], Dim]:
    """Batch, spatial dimensions and channels of a shape in the call's data format."""
    if data_format(node) == "channels_first":
        return shape[0], shape[2:], shape[1]
    return shape[0], shape[1:-1], shape[-1]


def join_shape(node: Node, batch: Dim, spatial: Sequence[Dim], channels: Dim) -> Shape:
    """The inverse of `split_shape`."""
    if data_format(node) == "channels_first":
        return (batch, channels, *spatial)
    return (batch, *spatial, channels)


def _spatial(
    node: Node, shape: Shape, change: Callable[[int, int], Dim], channels: Any = "keep"
) -> Shape:
    batch, spatial, old = split_shape(node, shape)
    new = tuple(None if size is None else change(axis, size) for axis, size in enumerate(spatial))
    return join_shape(node, batch, new, old if channels == "keep" else channels)


def _conv(node: Node, shapes: Sequence[Shape]) -> Shape:
    config, rank = node.config, len(shapes[0]) - 2
    kernel = pair(config["kernel_size"], rank)
    strides = pair(config.get("strides", 1), rank)
    dilation = pair(config.get("dilation_rate", 1), rank)

    def change(axis: int, size: int) -> int:
        window = (kernel[axis] - 1) * dilation[axis] + 1
        return _window(size, window, strides[axis], str(config.get("padding", "valid")))

    return _spatial(node, shapes[0], change, _conv_channels(node, shapes[0]))


def _window(size: int, window: int, stride: int, padding: str) -> int:
    return ceil(size / stride) if padding != "valid" else (size - window) // stride + 1


def _conv_channels(node: Node, shape: Shape) -> Dim:
    if node.class_name.startswith("Depthwise"):
        channels = split_shape(node, shape)[2]
        return None if channels is None else channels * int(node.config["depth_multiplier"])
    return int(node.config["filters"])


def _conv_transpose(node: Node, shapes: Sequence[Shape]) -> Shape:
    config, rank = node.config, len(shapes[0]) - 2
    kernel = pair(config["kernel_size"], rank)
    strides = pair(config.get("strides", 1), rank)
    dilation = pair(config.get("dilation_rate", 1), rank)
    extra = config.get("output_padding")
    same = config.get("padding") == "same"

    def change(axis: int, size: int) -> int:
        window, stride = (kernel[axis] - 1) * dilation[axis] + 1, strides[axis]
        if extra is not None:
            border = window // 2 if same else 0
            return (size - 1) * stride + window - 2 * border + pair(extra, rank)[axis]
        return size * stride + (0 if same else max(window - stride, 0))

    return _spatial(node, shapes[0], change, int(config["filters"]))


def _pool(node: Node, shapes: Sequence[Shape]) -> Shape:
    rank = len(shapes[0]) - 2
    window = pair(node.config["pool_size"], rank)
    strides = pair(node.config.get("strides") or window, rank)
    padding = str(node.config.get("padding", "valid"))
    return _spatial(node, shapes[0], lambda a, n: _window(n, window[a], strides[a], padding))


def _global_pool(node: Node, shapes: Sequence[Shape]) -> Shape:
    batch, spatial, channels = split_shape(node, shapes[0])
    if node.config.get("keepdims"):
        return join_shape(node, batch, (1,) * len(spatial), channels)
    return (batch, channels)


def _reduce(node: Node, shapes: Sequence[Shape]) -> Shape | None:
    shape, axes = shapes[0], node.config.get("axis")
    if axes is None:
        return None
    chosen = {a % len(shape) for a in (axes if isinstance(axes, tuple) else (axes,))}
    if node.config.get("keepdims"):
        return tuple(1 if a in chosen else d for a, d in enumerate(shape))
    return tuple(d for a, d in enumerate(shape) if a not in chosen)


def _upsample(node: Node, shapes: Sequence[Shape]) -> Shape:
    size = pair(node.config["size"], len(shapes[0]) - 2)
    return _spatial(node, shapes[0], lambda axis, n: n * size[axis])


def _resize(node: Node, shapes: Sequence[Shape]) -> Shape:
    config = node.config
    height, width = config["size"] if "size" in config else (config["height"], config["width"])
    batch, _, channels = split_shape(node, shapes[0])
    return join_shape(node, batch, (int(height), int(width)), channels)


def _depth_to_space(node: Node, shapes: Sequence[Shape]) -> Shape:
    block = int(node.config["block_size"])
    channels = split_shape(node, shapes[0])[2]
    new = None if channels is None else channels // block**2
    return _spatial(node, shapes[0], lambda _, n: n * block, new)


def _space_to_depth(node: Node, shapes: Sequence[Shape]) -> Shape:
    block = int(node.config["block_size"])
    channels = split_shape(node, shapes[0])[2]
    new = None if channels is None else channels * block**2
    return _spatial(node, shapes[0], lambda _, n: n // block, new)


def borders(node: Node, key: str, rank: int) -> list[tuple[int, int]]:
    """How many samples a padding or cropping layer adds or takes, before and behind each axis."""
    value = node.config[key]
    if isinstance(value, int):
        return [(value, value)] * rank
    if rank == 1:
        return [(int(value[0]), int(value[1]))]
    return [(v, v) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in value]


def _padding(node: Node, shapes: Sequence[Shape]) -> Shape:
    widths = borders(node, "padding", len(shapes[0]) - 2)
    return _spatial(node, shapes[0], lambda axis, n: n + sum(widths[axis]))


def _cropping(node: Node, shapes: Sequence[Shape]) -> Shape:
    widths = borders(node, "cropping", len(shapes[0]) - 2)
    return _spatial(node, shapes[0], lambda axis, n: n - sum(widths[axis]))


def _pad_op(node: Node, shapes: Sequence[Shape]) -> Shape:
    widths = node.config["pad_width"]
    return tuple(
        None if n is None else n + int(w[0]) + int(w[1])
        for n, w in zip(shapes[0], widths, strict=True)
    )


def _broadcast(node: Node, shapes: Sequence[Shape]) -> Shape:
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(_broadcast_dims(dims) for dims in zip(*padded, strict=True))


def _broadcast_dims(dims: Sequence[Dim]) -> Dim:
    wide = [d for d in dims if d not in (1, None)]
    return wide[0] if wide else (None if None in dims else 1)


def _concatenate(node: Node, shapes: Sequence[Shape]) -> Shape:
    axis = int(node.config.get("axis", -1)) % len(shapes[0])
    joined = [shape[axis] for shape in shapes]
    total = None if None in joined else sum(d for d in joined if d is not None)
    rest = _agree(shapes)
    return tuple(total if a == axis else rest[a] for a in range(len(rest)))


def _agree(shapes: Sequence[Shape]) -> Shape:
    return tuple(
        next((d for d in dims if d is not None), None) for dims in zip(*shapes, strict=True)
    )


def _dense(node: Node, shapes: Sequence[Shape]) -> Shape:
    return (*shapes[0][:-1], int(node.config["units"]))


def _flatten(node: Node, shapes: Sequence[Shape]) -> Shape:
    rest = shapes[0][1:]
    return (shapes[0][0], None if None in rest else prod(d for d in rest if d is not None))


def _reshape(node: Node, shapes: Sequence[Shape]) -> Shape:
    target = tuple(int(d) for d in node.config["target_shape"])
    rest = shapes[0][1:]
    if -1 in target and None not in rest:
        total = prod(d for d in rest if d is not None)
        fill = total // prod(d for d in target if d != -1)
        return (shapes[0][0], *(fill if d == -1 else d for d in target))
    return (shapes[0][0], *(None if d == -1 else d for d in target))


def _permute(node: Node, shapes: Sequence[Shape]) -> Shape:
    return (shapes[0][0], *(shapes[0][axis] for axis in node.config["dims"]))


def _split_steps(_: Node, shapes: Sequence[Shape]) -> Shape:
    return (shapes[0][0], *shapes[0][2:])


def _join_steps(node: Node, shapes: Sequence[Shape]) -> Shape:
    return (shapes[0][0], node.config["steps"], *shapes[0][1:])


def _embedding(node: Node, shapes: Sequence[Shape]) -> Shape:
    return (*shapes[0], int(node.config["output_dim"]))


RULES: dict[str, Callable[[Node, Sequence[Shape]], Shape | None]] = {
    **{f"{k}Conv{r}D": _conv for k in ("", "Depthwise", "Separable") for r in (1, 2, 3)},
    **{f"Conv{r}DTranspose": _conv_transpose for r in (1, 2, 3)},
    **{f"{k}Pooling{r}D": _pool for k in ("Max", "Average") for r in (1, 2, 3)},
    **{f"Global{k}Pooling{r}D": _global_pool for k in ("Max", "Average") for r in (1, 2, 3)},
    **{f"UpSampling{r}D": _upsample for r in (1, 2, 3)},
    **{f"ZeroPadding{r}D": _padding for r in (1, 2, 3)},
    **{f"Cropping{r}D": _cropping for r in (1, 2, 3)},
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("Mean", "Max", "Sum", "Amax", "Min"), _reduce),
    **dict.fromkeys(("Resizing", "Resize"), _resize),
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide"), _broadcast
    ),
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Pad": _pad_op,
    "Concatenate": _concatenate,
    "Dense": _dense,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "Embedding": _embedding,
    SPLIT_STEPS: _split_steps,
    JOIN_STEPS: _join_steps,
    "Rescaling": lambda _, shapes: shapes[0],
}
"""By class; called with a call and the shapes that it reads."""
