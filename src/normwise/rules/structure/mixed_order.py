"""Some normalizations stand before the activation and others after it.

## What it does
Sorts batch, group and instance norms by what they stand next to: a layer before and an activation
after, or the reverse. A network where both kinds are at least a fifth of its norms is mixed. One
order alone is never reported, whichever it is.

## Why is this bad
The order decides whether a bias is needed, what folds into a convolution, how sparse features are
and at which scale skips arrive, so a network with both orders has two answers to each. Which order
trains better is contested.

## Evidence
- Contested. Ioffe and Szegedy (2015) put the normalization immediately before the nonlinearity.
- Contested. caffenet-benchmark: CaffeNet 0.471 without, 0.474 before, 0.499 after the activation;
  GoogLeNet128 the reverse, 0.619 without any, 0.607 before, 0.596 after.
- Measured: none of 12 networks of keras.applications has a batch norm after the activation.

## Example
```python
x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(x)))
x = keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3, activation="relu")(x))
```

## Use instead
```python
x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(x)))
x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(x)))
```

## Fix safety
Moving a normalization changes outputs; compare both orders on your own data (`normwise place` makes
either).
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.rules.context import OUTPUT, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch

SHARE = 0.2
"""Of all norms, so that one exception at a stem or a head is no mixture."""


def _look(context: Context) -> Iterator[Spot]:
    norms = [i for i in context.norms if _is_per_channel(context, i)]
    before = [i for i in norms if _stands_before(context, i)]
    after = [i for i in norms if _stands_behind(context, i)]
    fewer, more = sorted((before, after), key=len)
    if not fewer or len(fewer) < SHARE * len(norms):
        return
    order = "before" if fewer is before else "after"
    other = "after" if fewer is before else "before"
    yield each_by_itself(
        context,
        fewer,
        lambda some: Spot(
            context.layers(some),
            f"{len(some)} of {len(norms)} normalizations {'stands' if len(some) == 1 else 'stand'} "
            f"{order} the activation, {len(more)} {other} it.",
        ),
    )


def _is_per_channel(context: Context, index: int) -> bool:
    return context.nodes[index].class_name not in {"LayerNormalization", "RMSNormalization"}


def _stands_before(context: Context, index: int) -> bool:
    source = context.read(index, dropout=True)
    bends = source is not None and context.activations[source] is not None
    return not bends and _meets_activation(context, index)


def _stands_behind(context: Context, index: int) -> bool:
    source = context.read(index, dropout=True)
    bends = source is not None and context.activations[source] is not None
    return bends and not _meets_activation(context, index)


def _meets_activation(context: Context, index: int) -> bool:
    return any(r != OUTPUT and context.roles[r] is Role.ACTIVATION for r in context.users[index])


def _half_and_half() -> Context:
    """Two norms before the activation and one after it."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.relu(net.norm(net.conv(8, x)))
    x = net.norm(net.conv(8, x, activation="relu"), name="after")
    return net.context(net.conv(1, x))


def _all_after() -> Context:
    """All after the activation, as in the question's network: one order, whatever one thinks."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"))
    x = net.norm(net.relu(net.conv(8, x)))
    return net.context(net.conv(1, x))


def _linear_bottlenecks() -> Context:
    """Norms without any activation beside some before one, as in MobileNetV2."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    y = net.norm(net.conv(8, net.relu(net.norm(net.conv(16, x)))))
    return net.context(net.conv(1, net.add("Add", x, y)))


RULE = Rule(
    code="NW104",
    name="mixed-order",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Choose one order, move the others there and train again; compare on your own data.",
    keeps_outputs=False,
    by_hand="which order trains better is for your data to say; `normwise place` makes either.",
    invalid=(Invalid(_half_and_half, ("after",)),),
    valid=(_all_after, _linear_bottlenecks),
)
