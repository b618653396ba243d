"""The network of the question: six strided convolutions down, seven transposed ones up.

Wired exactly as it was asked, faults included: with the default plan the skips tap conv1 and
conv2 before their normalization, and with the default options nothing in the decoder is nonlinear.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from normwise.errors import NetworkError
from normwise.graph.regions import BOTTLENECK, DECODER, ENCODER
from normwise.networks.placer import Placer, Taps
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.sizes import check_activation, check_input, check_positive
from normwise.norms.plan import POST, PRE, NormPlan

DEFAULT_PLAN = "batch@encoder:post-activation/raw-skip"
STRIDE = 64

_NO_ACTIVATION = (
    "the decoder's transposed convolutions have no activation; set decoder_activation='relu'"
)
REASONS = {
    **MISSING_PLACES,
    f"{DECODER}:{PRE}": _NO_ACTIVATION,
    f"{DECODER}:{POST}": _NO_ACTIVATION,
}


def question(
    input_shape: Sequence[int | None] = (512, 512, 9),
    outputs: int = 1,
    norm: NormPlan | None = None,
    *,
    filters: int = 16,
    decoder_activation: str | None = None,
    normalized_skips: bool = False,
    dropout: float = 0.25,
    input_statistics: Any = None,
) -> Any:
    """Builds the question's network; with the defaults it has 3,151,121 parameters.

    Args:
        input_shape: (height, width, channels); height and width divisible by 64, or None.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None.
        filters: Channels of conv1; each following level has twice as many. Even.
        decoder_activation: Activation of upconv1 to upconv6; None, as asked, leaves all of the
            decoder one affine map.
        normalized_skips: Whether the skips read the normalized tensors whatever the plan's suffix
            says; False, as asked, leaves that to the plan.
        dropout: Rate of the dropout after conv6.
        input_statistics: (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, height, width, channels) to
        (batch, height, width, outputs), float32.

    Raises:
        NetworkError: An option that can't be.
        PlanError: A plan that can't hold here.
    """
    _check(input_shape, outputs, filters, dropout)
    if decoder_activation is not None:
        check_activation("question", "decoder_activation", decoder_activation)
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    if normalized_skips:
        plan = plan.without_raw_skips()
    return _build(
        input_shape, outputs, Placer(plan, REASONS), filters, decoder_activation, dropout,
        input_statistics,
    )  # fmt: skip


def _check(shape: Sequence[int | None], outputs: int, filters: int, dropout: float) -> None:
    check_input("question", shape, STRIDE, ranks=(2,))
    check_positive("question", outputs=outputs, filters=filters)
    if filters % 2:
        raise NetworkError(f"question: filters is {filters}; expected an even number.")
    if not 0 <= dropout < 1:
        raise NetworkError(f"question: dropout is {dropout}; expected 0 or more and less than 1.")


def _build(
    shape: Sequence[int | None],
    outputs: int,
    placer: Placer,
    filters: int,
    activation: str | None,
    dropout: float,
    statistics: Any,
) -> Any:
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    layers = keras.layers
    inputs = keras.Input(tuple(shape), name="input")
    x, taps = placer.input(inputs, statistics), []
    for level in range(6):
        conv = partial(layers.Conv2D, filters * 2**level, 3, strides=2, padding="same")
        conv = partial(conv, data_format="channels_last")
        region = BOTTLENECK if level == 5 else ENCODER
        tap = placer.activated(conv, x, f"conv{level + 1}", region, "relu", last=level < 5)
        x = tap.main
        taps.append(tap)
    x = layers.Dropout(dropout, name="dropout")(x)
    up = partial(_up, placer, activation)
    x = up(x, "upconv1", filters * 16, 1, BOTTLENECK)
    for level in range(2, 6):
        x = up(x, f"upconv{level}", filters * 2 ** (5 - level), 2, DECODER)
    x = up(_joined(placer, x, taps[1], 2), "upconv6", filters // 2, 2, DECODER)
    x = _joined(placer, x, taps[0], 1)
    x = layers.Conv2DTranspose(
        outputs, 3, strides=2, padding="same", data_format="channels_last", name="upconv7"
    )(x)
    placer.finish()
    return keras.Model(inputs, x, name="question")


def _up(
    placer: Placer,
    activation: str | None,
    x: Any,
    name: str,
    filters: int,
    strides: int,
    region: str,
) -> Any:
    import keras  # noqa: PLC0415

    conv = partial(keras.layers.Conv2DTranspose, filters, 3, strides=strides, padding="same")
    conv = partial(conv, data_format="channels_last")
    if activation is None:
        return conv(name=name)(x)
    return placer.activated(conv, x, name, region, activation).main


def _joined(placer: Placer, x: Any, tap: Taps, level: int) -> Any:
    import keras  # noqa: PLC0415

    skip = placer.skip(tap.skip, f"conv{level}", ENCODER)
    x = keras.layers.Concatenate(axis=-1, name=f"concat{level}")([x, skip])
    return placer.merged(x, f"concat{level}", DECODER)
