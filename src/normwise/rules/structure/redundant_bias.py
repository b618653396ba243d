"""Biases that the normalization right after them cancels.

## What it does
Finds convolutions and dense layers with a bias whose only reader is a normalization that takes its
mean over each channel alone: batch and instance norm, and group norm with a group for each channel.
All of them are one finding, with the number of parameters.

## Why is this bad
The normalization subtracts each channel's mean, and a constant in the channel goes with it, so the
bias never has an effect and never gets a gradient. It costs parameters and optimizer state, no
quality.

## Evidence
- Measured: keras.applications' ResNet50 has 53 such layers with 26,560 parameters, all without
  effect.
- Pytorch-UNet pull request 325 and keras-cv pull request 697 removed them.
- Published linters report any bias within three layers of a batch norm; that is false when an
  activation stands between, for group norm with several channels a group, and for layer norm.

## Example
```python
x = keras.layers.Conv2D(32, 3)(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3, use_bias=False)(x)
x = keras.layers.BatchNormalization()(x)
```

## Fix safety
Outputs stay exactly as they are: the trained bias is subtracted from the moving mean.
"""

from collections.abc import Iterator, Sequence

from normwise.graph.catalogue import has_bias, regularizes_activity
from normwise.norms.kinds import cancels_bias
from normwise.norms.mends import DropBias
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    calls = context.graph.calls
    dead = [
        layer
        for layer in context.layers(context.linears)
        if all(_is_cancelled(context, index) for index in calls[layer])
    ]
    if dead:
        nodes = [calls[layer][0] for layer in dead]
        yield each_by_itself(context, nodes, lambda some: _spot(context, some))


def _spot(context: Context, dead: Sequence[int]) -> Spot:
    widths = [context.channels_made(index) for index in dead]
    known = [width for width in widths if width is not None]
    total = f" with {sum(known):,} parameters" if len(known) == len(dead) else ""
    have = "layer has a bias" if len(dead) == 1 else "layers have a bias"
    layers = context.layers(dead)
    return Spot(
        layers,
        f"{len(dead)} {have}{total} that the normalization right after it cancels.",
        mends=tuple(map(DropBias, layers)),
    )


def _is_cancelled(context: Context, index: int) -> bool:
    node, reader = context.nodes[index], context.only_reader(index)
    if reader is None or not has_bias(node) or context.activations[index] is not None:
        return False
    fixed = context.is_frozen(reader) or reader in context.resting
    if fixed and not context.is_frozen(index):
        return False  # with fixed statistics the bias is what can still be learned
    spec, channels, axis = context.spec(reader), context.channels_read(reader), context.axes[index]
    if spec is None or axis is None or not cancels_bias(spec, channels or 0):
        return False
    if any(regularizes_activity(context.nodes[i]) for i in _way(context, index, reader)):
        return False  # a penalty sees it
    return context.axes_of(reader) == (axis.axis,)


def _way(context: Context, index: int, reader: int) -> Iterator[int]:
    """The calls before a reader, back to the one that made what it reads."""
    before = reader
    while before != index and context.producers[before]:
        before = context.producers[before][0]
        yield before


def _plain() -> Context:
    """A convolution and a dense layer, each right before a batch norm."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(16, net.input(32, 32, 3), name="conv")))
    x = net.add("GlobalAveragePooling2D", x)
    x = net.relu(net.norm(net.dense(8, x, name="dense")))
    return net.context(net.dense(1, x))


def _through_identities() -> Context:
    """A linear activation and a dropout of rate 0 between: still right before it."""
    net = Sketch()
    x = net.add("Activation", net.conv(16, net.input(32, 32, 3), name="conv"))
    x = net.norm(net.add("Dropout", x, rate=0.0))
    return net.context(net.conv(1, net.relu(x)))


def _one_group_each() -> Context:
    """A group norm with a group for each channel, which is an instance norm."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3), name="conv")
    x = net.add("GroupNormalization", x, groups=16)
    return net.context(net.conv(1, net.relu(x)))


def _activation_between() -> Context:
    """An activation between, fused or not: the bias shifts what it reads."""
    net = Sketch()
    x = net.norm(net.conv(16, net.input(32, 32, 3), activation="relu"))
    x = net.norm(net.relu(net.conv(16, x)))
    return net.context(net.conv(1, x))


def _groups_of_channels() -> Context:
    """Group norm with several channels a group, and layer norm: the mean is of all of them."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(16, net.input(32, 32, 3)), groups=4)
    x = net.add("LayerNormalization", net.conv(16, net.relu(x)))
    return net.context(net.conv(1, net.relu(x)))


def _other_readers() -> Context:
    """Something else reads the convolution too, here a skip."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3))
    y = net.add("Add", x, net.conv(16, net.relu(net.norm(x))))
    return net.context(net.conv(1, net.relu(y)))


def _penalized() -> Context:
    """A penalty on what the convolution makes, its own or of a layer between: it sees the bias."""
    net, penalty = Sketch(), {"class_name": "L2", "config": {"l2": 0.1}}
    x = net.conv(16, net.input(32, 32, 3), activity_regularizer=penalty)
    x = net.conv(16, net.relu(net.norm(x)))
    x = net.relu(net.norm(net.add("Identity", x, activity_regularizer=penalty)))
    x = net.norm(net.add("ActivityRegularization", net.conv(16, x), l1=0.0, l2=0.1))
    return net.context(net.conv(1, net.relu(x)))


def _fixed_statistics() -> Context:
    """A frozen batch norm: its mean does not follow the bias, which can be learned."""
    net = Sketch()
    x = net.norm(net.conv(16, net.input(32, 32, 3)), trainable=False)
    return net.context(net.conv(1, net.relu(x)))


def _resting() -> Context:
    """A batch norm that is called with `training=False`, which holds from Keras 3.16 on."""
    net = Sketch()
    x = net.norm(net.conv(16, net.input(32, 32, 3)), call={"training": False})
    return net.context(net.conv(1, net.relu(x)), keras_version=(3, 16, 0))


RULE = Rule(
    code="NW102",
    name="redundant-bias",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Set use_bias=False in these layers.",
    keeps_outputs=True,
    invalid=(
        Invalid(_plain, ("conv", "dense")),
        Invalid(_through_identities, ("conv",)),
        Invalid(_one_group_each, ("conv",)),
    ),
    valid=(
        _activation_between, _groups_of_channels, _other_readers, _penalized, _fixed_statistics,
        _resting,
    ),
)  # fmt: skip
