"""What a call does, told from its class and configuration: the only table of Keras' classes.

Layers and raw ops of the same effect share a role, so that `layers.ReLU`, `Activation("relu")`
and `ops.relu` are one thing to whoever reads a graph.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from normwise.graph.graph import Graph, Node

Role = Enum(
    "Role", "INPUT LINEAR NORM ACTIVATION MERGE PASS POOL GLOBAL_POOL RESAMPLE BORDER SHAPE OTHER"
)
"""INPUT: where data comes in; LINEAR: convolutions and dense layers; NORM: normalizations;
ACTIVATION: elementwise nonlinearities; MERGE: add, concatenate and other joins of tensors;
PASS: changes nothing in inference (dropout, identity); POOL, GLOBAL_POOL; RESAMPLE: up-sampling,
resizing, space-to-depth; BORDER: padding and cropping; SHAPE: reshapes; OTHER: anything else."""

CONVOLUTIONS = frozenset(
    f"{kind}Conv{rank}D{suffix}"
    for rank in (1, 2, 3)
    for kind, suffix in (("", ""), ("", "Transpose"), ("Depthwise", ""), ("Separable", ""))
)
LINEAR = CONVOLUTIONS | {"Dense", "EinsumDense"}

BATCH_NORMS = frozenset({"BatchNormalization", "SyncBatchNormalization"})
NORM_CLASSES = BATCH_NORMS | frozenset(
    {
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "UnitNormalization",
        "Normalization",
    }
)

ACTIVATION_LAYERS = frozenset({"ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "ThresholdedReLU"})
ACTIVATION_OPS = frozenset(
    [
        "Relu",
        "Relu6",
        "Sigmoid",
        "SparseSigmoid",
        "Softplus",
        "Softsign",
        "SoftShrink",
        "SparsePlus",
        "Silu",
        "Squareplus",
        "LogSigmoid",
        "LeakyRelu",
        "HardSigmoid",
        "HardSilu",
        "Elu",
        "Selu",
        "Gelu",
        "Celu",
        "TanhShrink",
        "HardTanh",
        "HardShrink",
        "Threshold",
        "Softmax",
        "LogSoftmax",
        "Sparsemax",
        "Tanh",
        "Mish",
        "Swish",
        "HardSwish",
        "Exponential",
        "ReLU",
    ]
)
OUTPUT_ACTIVATIONS = frozenset({"sigmoid", "softmax", "tanh", "linear", "hard_sigmoid"})

MERGES = frozenset(
    {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Stack"}
)
SPLIT_STEPS, JOIN_STEPS = "SplitSteps", "JoinSteps"
"""What `flatten` puts around the layers of a `TimeDistributed`: they see each step by itself."""

PASSES = frozenset(
    [
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "Identity",
        "ActivityRegularization",
        "Cast",
        "SaturateCast",
        "StopGradient",
        "Copy",
        "RandomFlip",
        "RandomContrast",
        "RandomBrightness",
        SPLIT_STEPS,
        JOIN_STEPS,
    ]
)
POOLS = frozenset(f"{k}Pooling{r}D" for k in ("Max", "Average") for r in (1, 2, 3)) | {
    "MaxPool",
    "AveragePool",
}
GLOBAL_POOLS = frozenset(f"Global{k}Pooling{r}D" for k in ("Max", "Average") for r in (1, 2, 3))
RESAMPLERS = frozenset(
    {"UpSampling1D", "UpSampling2D", "UpSampling3D", "Resizing", "Resize"}
    | {"DepthToSpace", "SpaceToDepth"}
)
BORDERS = frozenset(f"{k}{r}D" for k in ("ZeroPadding", "Cropping") for r in (1, 2, 3)) | {
    "Pad",
    "PadImages",
    "CropImages",
    "CenterCrop",
}
SHAPES = frozenset({"Flatten", "Reshape", "Permute", "RepeatVector", "Transpose", "Squeeze"})

_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(LINEAR, Role.LINEAR),
    **dict.fromkeys(NORM_CLASSES, Role.NORM),
    **dict.fromkeys(ACTIVATION_LAYERS | ACTIVATION_OPS, Role.ACTIVATION),
    **dict.fromkeys(MERGES, Role.MERGE),
    **dict.fromkeys(PASSES, Role.PASS),
    **dict.fromkeys(POOLS, Role.POOL),
    **dict.fromkeys(GLOBAL_POOLS, Role.GLOBAL_POOL),
    **dict.fromkeys(RESAMPLERS, Role.RESAMPLE),
    **dict.fromkeys(BORDERS, Role.BORDER),
    **dict.fromkeys(SHAPES, Role.SHAPE),
    "InputLayer": Role.INPUT,
}


def role_of(node: Node) -> Role:
    """What the call does."""
    if node.model is not None:
        return Role.OTHER
    if node.class_name == "Activation":
        return Role.PASS if activation_of(node) is None else Role.ACTIVATION
    role = _ROLES.get(node.class_name, Role.OTHER)
    if role is Role.MERGE and len(node.inputs) < 2:
        return Role.OTHER
    if node.class_name in {"Mean", "Max"} and _keeps_only_channels(node):
        return Role.GLOBAL_POOL
    return role


def roles_of(graph: Graph) -> Sequence[Role]:
    """What each call of a graph does; worked out once, as all who look at a graph ask for it."""
    if _IN_GRAPH not in graph.memo:
        graph.memo[_IN_GRAPH] = tuple(map(role_of, graph.nodes))
    found: Sequence[Role] = graph.memo[_IN_GRAPH]
    return found


_IN_GRAPH = "roles"


def _keeps_only_channels(node: Node) -> bool:
    axes = node.config.get("axis")
    return isinstance(axes, tuple) and len(axes) >= 2


def activation_of(node: Node) -> str | None:
    """Name of the nonlinearity that the call applies to its result, None for none.

    For a layer with a fused activation (`Conv2D(activation="relu")`) that is the fused one.
    """
    if node.class_name in ACTIVATION_LAYERS or (
        node.class_name in ACTIVATION_OPS and node.class_name not in LINEAR
    ):
        return _snake(node.class_name)
    if "activation" not in node.config:
        return None
    name = activation_name(node.config["activation"])
    return None if name in (None, "linear") else name


def activation_name(value: Any) -> str | None:
    """Name of a serialized activation: a string, a function, or a layer."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        inner = value.get("config")
        if value.get("class_name") == "function" and isinstance(inner, str):
            return inner
        if value.get("class_name") == "Activation" and isinstance(inner, Mapping):
            return activation_name(inner.get("activation"))
        return _snake(str(value.get("class_name")))
    return str(value)


