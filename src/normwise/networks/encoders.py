"""U-Net on any network of keras.applications: its graph tells which tensors the skips read.

The way down is the application's own, with its own normalizations; the way up doubles the
resolution step by step, with a skip wherever the application has a tensor of that resolution,
and ends at the input's size. The input is expected with mean 0 and variance 1 in each channel, as
`standardize@input` makes it; a scaling inside turns that into what pretrained weights were
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normwise.errors import NetworkError
from normwise.graph.regions import DECODER, ENCODER
from normwise.keras_format.reading import read_graph
from normwise.networks.blocks import Style, heads, joined, level
from normwise.networks.inherited import check_inherited, own_part
from normwise.networks.placer import Placer
from normwise.networks.reasons import MISSING_PLACES
from normwise.networks.sizes import check_activation, check_input, check_positive, widths_of
from normwise.networks.spatial import Spatial, check_upsampling
from normwise.norms.plan import NormPlan

if TYPE_CHECKING:
    from normwise.networks.backbone import Backbone
    from normwise.networks.pretrained import Pretrained

DEFAULT_PLAN = "batch@decoder:pre-activation"


def encoder(  # noqa: PLR0913 - the public interface
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: NormPlan | None = None,
    *,
    encoder: str = "ResNet50",
    weights: Any = None,
    preprocessing: str | None = None,
    frozen: bool = False,
    encoder_momentum: float | None = None,
    filters: int | Sequence[int] = 16,
    upsampling: str = "nearest",
    activation: str = "relu",
    input_statistics: Any = None,
) -> Any:
    """Builds a U-Net whose way down is a network of `keras.applications`.

    Args:
        input_shape: (height, width, channels); height and width divisible by the encoder's total
            stride (32), or None. Any number of channels.
        outputs: Channels of the linear output.
        norm: The norm plan, `DEFAULT_PLAN` if None. It is built into the decoder, the skips and
            the input; what it says of the encoder must hold there already.
        encoder: A name in `keras.applications`, such as `"EfficientNetV2B0"`.
        weights: None for random ones, `"imagenet"` for Keras' own download, or a file: `.keras`,
            `.weights.h5`, or the `_notop.h5` of `keras.applications`. A stem for three channels
            is spread over the input's.
        preprocessing: What the weights were trained on: `"application"` (images after the
            application's `preprocess_input`) or `"standardized"` (mean 0 and variance 1 in each
            channel). By default the former where the stored stem reads three channels.
        frozen: Whether the encoder keeps its weights and the statistics of its normalizations.
        encoder_momentum: Momentum of the encoder's own batch normalizations, above 0 and below
            1; None for the application's (0.9 to 0.9997), made for far longer trainings.
        filters: Channels of the decoder at the input's resolution, each coarser level having
            twice as many; or those of each level, the finest first.
        upsampling: `"nearest"`, `"transposed"` or `"bilinear"`; the last only at a known size on
            TensorFlow.
        activation: Activation of the decoder's 3x3 convolutions.
        input_statistics: (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, height, width, channels) to
        (batch, height, width, outputs), float32.

    Raises:
        NetworkError: An option that can't be, or weights of another network.
        ModelReadError: A weights file that can't be read.
        PlanError: A plan that can't hold here.

    Example:
        >>> model = build("encoder", (None, None, 9), 1, encoder="MobileNetV2")
    """
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    from normwise.networks.applications import application  # noqa: PLC0415 - NumPy with them
    from normwise.networks.backbone import backbone  # noqa: PLC0415
    from normwise.networks.pretrained import pretrained  # noqa: PLC0415

    check_positive("encoder", outputs=outputs)
    check_input("encoder", input_shape, 1, ranks=(2,))
    check_activation("encoder", "activation", activation)
    check_upsampling("encoder", input_shape, upsampling)
    _check_momentum(encoder_momentum, frozen)
    found = application(encoder)
    check_input("encoder", input_shape, found.stride, ranks=(2,))
    depth = found.stride.bit_length() - 1
    widths = widths_of("encoder", filters, depth - 1)
    loaded = pretrained(found, weights, preprocessing, frozen, int(input_shape[-1] or 0))
    plan = NormPlan.parse(DEFAULT_PLAN) if norm is None else norm
    placer = Placer(own_part(plan), MISSING_PLACES)
    inputs = keras.Input(tuple(input_shape), name="input")
    x = _expected(placer.input(inputs, input_statistics), loaded)
    down = backbone(found, inputs, x, encoder_momentum)
    if encoder_momentum is not None and not down.batch_norms:
        raise NetworkError(
            f"encoder: encoder_momentum is {encoder_momentum}, and {encoder} has no batch "
            "normalizations; leave it out."
        )
    style = Style(Spatial(2), placer, activation, upsampling)
    made = heads(style, _decoder(style, down, widths), outputs, False)
    placer.finish()
    model = keras.Model(inputs, made, name="encoder")
    check_inherited(plan, read_graph(model), encoder)
    if loaded is not None:
        loaded.put_in(down)
    if frozen:
        for layer in down.layers:
            layer.trainable = False
    return model


def _check_momentum(momentum: object, frozen: bool) -> None:
    if momentum is None:
        return
    told = f"encoder: encoder_momentum is {momentum!r}"
    if not isinstance(momentum, float) or not 0 < momentum < 1:
        raise NetworkError(f"{told}; expected a number above 0 and below 1.")
    if frozen:
        raise NetworkError(f"{told}, and frozen statistics don't move; leave one of the two out.")


def _expected(x: Any, loaded: Pretrained | None) -> Any:
    """Standardized channels as the weights expect them."""
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    if loaded is None:
        return x
    scale, offset = loaded.scale_of(x.shape[-1])
    if np.allclose(scale, 1, rtol=1e-6) and np.allclose(offset, 0, atol=1e-6):
        return x
    layer = keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="encoder_scale")
    return layer(x)


def _decoder(style: Style, down: Backbone, widths: Sequence[int]) -> list[Any]:
    """The tensors of the way up, the finest first."""
    x, made = down.model.output, []
    for step in range(len(widths), 0, -1):
        name, width = f"decoder{step}", widths[step - 1]
        tap = down.taps.get(2 ** (step - 1))
        if tap is None:
            x = style.space.upsampled(x, width, style.upsampling, True, f"{name}_up")
        else:
            x = joined(style, x, name, width, [style.placer.skip(tap, f"encoder{step}", ENCODER)])
        x = level(style, x, name, width, DECODER).main
        made.append(x)
    return made[::-1]
