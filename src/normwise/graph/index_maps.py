"""Which samples of its input each sample of a layer's output reads, along one axis.

Convolutions, pooling, up-sampling, padding and cropping all read an interval that moves evenly
over the input. A size is followed as `scale * pixels + excess`: padding that depends on a size
modulo the stride (`same`) is then fixed, as long as the image's size is a multiple of the
network's total stride.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from normwise.graph.channels import channel_axis
from normwise.graph.graph import Graph, Node
from normwise.graph.layer_shapes import borders, pair, split_shape


@dataclass(frozen=True)
class IndexMap:
    """Output sample j reads the whole numbers from `j * step + low` to `j * step + high`.

    Attributes:
        step: Input samples for each output sample: 2 for strides of 2, 1/2 for up-sampling by 2.
        low: Where the interval of output sample 0 begins.
        high: Where it ends, itself included.
        excess: Of the output's size, `scale * pixels + excess`.
        edges: How many input samples at each end stand for those beyond it, too: 0 where nothing
            or a constant does.
    """

    step: Fraction
    low: Fraction
    high: Fraction
    excess: int
    edges: tuple[int, int] = (0, 0)

    def first(self, first: int) -> int:
        """The first output sample from which on nothing before input sample `first` is read."""
        return max(0, floor((first - 1 - self.low) / self.step) + 1)

    def end(self, end: int) -> int:
        """The end (exclusive) of the output samples that read nothing from input `end` on.

        Both ends are counted from `scale * pixels`, a whole period of the layer.
        """
        return min(ceil((end - self.high) / self.step), self.excess)


class UnmappedError(Exception):
    """A layer whose samples can't be told from its configuration; the message says why."""


@dataclass(frozen=True)
class Call:
    """A call along one axis.

    Attributes:
        graph: The graph, nested models opened.
        index: Of the call.
        axis: The spatial axis, from 0.
        rank: Number of spatial axes.
        excess: Of the size that it reads.
    """

    graph: Graph
    index: int
    axis: int
    rank: int
    excess: int

    @property
    def node(self) -> Node:
        """The call's node."""
        return self.graph.nodes[self.index]

    @property
    def channels(self) -> int:
        """The axis of the channels among those of the tensor that it reads."""
        return channel_axis(self.graph, self.index) % (self.rank + 2)

    @property
    def place(self) -> int:
        """The axis among those of the tensor that it reads."""
        return [a for a in range(1, self.rank + 2) if a != self.channels][self.axis]

    def setting(self, key: str, default: Any = None) -> int:
        """A whole number of the configuration for this axis."""
        value = self.node.config.get(key)
        return pair(default if value is None else value, self.rank)[self.axis]

    def sizes(self) -> tuple[int | None, int | None]:
        """Its size along the axis before and after, None where free."""
        before = self.graph.spec(self.node.inputs[0]).shape
        after = self.node.shape
        if before is None or after is None:
            return None, None
        return tuple(split_shape(self.node, s)[1][self.axis] for s in (before, after))  # type: ignore[return-value]


def index_map(call: Call) -> IndexMap | None:
    """What a call reads; None for one that isn't in the table.

    Raises:
        UnmappedError: It is in the table, but not with such a configuration.
    """
    rule = _RULES.get(call.node.class_name)
    if rule is None:
        return None
    try:
        made = rule(call)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise UnmappedError("its configuration can't be read") from error
    if made.step <= 0 or made.low > made.high + 1:
        raise UnmappedError("its configuration is none of such a layer")
    return made


def _window(call: Call, window: int, stride: int) -> IndexMap:
    """A window that moves by whole strides: convolutions and pooling."""
    n, padding = call.excess, str(call.node.config.get("padding", "valid"))
    if padding == "valid":
        before, excess = 0, (n - window) // stride + 1
    else:
        excess = ceil(Fraction(n, stride))
        total = max((excess - 1) * stride + window - n, 0)
        before = window - 1 if padding == "causal" else total // 2
    return _even(stride, -before, window - 1 - before, excess)


def _even(step: int, low: int, high: int, excess: int) -> IndexMap:
    return IndexMap(Fraction(step), Fraction(low), Fraction(high), excess)


def _conv(call: Call) -> IndexMap:
    window = (call.setting("kernel_size") - 1) * call.setting("dilation_rate", 1) + 1
    return _window(call, window, call.setting("strides", 1))


def _pool(call: Call) -> IndexMap:
    window = call.setting("pool_size")
    return _window(call, window, call.setting("strides", window))


def _transposed(call: Call) -> IndexMap:
    """Output j is made of the inputs i with j = i * stride + tap - before."""
    config, n, stride = call.node.config, call.excess, call.setting("strides", 1)
    window = (call.setting("kernel_size") - 1) * call.setting("dilation_rate", 1) + 1
    told = config.get("output_padding") is not None
    if config.get("padding") == "same":
        extra = call.setting("output_padding") if told else stride - window % 2
        before = max((window - window % 2 - extra) // 2, 0)
        excess = (n - 1) * stride + window % 2 + extra
    else:
        extra = call.setting("output_padding") if told else max(stride - window, 0)
        before, excess = 0, (n - 1) * stride + window + extra
    low, high = Fraction(before - window + 1, stride), Fraction(before, stride)
    return IndexMap(Fraction(1, stride), low, high, excess)


def _repeated(call: Call, factor: int) -> IndexMap:
    step = Fraction(1, factor)
    return IndexMap(step, step - 1, Fraction(0), call.excess * factor)


_RADII: Mapping[str, int] = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}
"""How far interpolation looks, in samples, on each side; what is as far away has no weight."""