_SPELLINGS = {"ReLU": "relu", "PReLU": "prelu", "LeakyReLU": "leaky_relu", "ELU": "elu"}


def _snake(name: str) -> str:
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def spatial_rank(node: Node) -> int | None:
    """Number of spatial axes by the class's name (`Conv2D`: 2), None if it has no such name."""
    for rank in (1, 2, 3):
        if f"{rank}D" in node.class_name:
            return rank
    return None


def data_format(node: Node) -> str:
    """`"channels_last"` or `"channels_first"` of the call; the former where it doesn't say."""
    value = node.config.get("data_format")
    return value if isinstance(value, str) else "channels_last"


def channels_first_axis(node: Node, rank: int | None) -> int:
    """Where a `channels_first` layer has the channels of a tensor: right before space.

    1 but behind an axis of time, as `ConvLSTM2D` has it.

    Args:
        node: The layer.
        rank: The number of the tensor's axes, batch included; None where unknown.
    """
    space = spatial_rank(node)
    return 1 if rank is None or space is None else max(1, rank - space - 1)


def makes_last_axis(node: Node) -> bool:
    """Whether a call makes its channels on the last axis, whatever stands around it."""
    if node.class_name != "EinsumDense":
        return node.class_name in {"Dense", "Embedding"}
    read, _, made = str(node.config.get("equation")).partition("->")
    return made[-1:] in tuple(read.rpartition(",")[2])


def own_channel_axis(node: Node, rank: int | None) -> int | None:
    """The channel axis that a layer has by its kind or its settings, None where neither tells.

    Of two axes only one can be that of the channels, so a dense layer says nothing new there.

    Args:
        node: The layer.
        rank: The number of the tensor's axes, batch included; None where unknown.
    """
    if makes_last_axis(node):
        return None if rank == 2 else -1
    if "data_format" not in node.config:
        return None
    return channels_first_axis(node, rank) if data_format(node) == "channels_first" else -1


def regularizes_activity(node: Node) -> bool:
    """Whether a penalty of the training depends on what the call makes."""
    # Keras writes that of this class by its factors alone.
    return node.class_name == "ActivityRegularization" or bool(
        node.config.get("activity_regularizer")
    )


def has_bias(node: Node) -> bool:
    """Whether a linear layer adds a bias."""
    if node.class_name == "EinsumDense":
        return node.config.get("bias_axes") is not None
    return bool(node.config.get("use_bias", node.class_name in LINEAR))
