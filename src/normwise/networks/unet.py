"""U-Net (Ronneberger et al., 2015) with `same` padding: two convolutions a level.

Sizes are kept from input to output. A convolution has a bias exactly where no normalization
cancels it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from normwise.errors import NetworkError
from normwise.graph.regions import BOTTLENECK, DECODER, ENCODER
from normwise.networks.placer import Placer, Taps
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.sizes import check_activation, check_choice, check_input, check_positive
from normwise.norms.plan import MERGE, NormPlan

DEFAULT_PLAN = "batch@pre-activation"
UPSAMPLING = ("transposed", "nearest", "bilinear")


def unet(
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: NormPlan | None = None,
    *,
    filters: int = 32,
    depth: int = 4,
    upsampling: str = "transposed",
    activation: str = "relu",
    input_statistics: Any = None,
) -> Any:
    """Builds a U-Net that ends in a linear 1x1 convolution.

    Args:
        input_shape: (height, width, channels); height and width divisible by 2**depth, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of the first level; each following level has twice as many.
        depth: Number of down-sampling steps (2x2 max pooling).
        upsampling: `"transposed"` (2x2 transposed convolution that halves the channels),
            `"nearest"` or `"bilinear"` interpolation; the latter needs a known height and width on
            TensorFlow.
        activation: Activation of the 3x3 convolutions.
        input_statistics: (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, height, width, channels) to
        (batch, height, width, outputs), float32.

    Raises:
        NetworkError: An option that can't be.
        PlanError: A plan that can't hold here.
    """
    check_positive("unet", outputs=outputs, filters=filters, depth=depth)
    check_input("unet", input_shape, 2**depth)
    check_activation("unet", "activation", activation)
    check_choice("unet", "upsampling", upsampling, UPSAMPLING)
    _check_bilinear(input_shape, upsampling)
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    placer = Placer(plan, MISSING_PLACES)
    inputs = keras.Input(tuple(input_shape), name="input")
    x = placer.input(inputs, input_statistics)
    widths = [filters * 2**level for level in range(depth + 1)]
    level = partial(_level, placer, activation)
    taps: list[Taps] = []
    for step, width in enumerate(widths[:-1], start=1):
        taps.append(level(x, f"encoder{step}", width, ENCODER, last=True))
        x = keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"encoder{step}_pool")(
            taps[-1].main
        )
    x = level(x, "bottleneck", widths[-1], BOTTLENECK).main
    for step in range(depth, 0, -1):
        name, width = f"decoder{step}", widths[step - 1]
        bias = placer.keeps_bias(DECODER, 2 * width, MERGE)
        x = _upsampled(x, name, width, upsampling, bias)
        skip = placer.skip(taps[step - 1].skip, f"encoder{step}", ENCODER)
        x = keras.layers.Concatenate(axis=-1, name=f"{name}_concat")([skip, x])
        x = placer.merged(x, f"{name}_concat", DECODER)
        x = level(x, name, width, DECODER).main
    x = keras.layers.Conv2D(outputs, 1, data_format="channels_last", name="head")(x)
    placer.finish()
    return keras.Model(inputs, x, name="unet")


def _check_bilinear(shape: Sequence[int | None], upsampling: str) -> None:
    import keras  # noqa: PLC0415

    if upsampling == "bilinear" and None in shape[:2] and keras.backend.backend() == "tensorflow":
        # UpSampling2D.call decides on the number of pixels, which is a tensor there.
        raise NetworkError(
            "unet: bilinear up-sampling of a free size can't run on TensorFlow. Give height and "
            "width, or use upsampling='nearest' or 'transposed'."
        )


def _level(
    placer: Placer,
    activation: str,
    x: Any,
    name: str,
    width: int,
    region: str,
    last: bool = False,
) -> Taps:
    import keras  # noqa: PLC0415

    conv = partial(
        keras.layers.Conv2D, width, 3, padding="same", kernel_initializer="he_normal",
        data_format="channels_last",
    )  # fmt: skip
    x = placer.activated(conv, x, f"{name}_conv1", region, activation).main
    return placer.activated(conv, x, f"{name}_conv2", region, activation, last=last)


def _upsampled(x: Any, name: str, width: int, how: str, bias: bool) -> Any:
    import keras  # noqa: PLC0415

    if how == "transposed":
        return keras.layers.Conv2DTranspose(
            width, 2, strides=2, use_bias=bias, data_format="channels_last", name=f"{name}_up"
        )(x)
    return keras.layers.UpSampling2D(
        2, interpolation=how, data_format="channels_last", name=f"{name}_up"
    )(x)
