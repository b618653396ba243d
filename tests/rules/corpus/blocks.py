"""Blocks that many public models are made of."""

from typing import Any

from normwise.graph.graph import Tensor
from normwise.rules.sketches import Sketch

FIRST: dict[str, Any] = {"data_format": "channels_first"}
_WINDOW = {"strides": 1, "dilation_rate": 1, "data_format": "channels_last"}


def conv_norm_relu(
    net: Sketch, x: Tensor, filters: int, size: int = 3, act: str = "relu", **config: Any
) -> Tensor:
    """Convolution, batch norm, activation."""
    x = net.norm(net.conv(filters, x, size=size, **config))
    return x if not act else net.add("Activation", x, activation=act)


def conv1d(net: Sketch, x: Tensor, filters: int, size: int, **config: Any) -> Tensor:
    """A convolution over time that keeps the length."""
    return net.add("Conv1D", x, filters=filters, kernel_size=(size,), padding="same", **config)


def conv3d(net: Sketch, x: Tensor, filters: int, **config: Any) -> Tensor:
    """A 3x3x3 convolution without padding."""
    bias = {"use_bias": True, "padding": "valid"}
    return net.add("Conv3D", x, filters=filters, kernel_size=(3, 3, 3), **_WINDOW, **bias, **config)


def pool(net: Sketch, x: Tensor, *size: int, **config: Any) -> Tensor:
    """Max-pooling; 2x2 where no size is given."""
    window = size or (2, 2)
    kind = f"MaxPooling{len(window)}D"
    return net.add(
        kind,
        x,
        **{"data_format": "channels_last", "pool_size": window, "strides": window, **config},
    )


def up_conv(net: Sketch, x: Tensor, filters: int, size: int = 2, **config: Any) -> Tensor:
    """A transposed convolution that doubles the size."""
    shape = {"kernel_size": (size, size), "strides": (2, 2), "padding": "same"}
    return net.add("Conv2DTranspose", x, filters=filters, **{**shape, **config})


def separable(net: Sketch, x: Tensor, filters: int, size: Any = 3, **config: Any) -> Tensor:
    """A separable convolution that keeps the size."""
    window = (size, size) if isinstance(size, int) else size
    shape = {"kernel_size": window, "padding": "same", "depth_multiplier": 1, **_WINDOW}
    return net.add(
        "SeparableConv2D", x, filters=filters, activation="linear", **{**shape, **config}
    )


def depthwise(net: Sketch, x: Tensor, size: Any = 3, **config: Any) -> Tensor:
    """A depthwise convolution that keeps the size."""
    window = (size, size) if isinstance(size, int) else size
    return net.add("DepthwiseConv2D", x, **{"kernel_size": window, "padding": "same", **config})


def prelu(net: Sketch, x: Tensor) -> Tensor:
    """A PReLU that positions share."""
    return net.add("PReLU", x, shared_axes=(1, 2))


def leaky(net: Sketch, x: Tensor) -> Tensor:
    """A leaky relu."""
    return net.add("LeakyReLU", x, negative_slope=0.2)


def softmax(net: Sketch, x: Tensor) -> Tensor:
    """The activation of a prediction of classes."""
    return net.add("Activation", x, activation="softmax")
