"""Attention U-Net (Oktay et al., 2018): a gate on every skip says where it is looked at.

A gate sees the skip and the up-sampled tensor through 1x1 convolutions, adds them, and makes one
number between 0 and 1 for each pixel, with which the skip is multiplied. It works at the skip's
resolution. A convolution has a bias exactly where no normalization cancels it; the gate's mask is
never normalized.
"""

from collections.abc import Sequence
from typing import Any

from normwise.graph.regions import DECODER, ENCODER
from normwise.networks.blocks import Style, concatenated, level
from normwise.networks.family import Options, begin
from normwise.networks.placer import Placer
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.unet import encoder
from normwise.norms.plan import MERGE, NormPlan

DEFAULT_PLAN = "batch@pre-activation"


def attention(  # noqa: PLR0913 - the public interface
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: NormPlan | None = None,
    *,
    filters: int | Sequence[int] = 32,
    depth: int = 4,
    upsampling: str = "transposed",
    activation: str = "relu",
    deep_supervision: bool = False,
    input_statistics: Any = None,
) -> Any:
    """Builds a U-Net with gated skips that ends in a linear 1x1 convolution.

    Args:
        input_shape: (height, width, channels) or (slices, height, width, channels); sizes
            divisible by 2**depth, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of the first level, each following level having twice as many; or the
            channels of each level, depth + 1 numbers. A gate has half its level's.
        depth: Number of down-sampling steps (max pooling by 2).
        upsampling: As for `unet`.
        activation: Activation of all hidden layers.
        deep_supervision: Whether every level of the decoder has a head: the outputs are then a
            list, the full resolution first.
        input_statistics: (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, *sizes, channels) to (batch, *sizes, outputs),
        float32.

    Raises:
        NetworkError: An option that can't be.
        PlanError: A plan that can't hold here.
    """
    options = Options("attention", filters, depth, upsampling, activation, deep_supervision)
    widths = options.widths(input_shape, outputs)
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    style = options.style(input_shape, plan, MISSING_PLACES)
    inputs, x = begin(style, input_shape, input_statistics)
    taps, x = encoder(style, x, widths)
    levels = []
    for step in range(depth, 0, -1):
        x = _up(style, x, taps[step - 1].skip, step, widths[step - 1])
        levels.append(x)
    return options.model(style, inputs, levels[::-1], outputs)


def _up(style: Style, x: Any, skip: Any, step: int, width: int) -> Any:
    name, placer = f"decoder{step}", style.placer
    skip = placer.skip(skip, f"encoder{step}", ENCODER)
    bias = _sees_bias(placer, width, skip.shape[-1])
    x = style.space.upsampled(x, width, style.upsampling, bias, f"{name}_up")
    x = concatenated(style, [gated(style, skip, x, f"{name}_gate"), x], name)
    return level(style, x, name, width, DECODER).main


def _sees_bias(placer: Placer, width: int, skip: int) -> bool:
    """Whether a bias of the up-sampled tensor has an effect, in the concatenation or the gate."""
    joined = placer.keeps_bias(DECODER, width + skip, MERGE)
    return joined or not placer.cancels_bias(gate_width(skip), DECODER, DECODER)


def gate_width(skip: int) -> int:
    """Channels inside the gate of a skip of so many channels."""
    return max(1, skip // 2)


def gated(style: Style, skip: Any, x: Any, name: str) -> Any:
    """The skip, multiplied with a mask that it and the decoder's tensor make together."""
    import keras  # noqa: PLC0415

    placer, width = style.placer, gate_width(skip.shape[-1])
    seen = [
        # What stands on the skip's branch alone is still the encoder's.
        placer.linear(style.space.conv(width, 1), skip, f"{name}_skip", ENCODER, DECODER),
        placer.linear(style.space.conv(width, 1), x, f"{name}_up", DECODER, DECODER),
    ]
    both = placer.added(seen, name, DECODER, style.activation).main
    mask = style.space.layer("Conv", 1, 1, activation="sigmoid", name=f"{name}_mask")(both)
    return keras.layers.Multiply(name=f"{name}_multiply")([skip, mask])