def _interpolated(call: Call, factor: Fraction, how: str, wide: bool = False) -> IndexMap:
    """Output j stands at (j + 1/2) / factor - 1/2."""
    step, grain = 1 / factor, Fraction(1, 2 * factor.numerator)
    excess = call.excess * factor
    if excess.denominator != 1:
        raise UnmappedError(f"it resizes by {factor}, which doesn't come out even here")
    if how == "nearest":
        return IndexMap(step, step / 2 - 1 + grain, step / 2, int(excess))
    if how not in _RADII:
        raise UnmappedError(f"it interpolates in an unknown way ({how})")
    radius = _RADII[how] * (max(Fraction(1), step) if wide else 1)
    place = step / 2 - Fraction(1, 2)
    return IndexMap(step, place - radius + grain, place + radius - grain, int(excess))


def _upsampled(call: Call) -> IndexMap:
    factor, how = call.setting("size"), call.node.config.get("interpolation", "nearest")
    if how == "nearest":
        return _repeated(call, factor)
    return _interpolated(call, Fraction(factor), str(how))


def _resized(call: Call) -> IndexMap:
    config, (before, after) = call.node.config, call.sizes()
    if config.get("crop_to_aspect_ratio") or config.get("pad_to_aspect_ratio"):
        raise UnmappedError("it resizes to a fixed size, keeping the aspect ratio")
    if not before or not after:
        raise UnmappedError("it resizes whatever it gets to a fixed size")
    how, wide = str(config.get("interpolation", "bilinear")), bool(config.get("antialias"))
    return _interpolated(call, Fraction(after, before), how, wide)


def _depth_to_space(call: Call) -> IndexMap:
    return _repeated(call, int(call.node.config["block_size"]))


def _space_to_depth(call: Call) -> IndexMap:
    block = int(call.node.config["block_size"])
    return _even(block, 0, block - 1, call.excess // block)


def _shifted(call: Call, before: int, after: int) -> IndexMap:
    """So many samples are put before and behind; negative numbers cut them off."""
    return _even(1, -before, -before, call.excess + before + after)


def _padding(call: Call) -> IndexMap:
    return _shifted(call, *borders(call.node, "padding", call.rank)[call.axis])


def _cropping(call: Call) -> IndexMap:
    before, after = borders(call.node, "cropping", call.rank)[call.axis]
    return _shifted(call, -before, -after)


_MIRRORS: Mapping[str, Callable[[int], int]] = {
    "constant": lambda width: 0,
    "edge": lambda width: 1,
    "symmetric": lambda width: width,
    "reflect": lambda width: width + 1,
}
"""Ways of padding that look at an image's edge alone: at how many of its samples, by the width."""


def _pad(call: Call) -> IndexMap:
    widths = [tuple(int(w) for w in part) for part in call.node.config["pad_width"]]
    widths = widths * (call.rank + 2) if len(widths) == 1 else widths
    if len(widths) != call.rank + 2 or any(widths[0]) or any(widths[call.channels]):
        raise UnmappedError("it pads other axes than those over space")
    mode = str(call.node.config.get("mode", "constant")).lower()
    if mode not in _MIRRORS:
        raise UnmappedError(f"it pads with more than an image's edge ({mode})")
    before, after = (widths[call.place] * 2)[:2]
    edges = tuple(_MIRRORS[mode](width) if width else 0 for width in (before, after))
    return replace(_shifted(call, before, after), edges=(edges[0], edges[1]))


def _sliced(call: Call) -> IndexMap:
    """`x[:, 2:-2, ::2]`, counted from the borders."""
    parts = _key(call)
    if any(parts[0].values()):
        raise UnmappedError("it picks images of the batch")
    part = parts[call.place]
    start, stop, step = (part.get(key) for key in ("start", "stop", "step"))
    start, stop, step = start or 0, stop or 0, step or 1
    if start < 0 or stop > 0 or step < 1:
        raise UnmappedError("it cuts out a part of a fixed place or size")
    return _even(step, start, start, ceil(Fraction(call.excess - start + stop, step)))


_WHOLE: Mapping[str, Any] = {}


def _key(call: Call) -> Sequence[Mapping[str, Any]]:
    """Start, stop and step of every axis."""
    node, length = call.node, call.rank + 2
    key = node.args[1] if len(node.args) > 1 else node.kwargs["key"]
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if _is(part, "__ellipsis__")]
    place = dots[0] if dots else len(parts)
    rest = parts[place + 1 :]
    middle = [{"class_name": "__slice__", "config": _WHOLE}] * (length - place - len(rest))
    slices = [*parts[:place], *middle, *rest]
    if len(slices) != length or not all(_is(part, "__slice__") for part in slices):
        raise UnmappedError("it picks single samples or adds an axis")
    return [part["config"] for part in slices]


def _is(part: Any, class_name: str) -> bool:
    return isinstance(part, Mapping) and part.get("class_name") == class_name


_RULES: Mapping[str, Callable[[Call], IndexMap]] = {
    **{f"{k}Conv{r}D": _conv for k in ("", "Depthwise", "Separable") for r in (1, 2, 3)},
    **{f"Conv{r}DTranspose": _transposed for r in (1, 2, 3)},
    **{f"{k}Pooling{r}D": _pool for k in ("Max", "Average") for r in (1, 2, 3)},
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **{f"UpSampling{r}D": _upsampled for r in (1, 2, 3)},
    **dict.fromkeys(("Resizing", "Resize"), _resized),
    **{f"ZeroPadding{r}D": _padding for r in (1, 2, 3)},
    **{f"Cropping{r}D": _cropping for r in (1, 2, 3)},
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Pad": _pad,
    "GetItem": _sliced,
}
"""Layers and raw ops that read neighbours or change the resolution."""
