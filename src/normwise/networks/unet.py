"""U-Net (Ronneberger et al., 2015; Çiçek et al., 2016 for volumes) with `same` padding.

Two convolutions a level; sizes are kept from input to output. A convolution has a bias exactly
where no normalization cancels it.
"""

from collections.abc import Sequence
from typing import Any

from normwise.graph.regions import BOTTLENECK, ENCODER
from normwise.networks.blocks import Style, decoder, level
from normwise.networks.family import Options, begin
from normwise.networks.placer import Taps
from normwise.networks.reasons import MISSING_PLACES
from normwise.norms.plan import NormPlan

DEFAULT_PLAN = "batch@pre-activation"


def unet(  # noqa: PLR0913 - the public interface
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
    """Builds a U-Net that ends in a linear 1x1 convolution.

    Args:
        input_shape: (height, width, channels) or (slices, height, width, channels); sizes
            divisible by 2**depth, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of the first level, each following level having twice as many; or the
            channels of each level, depth + 1 numbers.
        depth: Number of down-sampling steps (max pooling by 2).
        upsampling: `"transposed"` (2x2 transposed convolution to the level's channels),
            `"nearest"` or `"bilinear"` interpolation; the latter for images alone, and with a
            known height and width on TensorFlow.
        activation: Activation of the 3x3 convolutions.
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
    options = Options("unet", filters, depth, upsampling, activation, deep_supervision)
    widths = options.widths(input_shape, outputs)
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    style = options.style(input_shape, plan, MISSING_PLACES)
    inputs, x = begin(style, input_shape, input_statistics)
    taps, x = encoder(style, x, widths)
    levels = decoder(style, x, [tap.skip for tap in taps], widths)
    return options.model(style, inputs, levels, outputs)


def encoder(style: Style, x: Any, widths: Sequence[int]) -> tuple[list[Taps], Any]:
    """The way down: two convolutions a level and max pooling.

    Returns:
        What each level hands on, the finest first, and the bottleneck's tensor.
    """
    taps: list[Taps] = []
    for step, width in enumerate(widths[:-1], start=1):
        taps.append(level(style, x, f"encoder{step}", width, ENCODER, last=True))
        x = style.space.max_pool(taps[-1].main, f"encoder{step}_pool")
    return taps, level(style, x, "bottleneck", widths[-1], BOTTLENECK).main
