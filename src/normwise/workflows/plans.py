"""Building a network under a plan, and reading the plan of any model."""

from collections.abc import Sequence
from typing import Any

from normwise.backend import require_backend
from normwise.norms.inference import infer_plan
from normwise.norms.plan import NormPlan
from normwise.workflows.models import graph_of


def build(
    network: str,
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: str | NormPlan | None = None,
    **options: Any,
) -> Any:
    """Builds a network for images of any number of channels, normalized by plan.

    docs/networks.md compares the networks.

    Args:
        network: `"question"`, `"unet"`, `"residual"`, `"attention"`, `"nested"` (U-Net++) or
            `"encoder"` (a U-Net on a network of keras.applications).
        input_shape: (height, width, channels), or (slices, height, width, channels) for volumes,
            which all but `"question"` and `"encoder"` take. Sizes are divisible by the total
            stride (2**depth; 64 of `"question"`, 32 of `"encoder"`), or None for any size.
        outputs: Number of output channels; the output is linear.
        norm: The norm plan, as text or parsed; None is the network's own default.
        **options: The network's own options; None is the default:

            - `filters` (all networks): channels of the first level, doubled at each further one:
              32, of `"question"` 16, of the decoder of `"encoder"` 16. But for `"question"` also
              a sequence with the channels of each level, the finest first.
            - `depth` (`"unet"`, `"residual"`, `"attention"`, `"nested"`): number of down-sampling
              steps, 4.
            - `deep_supervision` (the same): whether further levels of the decoder have heads.
            - `upsampling` (all but `"question"`): `"transposed"` (the default but for
              `"encoder"`), `"nearest"`, or for images `"bilinear"`, which on TensorFlow needs a
              known height and width.
            - `activation` (all but `"question"`): of the hidden layers, of `"encoder"` those of
              its decoder; any that Keras names, `"relu"`.
            - `blocks` (`"residual"`): residual blocks of every level, or of each; 1, 3, 4, 6, ...
            - `decoder_activation` (`"question"`): activation of upconv1 to upconv6; none, as
              asked.
            - `normalized_skips` (`"question"`): whether the skips read the normalized tensors,
              whatever the plan says; False, as asked.
            - `dropout` (`"question"`): its rate after conv6, 0.25.
            - `encoder` (`"encoder"`): a name in keras.applications, `"ResNet50"`.
            - `weights` (`"encoder"`): None for random ones, `"imagenet"` for Keras' download, or
              a file.
            - `preprocessing` (`"encoder"`): the images that these were trained on: `"application"`
              (after its `preprocess_input`) or `"standardized"` (mean 0 and variance 1).
            - `frozen` (`"encoder"`): whether the encoder keeps its weights and statistics.
            - `encoder_momentum` (`"encoder"`): momentum of the encoder's own batch normalizations.
            - `input_statistics` (all): (mean, variance) of each channel for `standardize@input`.

    Returns:
        A functional `keras.Model` from (batch, *sizes, channels) to (batch, *sizes, outputs),
        float32. With `deep_supervision` its outputs are a list: the main one first, from the
        layer `head`, then those of `head_2`, `head_3`, ...: at coarser resolutions, the finest
        first, or for U-Net++ at full resolution.

    Raises:
        BackendMissingError: No Keras backend is installed.
        NetworkError: An unknown network or option, or a size that doesn't fit.
        PlanError: The text is no plan, or the plan can't hold in this network.
        ModelReadError: A file of weights can't be read.

    Example:
        ```python
        model = nw.build("unet", (None, None, 9), 1, norm="batch@before-downsampling", filters=16)
        ```
    """
    require_backend()
    from normwise.networks import build as build_network  # noqa: PLC0415 - light start-up

    return build_network(network, input_shape, outputs, norm, **options)


def plan_of(model: Any) -> NormPlan:
    """The norm plan that a model follows.

    Args:
        model: A live functional or Sequential model, the path of a `.keras`, `.h5` or `.json`
            file, a run folder, or `"package.module:callable"`. Files need no backend.

    Returns:
        The plan, the shortest one that describes the model; normalizations that no plan
        describes are in its `residue`.

    Raises:
        ModelReadError: The model can't be read.

    Example:
        >>> str(plan_of("model.keras"))
        'batch@pre-activation'
    """
    return infer_plan(graph_of(model))
