"""What encoder-decoder networks are made of: levels of convolutions, the way up, heads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from normwise.errors import NetworkError
from normwise.graph.regions import DECODER, ENCODER
from normwise.networks.placer import Placer, Taps
from normwise.networks.spatial import Spatial
from normwise.norms.plan import MERGE

Gate = Callable[["Style", Any, Any, str], Any]
"""What a skip goes through: called with the style, the skip, the up-sampled tensor and a name."""


@final
@dataclass(frozen=True)
class Style:
    """What all layers of a network have in common.

    Attributes:
        space: Makes layers of the network's rank.
        placer: Puts the plan's normalizations in.
        activation: Activation of the hidden layers.
        upsampling: One of `spatial.UPSAMPLING`.
    """

    space: Spatial
    placer: Placer
    activation: str
    upsampling: str = "transposed"


def level(
    style: Style, x: Any, name: str, width: int, region: str, count: int = 2, last: bool = False
) -> Taps:
    """Convolutions of one resolution, each with its activation.

    Args:
        style: Of the network.
        x: What the first reads.
        name: Of the level; the convolutions are `{name}_conv1`, `{name}_conv2`, ...
        width: Their channels.
        region: Where they stand.
        count: How many.
        last: Whether the result is the last tensor of its resolution on the way down.
    """
    taps = Taps(x, x)
    for number in range(1, count + 1):
        taps = style.placer.activated(
            style.space.conv(width),
            taps.main,
            f"{name}_conv{number}",
            region,
            style.activation,
            last=last and number == count,
        )
    return taps


def joined(style: Style, x: Any, name: str, width: int, skips: Sequence[Any]) -> Any:
    """The coarser tensor up-sampled and concatenated with skips: `{name}_up`, `{name}_concat`."""
    channels = width + sum(skip.shape[-1] for skip in skips)
    bias = style.placer.keeps_bias(DECODER, channels, MERGE)
    up = style.space.upsampled(x, width, style.upsampling, bias, f"{name}_up")
    return concatenated(style, [*skips, up], name)


def concatenated(style: Style, parts: Sequence[Any], name: str) -> Any:
    """What the convolutions of a decoder's level read."""
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    x = keras.layers.Concatenate(axis=-1, name=f"{name}_concat")(list(parts))
    return style.placer.merged(x, f"{name}_concat", DECODER)


def decoder(
    style: Style, x: Any, taps: Sequence[Any], widths: Sequence[int], count: int = 2
) -> list[Any]:
    """The way up: at each level up-sampling, the skip, and convolutions.

    Args:
        style: Of the network.
        x: The bottleneck's tensor.
        taps: What the skip of each level reads, the finest first.
        widths: Channels of each level, the finest first.
        count: Convolutions a level.

    Returns:
        The tensor of each level, the finest first.
    """
    made = []
    for step in range(len(taps), 0, -1):
        name, width = f"decoder{step}", widths[step - 1]
        skip = style.placer.skip(taps[step - 1], f"encoder{step}", ENCODER)
        x = joined(style, x, name, width, [skip])
        x = level(style, x, name, width, DECODER, count).main
        made.append(x)
    return made[::-1]


def heads(style: Style, tensors: Sequence[Any], outputs: int, deep_supervision: bool) -> Any:
    """Linear 1x1 convolutions: `head` on the first tensor, `head_2`, ... on the others.

    Returns:
        The output, or with deep supervision a list with one for each tensor.
    """
    if not deep_supervision:
        return style.space.layer("Conv", outputs, 1, name="head")(tensors[0])
    names = ["head", *(f"head_{number}" for number in range(2, len(tensors) + 1))]
    return [
        style.space.layer("Conv", outputs, 1, name=name)(x)
        for name, x in zip(names, tensors, strict=True)
    ]


def check_supervision(network: str, deep_supervision: bool, depth: int) -> None:
    """Refuses deep supervision of a decoder that has one level.

    Raises:
        NetworkError: With what would help.
    """
    if not isinstance(deep_supervision, bool):
        raise NetworkError(
            f"{network}: deep_supervision is {deep_supervision!r}; expected true or false."
        )
    if deep_supervision and depth < 2:
        raise NetworkError(
            f"{network}: deep_supervision puts heads on further levels of the decoder, and with "
            f"depth {depth} there is one. Use a depth of 2 or more, or leave it out."
        )
