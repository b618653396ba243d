"""Normalization over another axis than that of the channels.

## What it does
Compares the `axis` of batch and group normalizations with the axis that holds the channels of what
they read. The nearest layer with a `data_format` tells which one that is; after a Reshape or
Permute nothing does, and the rule stays silent.

## Why is this bad
Statistics are shared by all channels and kept apart by rows or columns, so that the network learns
a scale for each position of the image instead of one for each feature. It still trains, which is
why the mistake lives long; predictions may show stripes, and the input size is fixed.

## Evidence
- seld-dcase2021 issue 8: the maintainer confirms `axis=1` on channels-last features as a mistake.
- DCASE2018 baseline issue 18: the maintainer measured 59.7 ± 0.7 before and 59.9 ± 1.3 after the
  mend, so the effect is often small and silent.
- keras issue 1921: vertical artifacts in predictions; the axis of a batch normalization does not
  follow `image_data_format`.

## Example
```python
x = keras.layers.Conv2D(32, 3)(inputs)  # (batch, rows, columns, channels)
x = keras.layers.BatchNormalization(axis=1)(x)
```

## Use instead
```python
x = keras.layers.BatchNormalization()(x)  # axis=-1: the channels
```

## Fix safety
Outputs change: the statistics and the affine parameters of rows say nothing about channels. The
normalization has to start anew, and the model has to be trained again.
"""

from collections.abc import Iterator

from normwise.graph.text import shape_text
from normwise.norms.mends import Restart
from normwise.rules.context import BATCH_NORMS, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_CLASSES = BATCH_NORMS | {"GroupNormalization"}


def _look(context: Context) -> Iterator[Spot]:
    seen: set[str] = set()
    for index in context.norms:
        node = context.nodes[index]
        if node.class_name not in _CLASSES or node.layer in seen:
            continue
        axes, expected = context.axes_of(index), context.axis_read(index)
        shape = context.shape_read(index)
        if axes is None or shape is None or expected is None or expected.witness is None:
            continue
        if axes == (expected.axis,):
            continue
        seen.add(node.layer)
        told = ", ".join(str(axis) for axis in axes)
        right = expected.axis - len(shape)
        yield Spot(
            (node.layer,),
            f"{node.layer} normalizes axis {told} of {shape_text(shape)}, but "
            f"{context.layer(expected.witness)} has the channels on axis {expected.axis}.",
            # In front of the first convolution a norm for each row may be meant, as for spectra.
            Severity.WARNING if expected.behind else None,
            f"Set axis={right} in {node.layer} and train again.",
            mends=()
            if expected.behind
            else (Restart(node.layer, node.class_name, (("axis", right),)),),
            by_hand="a normalization for each row may be meant in front of the first layer.",
        )


def _rows() -> Context:
    """A batch norm with `axis=1` after a channels-last convolution."""
    net = Sketch()
    x = net.norm(net.conv(16, net.input(32, 32, 3)), axis=1, name="norm")
    return net.context(net.conv(1, net.relu(x)))


def _width() -> Context:
    """A batch norm with the default axis after a channels-first convolution."""
    net = Sketch()
    x = net.conv(16, net.input(3, 32, 32), data_format="channels_first")
    x = net.relu(net.norm(x, name="norm"))
    return net.context(net.conv(1, x, data_format="channels_first"))


def _nested() -> Context:
    """A group norm over columns inside a nested model."""
    inner = Sketch("block")
    y = inner.conv(32, inner.input(None, None, 3))
    block = inner.graph(inner.add("GroupNormalization", y, groups=8, axis=2, name="norm"))
    net = Sketch()
    return net.context(net.conv(1, net.nest(block, net.input(32, 32, 3), name="block")))


def _spectrum() -> Context:
    """A norm for each row of the input: may be meant, as for the frequencies of a spectrogram."""
    net = Sketch()
    return net.context(net.conv(8, net.norm(net.input(64, 100, 1), axis=1, name="norm")))


def _each_frame() -> Context:
    """A batch norm over rows in a `TimeDistributed`, after a convolution of each frame."""
    first, second, net = Sketch(), Sketch(), Sketch()
    conv = first.graph(first.conv(8, first.input()))
    norm = second.graph(second.norm(second.input(), axis=1, name="norm"))
    x = net.each_step(conv, net.input(10, 32, 32, 3), name="convs")
    return net.context(net.add("ConvLSTM2D", net.each_step(norm, x, name="norms"), filters=4))


def _over_time() -> Context:
    """A norm for each step of time, before a channels-first `ConvLSTM2D`."""
    net = Sketch()
    x = net.norm(net.input(10, 3, 32, 32), axis=1, name="norm")
    return net.context(net.add("ConvLSTM2D", x, filters=4, data_format="channels_first"))


def _channels_behind_time() -> Context:
    """Channels-first series, whose channels come after time."""
    net = Sketch()
    x = net.norm(net.input(10, 3, 32, 32), axis=2)
    return net.context(net.add("ConvLSTM2D", x, filters=4, data_format="channels_first"))


def _channels_first() -> Context:
    """`axis=1` after a channels-first convolution, through dropout and activation."""
    net = Sketch()
    x = net.conv(16, net.input(3, 32, 32), data_format="channels_first")
    x = net.norm(net.add("Dropout", net.relu(x)), axis=1)
    return net.context(net.conv(1, x, data_format="channels_first"))


def _features() -> Context:
    """`axis=1` of dense features, where axis 1 is the last."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.conv(16, net.input(32, 32, 3)))
    return net.context(net.dense(1, net.relu(net.norm(net.dense(8, x), axis=1))))


def _permuted() -> Context:
    """`axis=1` after a Permute that moves the channels there."""
    net = Sketch()
    x = net.add("Permute", net.conv(16, net.input(32, 32, 3)), dims=(3, 1, 2))
    return net.context(net.norm(x, axis=1))


RULE = Rule(
    code="NW101",
    name="wrong-axis",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Set axis to that of the channels and train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_rows, ("norm",)),
        Invalid(_width, ("norm",)),
        Invalid(_nested, ("block/norm",)),
        Invalid(_each_frame, ("norms/norm",)),
        Invalid(_spectrum, ("norm",), Severity.WARNING),
        Invalid(_over_time, ("norm",), Severity.WARNING),
    ),
    valid=(_channels_first, _features, _permuted, _channels_behind_time),
)
