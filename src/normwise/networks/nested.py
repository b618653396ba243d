"""U-Net++ (Zhou et al., 2018): U-Nets of every depth, nested, with dense skips between them.

Each level has a row of nodes of two convolutions. A node reads all earlier nodes of its row and
the up-sampled node before it in the row below. A convolution has a bias exactly where no
normalization cancels it.
"""

from collections.abc import Sequence
from typing import Any

from normwise.graph.regions import DECODER, ENCODER
from normwise.networks.blocks import Style, joined, level
from normwise.networks.family import Options, begin
from normwise.networks.placer import Taps
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.unet import encoder
from normwise.norms.plan import NormPlan

DEFAULT_PLAN = "batch@pre-activation"


def nested(  # noqa: PLR0913 - the public interface
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
    """Builds a U-Net++ that ends in a linear 1x1 convolution.

    Args:
        input_shape: (height, width, channels) or (slices, height, width, channels); sizes
            divisible by 2**depth, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of the first level, each following level having twice as many; or the
            channels of each level, depth + 1 numbers.
        depth: Number of down-sampling steps (max pooling by 2).
        upsampling: As for `unet`.
        activation: Activation of the 3x3 convolutions.
        deep_supervision: Whether every nested U-Net has a head: the outputs are then a list, all
            of full resolution, the deepest U-Net's first.
        input_statistics: (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, *sizes, channels) to (batch, *sizes, outputs),
        float32.

    Raises:
        NetworkError: An option that can't be.
        PlanError: A plan that can't hold here.
    """
    options = Options("nested", filters, depth, upsampling, activation, deep_supervision)
    widths = options.widths(input_shape, outputs)
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    style = options.style(input_shape, plan, MISSING_PLACES)
    inputs, x = begin(style, input_shape, input_statistics)
    taps, x = encoder(style, x, widths)
    full = _full_resolution(style, taps, x, widths)
    return options.model(style, inputs, full[::-1], outputs)


def _full_resolution(
    style: Style, taps: Sequence[Taps], bottleneck: Any, widths: Sequence[int]
) -> list[Any]:
    """The first level's nodes behind the encoder, that of the shallowest U-Net first."""
    rows = [
        [style.placer.skip(tap.skip, f"encoder{step}", ENCODER)]
        for step, tap in enumerate(taps, start=1)
    ]
    before = [*(tap.main for tap in taps), bottleneck]
    for column in range(1, len(taps) + 1):
        made = []
        for step, row in enumerate(rows[: len(taps) + 1 - column]):
            name, width = f"decoder{step + 1}_{column}", widths[step]
            x = joined(style, before[step + 1], name, width, row)
            made.append(level(style, x, name, width, DECODER).main)
        for row, x in zip(rows, made, strict=False):
            row.append(x)
        before = made
    return rows[0][1:]
