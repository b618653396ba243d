"""One batch normalization called on several streams.

## What it does
Finds batch norms that the model calls more than once on different tensors, alone or in a nested
model. Where the calls are those of a tower that reads several inputs of one shape (a Siamese
network) the streams may be alike, and it is a note. Frozen batch norms learn no statistics and are
exempt.

## Why is this bad
In training each call normalizes by its own batch, while the moving statistics average the moments
of all calls and lose the variance between them, so in inference no stream is normalized as it was
in training.

## Evidence
- Measured: streams with means 0 and 10 and variances 1 and 9 give a moving variance of 4.8, while
  their mixture has 28.6; in inference the first comes out with mean -2.1 and spread 0.45.
- keras issues 8794, 11927 (NaN), 6623 and 4808.
- Measured: none in keras.applications.

## Example
```python
norm = keras.layers.BatchNormalization()
a, b = norm(optical), norm(radar)
```

## Use instead
```python
a = keras.layers.BatchNormalization()(optical)
b = keras.layers.BatchNormalization()(radar)
```

## Fix safety
A norm of its own for each stream, with a copy of the shared one's weights, keeps outputs; the
statistics then have to be measured anew.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.norms.mends import SplitNorm
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    twins = None
    reported: set[str] = set()
    for index in context.batch_norms:
        calls = context.graph.calls[context.layer(index)]
        if len(calls) < 2 or context.is_frozen(index) or context.layer(index) in reported:
            continue
        reported.add(context.layer(index))
        if len({context.graph.nodes[call].inputs for call in calls}) < 2:
            continue
        twins = _twins(context) if twins is None else twins
        alike = all(twins[call] for call in calls[1:])
        what = "inputs of one shape" if alike else "different streams"
        yield Spot(
            (context.layer(index),),
            f"{context.layer(index)} is called {len(calls)} times, on {what}, and has one set of "
            "moving statistics for all of them.",
            Severity.INFO if alike else None,
            mends=() if alike else (SplitNorm(context.layer(index)),),
            by_hand="the streams may be alike, and one normalization meant for both.",
        )


def _twins(context: Context) -> list[bool]:
    """For each later call of a layer: whether it differs from the first in the inputs alone."""
    found = [False] * len(context.nodes)
    for index, node in enumerate(context.nodes):
        first = context.graph.calls[node.layer][0]
        mine, theirs = node.inputs, context.nodes[first].inputs
        found[index] = (
            index != first
            and len(mine) == len(theirs) > 0
            and all(
                a == b
                or _are_alike_inputs(context, a.node, b.node)
                or (found[a.node] and context.graph.calls[context.layer(a.node)][0] == b.node)
                for a, b in zip(mine, theirs, strict=True)
            )
        )
    return found


def _are_alike_inputs(context: Context, one: int, two: int) -> bool:
    inputs = all(context.roles[i] is Role.INPUT for i in (one, two))
    return inputs and context.nodes[one].shape == context.nodes[two].shape


def _two_streams() -> Context:
    """One batch norm behind two different convolutions."""
    net = Sketch()
    a, b = net.conv(8, net.input(32, 32, 9)), net.conv(8, net.input(32, 32, 2))
    x = net.add("Concatenate", net.norm(a, name="norm"), net.again("norm", b))
    return net.context(net.conv(1, net.relu(x)))


def _two_levels() -> Context:
    """A head that is applied to two levels of a pyramid."""
    inner = Sketch("head")
    y = inner.norm(inner.conv(8, inner.input(None, None, 8)), name="norm")
    head = inner.graph(inner.conv(1, inner.relu(y)))
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3), activation="relu")
    y = net.conv(8, x, strides=(2, 2), activation="relu")
    return net.context(net.nest(head, x, name="head"), net.again("head", y))


def _siamese() -> Context:
    """A tower on two inputs of one shape."""
    inner = Sketch("tower")
    y = inner.relu(inner.norm(inner.conv(8, inner.input(32, 32, 3)), name="norm"))
    tower = inner.graph(inner.add("GlobalAveragePooling2D", y))
    net = Sketch()
    a, b = net.input(32, 32, 3), net.input(32, 32, 3)
    x = net.add("Subtract", net.nest(tower, a, name="tower"), net.again("tower", b))
    return net.context(net.dense(1, x))


def _other_layers_shared() -> Context:
    """A shared convolution with a batch norm for each stream, and a shared layer norm."""
    net = Sketch()
    a, b = net.input(32, 32, 3), net.input(32, 32, 3)
    x = net.norm(net.conv(8, a, name="conv"))
    y = net.norm(net.again("conv", b))
    x = net.add("LayerNormalization", net.relu(x), name="layer")
    x = net.add("Add", x, net.again("layer", net.relu(y)))
    return net.context(net.conv(1, x))


def _frozen() -> Context:
    """A frozen batch norm on two streams."""
    net = Sketch()
    a, b = net.conv(8, net.input(32, 32, 9)), net.conv(8, net.input(32, 32, 2))
    x = net.add("Concatenate", net.norm(a, name="n", trainable=False), net.again("n", b))
    return net.context(net.conv(1, net.relu(x)))


RULE = Rule(
    code="NW120",
    name="shared-batch-norm",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Give each stream a batch normalization of its own, or use group or layer normalization.",
    keeps_outputs=True,
    invalid=(
        Invalid(_two_streams, ("norm",)),
        Invalid(_two_levels, ("head/norm",)),
        Invalid(_siamese, ("tower/norm",), Severity.INFO),
    ),
    valid=(_other_layers_shared, _frozen),
)
