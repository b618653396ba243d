"""U-Net with an encoder of residual blocks, as in nnU-Net's residual-encoder presets.

The encoder is a stem and levels of basic blocks (He et al., 2016): convolution, activation,
convolution, add, activation. A block that changes the resolution does so by strides, its shortcut
by average pooling, and one that changes the channels has a 1x1 convolution on its shortcut (He et
al., 2019). The decoder has one convolution a level (Isensee et al., 2024). A convolution has a
bias exactly where no normalization cancels it; the norm before an activation stands before the
add.
"""

from collections.abc import Sequence
from typing import Any

from normwise.graph.regions import BOTTLENECK, ENCODER
from normwise.networks.blocks import Style, decoder, level
from normwise.networks.family import Options, begin
from normwise.networks.placer import Taps
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.sizes import per_level
from normwise.norms.plan import MERGE, NormPlan

DEFAULT_PLAN = "batch@pre-activation"
BLOCKS = (1, 3, 4, 6)
"""Residual blocks of the first levels in nnU-Net's presets; each further level has the last."""

REASONS = {k: v for k, v in MISSING_PLACES.items() if not k.endswith(MERGE)}


def residual(  # noqa: PLR0913 - the public interface
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: NormPlan | None = None,
    *,
    filters: int | Sequence[int] = 32,
    depth: int = 4,
    blocks: int | Sequence[int] | None = None,
    upsampling: str = "transposed",
    activation: str = "relu",
    deep_supervision: bool = False,
    input_statistics: Any = None,
) -> Any:
    """Builds a U-Net with residual blocks that ends in a linear 1x1 convolution.

    Args:
        input_shape: (height, width, channels) or (slices, height, width, channels); sizes
            divisible by 2**depth, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of the first level, each following level having twice as many; or the
            channels of each level, depth + 1 numbers.
        depth: Number of down-sampling steps (strides of 2).
        blocks: Residual blocks of every level, or of each level, depth + 1 numbers; None for
            those of nnU-Net's presets: 1, 3, 4, and 6 in each further level.
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
    options = Options("residual", filters, depth, upsampling, activation, deep_supervision)
    widths = options.widths(input_shape, outputs)
    usual = [BLOCKS[min(step, len(BLOCKS) - 1)] for step in range(depth + 1)]
    counts = per_level("residual", "blocks", usual if blocks is None else blocks, depth + 1)
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    style = options.style(input_shape, plan, REASONS)
    inputs, x = begin(style, input_shape, input_statistics)
    taps, x = _encoder(style, x, widths, counts)
    levels = decoder(style, x, [tap.skip for tap in taps], widths, count=1)
    return options.model(style, inputs, levels, outputs)


def _encoder(
    style: Style, x: Any, widths: Sequence[int], counts: Sequence[int]
) -> tuple[list[Taps], Any]:
    taps = [level(style, x, "stem", widths[0], ENCODER, count=1)]
    for step, (width, count) in enumerate(zip(widths, counts, strict=True)):
        coarsest = step == len(widths) - 1
        name = "bottleneck" if coarsest else f"encoder{step + 1}"
        region = BOTTLENECK if coarsest else ENCODER
        tap = taps[-1]
        for number in range(1, count + 1):
            strides = 2 if step and number == 1 else 1
            last = number == count and not coarsest
            tap = block(style, tap.main, f"{name}_{number}", width, region, strides, last)
        taps.append(tap)
    return taps[1:-1], taps[-1].main


def block(
    style: Style, x: Any, name: str, width: int, region: str, strides: int = 1, last: bool = False
) -> Taps:
    """A residual block: `{name}_conv1`, `{name}_conv2` and, to other channels, `{name}_project`.

    Args:
        style: Of the network.
        x: What it reads.
        name: Of the block.
        width: Channels of its convolutions.
        region: Where it stands.
        strides: 2 for half the resolution.
        last: Whether the result is the last tensor of its resolution on the way down.
    """
    placer, conv = style.placer, style.space.conv
    first = placer.activated(
        conv(width, strides=strides), x, f"{name}_conv1", region, style.activation
    )
    second = placer.linear(conv(width), first.main, f"{name}_conv2", region, region)
    if strides > 1:
        x = style.space.average_pool(x, f"{name}_pool")
    if x.shape[-1] != width:
        x = placer.linear(conv(width, 1), x, f"{name}_project", region, region)
    return placer.added([second, x], name, region, style.activation, last)
