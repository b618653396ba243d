"""Dropout before a batch normalization.

## What it does
Follows what a batch norm reads back through linear layers, pooling and concatenations to a dropout
of rate 0.1 or more. Where an activation stands between it is a note. Other norms, frozen batch
norms, drop-connect (one decision for a whole sample) and sums are exempt.

## Why is this bad
Dropout raises the variance in training, of centred values to 1/(1 - rate) times that of inference
and after a relu further, but the moving variance is learned in training, so every prediction is
divided by a spread that is too large.

## Evidence
- Li et al. 2018 (Understanding the Disharmony between Dropout and Batch Normalization by Variance
  Shift).
- Measured: rate 0.5 on values after a relu makes the variance in training 3.75 times that of
  inference, and still 3.76 times after a dense layer.
- Measured: norms after dropouts of 0.5, 0.25 and 0.15 in a dense network learn variances that are
  2.5, 1.5 and 1.25 times those of inference at random weights, and 1.3, 1.1 and 1.06 times once it
  is trained.
- Naive versions report drop-connect: 9 places in EfficientNetB0 and 15 in EfficientNetV2B0, none of
  them a fault.

## Example
```python
x = keras.layers.Dropout(0.5)(x)
x = keras.layers.Conv2D(32, 3)(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3)(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.Dropout(0.5)(x)  # after the last batch norm
```

## Fix safety
Outputs in inference stay when a dropout moves; the statistics have to be measured anew
(`normwise recalibrate`), which changes them.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from normwise.graph.catalogue import Role
from normwise.graph.graph import Node
from normwise.norms.mends import Mend, MoveBehind
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

SMALLEST = 0.1
_DROPOUTS = frozenset(
    ["Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout"]
)
_LINEAR = frozenset(
    [Role.LINEAR, Role.PASS, Role.POOL, Role.GLOBAL_POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE]
)

_Source = tuple[int, bool]
"""A dropout, and whether an activation stands after it."""


def _look(context: Context) -> Iterator[Spot]:
    drops = [i for i in context.of_role(Role.PASS) if _drops(context.nodes[i])]
    if not drops:
        return
    sources = _sources(context, frozenset(drops))
    norms: dict[int, _Source] = {}
    for index in context.batch_norms:
        producers = context.producers[index]
        source = sources[producers[0]] if len(producers) == 1 else None
        if source is not None and not (context.is_frozen(index) or index in context.resting):
            norms[index] = source
    last = {dropout: index for index, (dropout, _) in norms.items()}
    mends = {dropout: _mends(context, dropout, norm) for dropout, norm in last.items()}
    for index, (dropout, bent) in norms.items():
        names = (context.layer(dropout), context.layer(index))
        rate = float(context.nodes[dropout].config["rate"])
        between = ", with an activation between" if bent else ""
        yield Spot(
            names,
            f"{names[1]} learns its variance after {names[0]} of rate {rate:g}{between}: in "
            f"training it can be {1 / (1 - rate):.2g} times as large as in inference, and more "
            "where values aren't centred.",
            Severity.INFO if bent else None,
            f"Put {names[0]} after the last batch normalization.",
            mends=mends[dropout],
        )


def _mends(context: Context, dropout: int, norm: int) -> tuple[Mend, ...]:
    """Puts a dropout after the last norm that it leads to, and after that one's activation."""
    node, index = context.nodes[dropout], dropout
    while index != norm:
        readers = context.graph.consumers[index]
        if len(readers) != 1 or index in context.outputs:
            return ()  # what others read would lose its dropout
        index = readers[0]
    reader = context.only_reader(norm)
    behind = reader is not None and context.roles[reader] is Role.ACTIVATION
    target = reader if behind and reader is not None else norm
    ranks = {len(context.nodes[i].shape or ()) for i in (dropout, target)}
    alone = len(context.graph.calls[node.layer]) == 1
    fits = len(ranks) == 1 and node.config.get("noise_shape") is None
    if not (alone and fits and context.reaches_linear[target]):
        return ()
    return (MoveBehind(context.name(dropout), context.name(target)),)


