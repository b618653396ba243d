"""Zeros are padded right before a normalization.

## What it does
Finds padding layers whose result a normalization over space reads directly: batch, group, instance.

## Why is this bad
The padded zeros count in mean and variance, and the normalization then turns them into something
that is no longer zero, so the border takes part in the statistics and the amount depends on the
image's size.

## Evidence
- Mechanism: a normalization takes its moments over every position, padded ones too.

## Example
```python
x = keras.layers.ZeroPadding2D(3)(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.BatchNormalization()(x)
x = keras.layers.ZeroPadding2D(3)(x)
```

## Fix safety
Outputs change at the border, and the statistics have to be measured anew.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.norms.mends import MoveBefore
from normwise.rules.context import PER_POSITION, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    for index in context.norms:
        source = context.read(index, dropout=True)
        if source is None or context.nodes[index].class_name in PER_POSITION:
            continue
        padding = context.nodes[source]
        pads = "Pad" in padding.class_name and padding.config.get("mode", "constant") == "constant"
        if context.roles[source] is Role.BORDER and pads and _pads_space(context, source):
            names = (context.layer(source), context.layer(index))
            alone = context.users[source] == (index,)
            yield Spot(
                names,
                f"{names[1]} counts the zeros that {names[0]} pads.",
                mends=(MoveBefore(context.name(index), context.name(source)),) if alone else (),
                by_hand=f"others read {names[0]} too.",
            )


def _pads_space(context: Context, index: int) -> bool:
    """Whether a layer pads anything but channels, which have statistics of their own."""
    config = context.nodes[index].config
    widths, axis = config.get("pad_width"), context.axis_read(index)
    if widths is None:
        return _is_any(config.get("padding", 1))
    if axis is not None and isinstance(widths, tuple) and len(widths) > 1:
        channels = axis.axis % len(widths)
        widths = tuple(width for place, width in enumerate(widths) if place != channels)
    return _is_any(widths)


def _is_any(widths: object) -> bool:
    return any(map(_is_any, widths)) if isinstance(widths, (tuple, list)) else widths != 0


def _padded() -> Context:
    """Zero padding, then a batch norm."""
    net = Sketch()
    x = net.add("ZeroPadding2D", net.conv(8, net.input(32, 32, 3)), name="pad")
    return net.context(net.conv(1, net.relu(net.norm(x, name="norm"))))


def _norm_first() -> Context:
    """The norm first, the padding after it."""
    net = Sketch()
    x = net.add("ZeroPadding2D", net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, net.relu(x)))


def _convolution_between() -> Context:
    """A convolution between, as at the stem of every ResNet."""
    net = Sketch()
    x = net.add("ZeroPadding2D", net.input(32, 32, 3))
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, x)))))


RULE = Rule(
    code="NW112",
    name="padding-before-norm",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Put the normalization before the padding.",
    keeps_outputs=False,
    invalid=(Invalid(_padded, ("pad", "norm")),),
    valid=(_norm_first, _convolution_between),
)
