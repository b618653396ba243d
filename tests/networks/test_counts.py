"""Parameters of the networks against formulas written here and against published counts.

Trainable parameters under `batch@pre-activation`: a hidden convolution has no bias, and its
normalization gamma and beta.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from normwise.networks import build
from tests.weightless import weightless

Widths = Sequence[int]


def conv(rank: int, kernel: int, read: int, made: int, extra: int = 0) -> int:
    """Kernel, and `extra` numbers a channel: 1 for a bias, 2 for gamma and beta."""
    return kernel**rank * read * made + extra * made


def two(rank: int, read: int, made: int, extra: int) -> int:
    return conv(rank, 3, read, made, extra) + conv(rank, 3, made, made, extra)


def down(rank: int, channels: int, widths: Widths, extra: int) -> int:
    pairs = zip([channels, *widths], widths, strict=False)
    return sum(two(rank, read, made, extra) for read, made in pairs)


def unet(rank: int, channels: int, widths: Widths, outputs: int, extra: int = 2) -> int:
    total = down(rank, channels, widths, extra)
    for fine, coarse in pairwise(widths):
        total += conv(rank, 2, coarse, fine, 1) + two(rank, 2 * fine, fine, extra)
    return total + conv(rank, 1, widths[0], outputs, 1)


def attention(rank: int, channels: int, widths: Widths, outputs: int, extra: int = 2) -> int:
    """A U-Net, and on each skip two 1x1 convolutions to half its channels, and one to a mask."""
    gates = sum(2 * conv(rank, 1, w, w // 2, extra) + w // 2 + 1 for w in widths[:-1])
    return unet(rank, channels, widths, outputs, extra) + gates


def nested(rank: int, channels: int, widths: Widths, outputs: int, extra: int = 2) -> int:
    total = down(rank, channels, widths, extra)
    for level, (fine, coarse) in enumerate(pairwise(widths)):
        for column in range(1, len(widths) - level):
            total += conv(rank, 2, coarse, fine, 1) + two(rank, (column + 1) * fine, fine, extra)
    return total + conv(rank, 1, widths[0], outputs, 1)


def residual(
    rank: int, channels: int, widths: Widths, outputs: int, blocks: Widths, extra: int = 2
) -> int:
    total, read = conv(rank, 3, channels, widths[0], extra), widths[0]
    for width, count in zip(widths, blocks, strict=True):
        for _ in range(count):
            total += two(rank, read, width, extra)
            if read != width:
                total += conv(rank, 1, read, width, extra)
            read = width
    for fine, coarse in pairwise(widths):
        total += conv(rank, 2, coarse, fine, 1) + conv(rank, 3, 2 * fine, fine, extra)
    return total + conv(rank, 1, widths[0], outputs, 1)


FORMULAS: dict[str, Callable[..., int]] = {
    "unet": unet,
    "attention": attention,
    "nested": nested,
    "residual": residual,
}
SHAPES = {2: (None, None, 5), 3: (None, None, None, 5)}


def trainable(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@weightless()
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("network", sorted(FORMULAS))
@pytest.mark.parametrize(("norm", "extra"), [("batch@pre-activation", 2), ("none", 1)])
def test_counts_are_those_of_the_formula(network: str, rank: int, norm: str, extra: int) -> None:
    options: dict[str, Any] = {"blocks": [1, 2, 2]} if network == "residual" else {}
    for widths in ([4, 8, 16], [4, 6, 6]):
        model = build(network, SHAPES[rank], 3, norm=norm, filters=widths, depth=2, **options)
        expected = FORMULAS[network](rank, 5, widths, 3, extra=extra, **options)
        assert trainable(model) == expected
        counted = total_parameters(read_graph(model))
        assert counted is not None and counted.trainable == expected


def test_the_formulas_give_what_is_published() -> None:
    usual = [32, 64, 128, 256, 512]
    # Zhou et al., "UNet++", DLMIA 2018, table 2: 7.76 and 9.04 million.
    assert round(unet(2, 3, usual, 1, 1) / 1e6, 2) == 7.76
    assert round(nested(2, 3, usual, 1, 1) / 1e6, 2) == 9.04
    # The U-Net of 64 filters, and the counts in test_unet.py.
    assert unet(2, 3, [64, 128, 256, 512, 1024], 1) == 31_037_633
    # dynamic-network-architectures 0.3.1, the networks of nnU-Net: ResidualEncoderUNet with the
    # blocks of the presets, batch norm and conv_bias=False. It has no bias in its transposed
    # convolutions, and heads on every level of the decoder whether they are used or not.
    presets = [32, 64, 128, 256, 320, 320]
    ours = residual(3, 1, presets, 3, [1, 3, 4, 6, 6, 6])
    heads = sum(conv(3, 1, width, 3, 1) for width in presets[1:-1])
    assert ours - sum(presets[:-1]) + heads == 102_336_719
    usual_blocks = [1, 3, 4, 6, 6]
    heads = sum(conv(2, 1, width, 1, 1) for width in usual[1:-1])
    assert residual(2, 3, usual, 1, usual_blocks) - sum(usual[:-1]) + heads == 37_704_772


def test_a_build_equals_the_network_of_nnunet() -> None:
    """The same source, widths 8, 16 and 32, two blocks a level, with its heads."""
    model = build(
        "residual", (None, None, 5), 2, filters=8, depth=2, blocks=2, deep_supervision=True
    )
    assert trainable(model) - (8 + 16) == 52_604


def test_the_usual_blocks_are_those_of_the_presets() -> None:
    model = build("residual", (None, None, 3), filters=4, depth=5)
    names = [layer.name for layer in model.layers if layer.name.endswith("_add")]
    levels = [*(f"encoder{step}" for step in range(1, 6)), "bottleneck"]
    assert [sum(n.startswith(level) for n in names) for level in levels] == [1, 3, 4, 6, 6, 6]


def test_formulas_tell_networks_apart() -> None:
    """Negative control: a formula that left anything out would not be told from another."""
    widths = [4, 8, 16]
    counts = {unet(2, 5, widths, 3), attention(2, 5, widths, 3), nested(2, 5, widths, 3)}
    counts |= {residual(2, 5, widths, 3, [1, 2, 2]), residual(2, 5, widths, 3, [2, 2, 2])}
    assert len(counts) == 5