def _sources(context: Context, drops: AbstractSet[int]) -> list[_Source | None]:
    """For each node the dropout that what it makes has gone through, the worst of several."""
    found: list[_Source | None] = []
    for index, (node, role) in enumerate(zip(context.nodes, context.roles, strict=True)):
        before = [s for p in context.producers[index] if (s := found[p]) is not None]
        passed = min(before, key=lambda s: s[1], default=None)
        if index in drops:
            found.append((index, False))
        elif role is Role.ACTIVATION or context.activations[index] is not None:
            found.append(None if passed is None else (passed[0], True))
        elif role in _LINEAR or node.class_name == "Concatenate":
            found.append(passed)
        else:
            found.append(None)
    return found


def _drops(node: Node) -> bool:
    """Whether a layer drops single values or channels, and enough of them."""
    rate, shape = node.config.get("rate"), node.config.get("noise_shape")
    if (
        node.class_name not in _DROPOUTS
        or isinstance(rate, bool)
        or not isinstance(rate, (int, float))
    ):
        return False
    per_sample = isinstance(shape, tuple) and all(size == 1 for size in shape[1:])
    return SMALLEST <= rate < 1 and not per_sample


def _direct() -> Context:
    """Dropout right before a batch norm."""
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(32, 32, 3), activation="relu"), name="drop")
    return net.context(net.conv(1, net.norm(x, name="norm")))


def _through_linear_layers() -> Context:
    """Spatial dropout, pooling, a convolution, a concatenation, a norm in a nested model."""
    inner = Sketch("block")
    block = inner.graph(inner.relu(inner.norm(inner.input(None, None, 16), name="norm")))
    net = Sketch()
    x = net.add("SpatialDropout2D", net.relu(net.conv(8, net.input(32, 32, 3))), name="drop")
    x = net.add("MaxPooling2D", x)
    x = net.nest(block, net.add("Concatenate", net.conv(8, x), x), name="block")
    return net.context(net.conv(1, x))


def _activation_between() -> Context:
    """A convolution with a relu between: the shift is smaller."""
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(32, 32, 3), activation="relu"), name="drop")
    x = net.norm(net.conv(8, x, activation="relu"), name="norm")
    return net.context(net.conv(1, x))


def _behind_the_last_norm() -> Context:
    """Dropout after the last batch norm, before the head."""
    net = Sketch()
    x = net.add("Dropout", net.relu(net.norm(net.conv(8, net.input(32, 32, 3)))))
    return net.context(net.conv(1, x))


def _drop_connect() -> Context:
    """Drop-connect in a residual branch, as in EfficientNet: the sum lies between."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)))
    y = net.norm(net.conv(8, net.relu(x)))
    y = net.add("Dropout", y, rate=0.2, noise_shape=(None, 1, 1, 1))
    x = net.add("Add", x, y)
    z = net.add("Dropout", net.conv(8, x), rate=0.2, noise_shape=(None, 1, 1, 1))
    return net.context(net.conv(1, net.norm(z)))


def _rarely() -> Context:
    """A rate below 0.1."""
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(32, 32, 3), activation="relu"), rate=0.05)
    return net.context(net.conv(1, net.norm(x)))


def _other_norms() -> Context:
    """Layer norm takes statistics anew in inference, a frozen batch norm none in training."""
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(32, 32, 3), activation="relu"))
    x = net.add("Dropout", net.conv(8, net.add("LayerNormalization", x)))
    return net.context(net.conv(1, net.norm(x, trainable=False)))


def _norm_between() -> Context:
    """Another norm between: what it makes has the same variance again."""
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(32, 32, 3), activation="relu"))
    x = net.add("GroupNormalization", net.conv(8, x), groups=4)
    return net.context(net.conv(1, net.norm(net.conv(8, x))))


RULE = Rule(
    code="NW117",
    name="dropout-before-norm",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Put the dropout after the last batch normalization.",
    keeps_outputs=True,
    by_hand="its result goes several ways, or it can't stand after that normalization.",
    invalid=(
        Invalid(_direct, ("drop", "norm")),
        Invalid(_through_linear_layers, ("drop", "block/norm")),
        Invalid(_activation_between, ("drop", "norm"), Severity.INFO),
    ),
    valid=(
        _behind_the_last_norm, _drop_connect, _rarely, _other_norms, _norm_between,
    ),
)  # fmt: skip
