"""A layer normalization over axes that were hardly meant.

## What it does
Finds layer and RMS norms over images that leave the channels out (the default axis after a
channels-first layer, which is the width), and those whose axes take in rows and columns, so that
gamma and beta have an entry for every pixel. The default after channels-last layers, each
position by itself over its channels, is what ConvNeXt does and is never reported. Nor is a norm
over several axes without gamma and beta: an instance norm, or the layer norm of the paper.

## Why is this bad
Over the width alone the normalization mixes positions and leaves the channels unequal; over rows
and columns it has more parameters than the convolutions around it, one scale for each pixel, and
the model takes a single image size.

## Evidence
- Keras source: the default is `axis=-1`, whatever `data_format` is.
- Keras source: gamma and beta have the shape of all the axes in `axis`.
- The layer norm of the paper over channels and space is `GroupNormalization(groups=1)` in Keras,
  which has one gamma a channel.
- Keras source: with `center=False, scale=False` no weights are made, whatever `axis` is.

## Example
```python
x = keras.layers.Conv2D(32, 3)(x)  # (batch, 128, 128, 32)
x = keras.layers.LayerNormalization(axis=[1, 2, 3])(x)  # 1,048,576 parameters
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3)(x)
x = keras.layers.GroupNormalization(groups=1)(x)  # 64 parameters
```

## Fix safety
Outputs change; the model has to be trained again.
"""

from collections.abc import Iterator
from math import prod

from normwise.graph.graph import Node
from normwise.graph.text import shape_text
from normwise.norms.mends import Restart
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

MANY = 10
"""Parameters for each channel from which on the affine map is one for each position."""


def _look(context: Context) -> Iterator[Spot]:
    seen: set[str] = set()
    for index in context.norms:
        node, axes = context.nodes[index], context.axes_of(index)
        shape, channel = context.shape_read(index), context.axis_read(index)
        if node.class_name not in {"LayerNormalization", "RMSNormalization"} or axes is None:
            continue
        if node.layer in seen or shape is None or channel is None or channel.witness is None:
            continue
        learns = _affine(node)
        if len(axes) > 1 and not learns:
            continue
        sizes = [shape[axis] for axis in axes]
        each = prod(size for size in sizes if size is not None)
        where = f"axis {', '.join(map(str, axes))} of {shape_text(shape)}"
        right = (("axis", channel.axis - len(shape)),)
        if channel.axis not in axes:
            seen.add(node.layer)
            yield Spot(
                (node.layer,),
                f"{node.layer} normalizes {where}, but the channels are axis {channel.axis}.",
                fix=f"Set axis={channel.axis - len(shape)} in {node.layer}, or use "
                "GroupNormalization(groups=1) with that axis; train again.",
                mends=(Restart(node.layer, node.class_name, right),),
            )
        elif len(axes) > 1 and None not in sizes and each > MANY * (shape[channel.axis] or each):
            seen.add(node.layer)
            count = context.parameters[node.layer]
            has = f"has {count:,} parameters" if count else "normalizes whole images at once"
            yield Spot(
                (node.layer,),
                f"{node.layer} normalizes {where} and {has}, one {learns} for each position.",
                fix=f"Use GroupNormalization(groups=1) instead of {node.layer}, and train again.",
                mends=(Restart(node.layer, "GroupNormalization", (("groups", 1), *right)),),
            )


def _affine(node: Node) -> str:
    """What a layer or RMS norm learns for each entry; empty if nothing."""
    if node.config.get("scale", True) or node.class_name == "RMSNormalization":
        return "scale"
    return "shift" if node.config.get("center", True) else ""


def _width() -> Context:
    """The default axis after a channels-first convolution."""
    net = Sketch()
    x = net.conv(16, net.input(3, 32, 32), data_format="channels_first")
    x = net.relu(net.add("LayerNormalization", x, name="norm"))
    return net.context(net.conv(1, x, data_format="channels_first"))


def _every_pixel() -> Context:
    """Rows, columns and channels."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3))
    x = net.relu(net.add("LayerNormalization", x, axis=(1, 2, 3), name="norm"))
    return net.context(net.conv(1, x))


def _width_without_affine() -> Context:
    """The width alone without gamma and beta: positions are mixed all the same."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3))
    x = net.add("LayerNormalization", x, axis=2, center=False, scale=False, name="norm")
    return net.context(net.conv(1, net.relu(x)))


def _without_affine() -> Context:
    """Instance norm, and the paper's layer norm, written as norms without gamma and beta."""
    net = Sketch()
    x = net.input(32, 32, 3)
    for axis in ((1, 2), (1, 2, 3)):
        x = net.add("LayerNormalization", net.conv(16, x), axis=axis, center=False, scale=False)
        x = net.relu(x)
    return net.context(net.conv(1, x))


def _channels_of_a_position() -> Context:
    """The default after channels-last convolutions, as in ConvNeXt."""
    net = Sketch()
    x = net.add("LayerNormalization", net.conv(16, net.input(32, 32, 3)))
    return net.context(net.conv(1, net.relu(x)))


def _tokens() -> Context:
    """The default over tokens of a transformer."""
    net = Sketch()
    x = net.add("LayerNormalization", net.dense(16, net.input(10, 8)))
    return net.context(net.dense(1, x))


RULE = Rule(
    code="NW116",
    name="layer-norm-axis",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Set axis to that of the channels, or use GroupNormalization(groups=1); train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_width, ("norm",)),
        Invalid(_every_pixel, ("norm",)),
        Invalid(_width_without_affine, ("norm",)),
    ),
    valid=(_channels_of_a_position, _tokens, _without_affine),
)
