"""A group normalization whose groups don't divide the channels.

## What it does
Compares `groups` of every group norm with the number of channels that it reads.

## Why is this bad
Keras can't build such a layer, so the configuration can't be loaded; its error message has the two
numbers the wrong way round.

## Evidence
- Keras source: a ValueError that says "groups must be a multiple of channels".
- NVIDIA/physicsnemo issue 996: the same trap.
- keras-contrib pull request 243 documented it with instance and layer norm confused: as many groups
  as channels is instance norm, one group is layer norm.

## Example
```python
x = keras.layers.Conv2D(24, 3)(x)
x = keras.layers.GroupNormalization()(x)  # 32 groups
```

## Use instead
```python
x = keras.layers.Conv2D(24, 3)(x)
x = keras.layers.GroupNormalization(groups=6)(x)
```

## Fix safety
There are no outputs to keep: the model can't be built as it is.
"""

from collections.abc import Iterator

from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

USUAL = 32
WIDE = 4
"""Channels a group that are enough for a statistic."""


def _look(context: Context) -> Iterator[Spot]:
    seen: set[str] = set()
    for index in context.norms:
        node, shape, axes = context.nodes[index], context.shape_read(index), context.axes_of(index)
        if node.class_name != "GroupNormalization" or node.layer in seen:
            continue
        if shape is None or axes is None or len(axes) != 1:
            continue
        groups, channels = node.config.get("groups", USUAL), shape[axes[0]]
        if not isinstance(groups, int) or groups == -1 or not channels:
            continue
        if groups < 1 or channels % groups:
            seen.add(node.layer)
            yield Spot(
                (node.layer,),
                f"{node.layer} has {groups} groups, which don't divide its {channels} channels.",
                fix=f"Set groups={fitting(channels)} in {node.layer}.",
            )


def fitting(channels: int) -> int:
    """The most groups, up to the usual 32, of four channels and more, that divide the channels."""
    possible = [n for n in range(1, min(USUAL, channels) + 1) if channels % n == 0]
    wide = [n for n in possible if channels // n >= WIDE]
    return max(wide or possible)


def _usual_groups() -> Context:
    """The usual 32 groups on 24 channels."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(24, net.input(32, 32, 3)), name="norm")
    return net.context(net.conv(1, net.relu(x)))


def _nested() -> Context:
    """Five groups on 16 channels, in a nested model that tells no shapes itself."""
    inner = Sketch("block")
    y = inner.add("GroupNormalization", inner.input(None, None, None), groups=5, name="norm")
    block = inner.graph(inner.relu(y))
    net = Sketch()
    x = net.nest(block, net.conv(16, net.input(32, 32, 3)), name="block")
    return net.context(net.conv(1, x))


def _dividing() -> Context:
    """Groups that divide the channels, and -1 for one each."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(24, net.input(32, 32, 3)), groups=8)
    x = net.add("GroupNormalization", net.conv(7, net.relu(x)), groups=-1)
    return net.context(net.conv(1, net.relu(x)))


RULE = Rule(
    code="NW119",
    name="groups-mismatch",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Set groups to a number that divides the channels.",
    keeps_outputs=False,
    by_hand="Keras can't load such a model; set the groups where it is built.",
    invalid=(
        Invalid(_usual_groups, ("norm",)),
        Invalid(_nested, ("block/norm",)),
    ),
    valid=(_dividing,),
)
