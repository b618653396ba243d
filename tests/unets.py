"""Networks that go down and up in every way there is; each takes any size."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from tests.zoo import conv, image

Step = Callable[[], Callable[[Any], Any]]
"""Makes a layer, or a function of a tensor; called once for each level."""


def unet(
    down: Step = layers.MaxPooling2D,
    up: Step = layers.UpSampling2D,
    join: Step = layers.Concatenate,
    bridge: Step = layers.Identity,
    levels: int = 2,
) -> Any:
    """A U-Net of constant width; its convolutions are `enc0`, ..., `mid`, ..., `dec0`, `head`."""
    inputs, taps = image(4, None, name="input"), []
    x = inputs
    for level in range(levels):
        taps.append(conv(4, activation="relu", name=f"enc{level}")(x))
        x = down()(taps[-1])
    x = conv(4, activation="relu", name="mid")(x)
    for level in reversed(range(levels)):
        skip = taps[level] if bridge is layers.Identity else bridge()(taps[level])
        x = join()([up()(x), skip])
        x = conv(4, activation="relu", name=f"dec{level}")(x)
    return keras.Model(inputs, conv(1, 1, name="head")(x), name="hand_made")


def continued(mode: str, smoothed: int = 0) -> Any:
    """An image that is moved down by 10 pixels; what comes in at the top reads 5 pixels further."""
    inputs = image(2, None, name="input")
    x = ops.pad(inputs, ((0, 0), (0, 5), (0, 0), (0, 0)))
    x = layers.Conv2D(2, (6, 1), name="ahead")(x)
    x = ops.pad(x, ((0, 0), (10, 0), (0, 0), (0, 0)), mode=mode)
    x = layers.Cropping2D(((0, 10), (0, 0)))(x)
    if smoothed:
        x = layers.AveragePooling2D((smoothed, 1), strides=1, padding="same")(x)
    return keras.Model(inputs, x)


def pooled() -> Any:
    return unet()


def strided() -> Any:
    return unet(down=lambda: conv(4, strides=2))


def averaged() -> Any:
    return unet(down=lambda: layers.AveragePooling2D(2))


def rearranged() -> Any:
    return unet(
        down=lambda: lambda x: conv(4, 1)(ops.space_to_depth(x, 2)),
        up=lambda: lambda x: ops.depth_to_space(conv(16, 1)(x), 2),
    )


def bilinear() -> Any:
    return unet(up=lambda: layers.UpSampling2D(interpolation="bilinear"))


def transposed() -> Any:
    return unet(up=lambda: layers.Conv2DTranspose(4, 2, strides=2))


def by_three() -> Any:
    return unet(down=lambda: layers.MaxPooling2D(3), up=lambda: layers.UpSampling2D(3))


def added() -> Any:
    return unet(join=layers.Add)


def plus() -> Any:
    return unet(join=lambda: lambda parts: parts[0] + parts[1])


def bridged() -> Any:
    """A 1x1 convolution on each skip."""
    return unet(bridge=lambda: conv(2, 1))


def cropped() -> Any:
    """The skips lose a border and get it back."""
    return unet(bridge=lambda: lambda x: layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x)))


def deep() -> Any:
    return unet(levels=4)


def two_inputs() -> Any:
    first, second = image(4, None, name="input"), image(2, None, name="second")
    a = conv(4, activation="relu", name="enc_a")(first)
    b = conv(4, activation="relu", name="enc_b")(second)
    x = layers.MaxPooling2D()(layers.Add(name="early")([a, b]))
    x = layers.UpSampling2D()(conv(4, activation="relu", name="mid")(x))
    x = layers.Concatenate(name="join")([x, a])
    return keras.Model([first, second], conv(1, name="head")(x), name="two_inputs")


def stacked() -> Any:
    """Two hourglasses, one after the other."""
    inputs = image(4, None, name="input")
    x = conv(4, activation="relu", name="stem")(inputs)
    for glass in range(2):
        top = x
        x = layers.MaxPooling2D(name=f"down{glass}")(x)
        x = conv(4, activation="relu", name=f"mid{glass}")(x)
        x = layers.UpSampling2D(name=f"up{glass}")(x)
        x = conv(4, activation="relu", name=f"dec{glass}")(
            layers.Add(name=f"join{glass}")([x, top])
        )
    return keras.Model(inputs, conv(1, name="head")(x), name="stacked")


def flat() -> Any:
    inputs = image(4, None, name="input")
    x = conv(4, activation="relu", name="a")(inputs)
    x = layers.Add(name="join")([x, conv(4, activation="relu", name="b")(x)])
    return keras.Model(inputs, conv(1, name="head")(x), name="flat")


def super_resolution() -> Any:
    """Only up: the output is twice the input's size."""
    inputs = image(4, None, name="input")
    x = conv(4, activation="relu", name="a")(inputs)
    x = conv(4, activation="relu", name="b")(layers.UpSampling2D(name="up")(x))
    return keras.Model(inputs, conv(1, name="head")(x), name="super_resolution")


def residual_unet() -> Any:
    """Residual blocks inside the levels: adds that are no skips."""
    inputs = image(4, None, name="input")
    x = conv(4, activation="relu", name="enc")(inputs)
    tap = layers.Add(name="within_enc")([x, conv(4, name="enc2")(x)])
    x = layers.MaxPooling2D()(tap)
    x = layers.Add(name="within_mid")([x, conv(4, activation="relu", name="mid")(x)])
    x = layers.Concatenate(name="join")([layers.UpSampling2D()(x), tap])
    x = conv(4, activation="relu", name="dec")(x)
    x = layers.Add(name="within_dec")([x, conv(4, activation="relu", name="dec2")(x)])
    return keras.Model(inputs, conv(1, name="head")(x), name="residual_unet")


SAME_SIZE: dict[str, tuple[Callable[[], Any], int]] = {
    "pooled": (pooled, 4),
    "strided": (strided, 4),
    "averaged": (averaged, 4),
    "rearranged": (rearranged, 4),
    "bilinear": (bilinear, 4),
    "transposed": (transposed, 4),
    "by_three": (by_three, 9),
    "added": (added, 4),
    "plus": (plus, 4),
    "bridged": (bridged, 4),
    "cropped": (cropped, 4),
    "deep": (deep, 16),
    "two_inputs": (two_inputs, 2),
    "stacked": (stacked, 2),
    "flat": (flat, 1),
    "residual_unet": (residual_unet, 2),
}
"""Networks whose output has the input's size, and their total strides."""
