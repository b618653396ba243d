"""A batch normalization right before pooling.

## What it does
Finds batch normalizations whose only reader is a pooling layer that makes the tensor smaller, with
no activation between.

## Why is this bad
After the pooling the same normalization costs a fraction of the time, a quarter for 2x2; in
inference both orders give the same result, for average pooling always and for max-pooling where
gamma is positive.

## Evidence
- Algebra: s x + t of a channel changes places with an average, and with a maximum where s > 0.
- The statistics differ in training: those after a max-pooling are of the maxima.

## Example
```python
x = keras.layers.BatchNormalization()(x)
x = keras.layers.MaxPooling2D()(x)
```

## Use instead
```python
x = keras.layers.MaxPooling2D()(x)
x = keras.layers.BatchNormalization()(x)
```

## Fix safety
Outputs in inference stay with average pooling, and with max-pooling where every gamma is positive;
further training starts from statistics that no longer fit. Left to you where something else reads
what is normalized: a skip that should read the norm needs it before the pooling.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.graph.resolution import area
from normwise.norms.mends import MoveBehind
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_SKIP = (
    "what it normalizes is read by others too, and a skip that should read the norm needs it "
    "before the pooling"
)


def _look(context: Context) -> Iterator[Spot]:
    for index in context.batch_norms:
        reader = context.only_reader(index)
        if reader is None or context.roles[reader] is not Role.POOL:
            continue
        before, after = (context.layout.scales[i] for i in (index, reader))
        if not before or not after or area(after) >= area(before):
            continue
        names = (context.layer(index), context.layer(reader))
        times = area(before) / area(after)
        yield Spot(
            names,
            f"{names[0]} stands before {names[1]}; after it, it would cost 1/{times} of the time.",
            keeps_outputs="Average" in context.nodes[reader].class_name,
            mends=() if _shared(context, index) else (_move(context, index, reader),),
            by_hand=_SKIP,
        )


def _shared(context: Context, norm: int) -> bool:
    """Whether something else reads what a norm reads, such as a skip."""
    producers = context.producers[norm]  # a damaged file can have a norm that reads nothing
    return bool(producers) and len(context.users[context.sources[producers[0]]]) > 1


def _move(context: Context, norm: int, pool: int) -> MoveBehind:
    return MoveBehind(context.name(norm), context.name(pool))


def _before_max() -> Context:
    """A batch norm directly before max-pooling."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"), name="norm")
    return net.context(net.conv(1, net.add("MaxPooling2D", x, name="pool")))


def _before_average() -> Context:
    """A batch norm directly before average pooling: the outputs stay when it moves."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"), name="norm")
    return net.context(net.conv(1, net.add("AveragePooling2D", x, name="pool")))


def _activation_between() -> Context:
    """Norm, relu, pooling, as usual."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, net.add("MaxPooling2D", x)))


def _skip_too() -> Context:
    """A skip reads the norm too, as in a U-Net: it has to stand before the pooling."""
    net = Sketch()
    tap = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"))
    x = net.conv(16, net.add("MaxPooling2D", tap), activation="relu")
    x = net.add("Concatenate", net.add("UpSampling2D", x), tap)
    return net.context(net.conv(1, x))


def _same_size() -> Context:
    """A pooling that keeps the size, as in inception blocks."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"))
    x = net.add("MaxPooling2D", x, pool_size=(3, 3), strides=(1, 1), padding="same")
    return net.context(net.conv(1, x))


RULE = Rule(
    code="NW113",
    name="norm-before-pool",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Move the normalization after the pooling.",
    keeps_outputs=False,
    invalid=(Invalid(_before_max, ("norm", "pool")), Invalid(_before_average, ("norm", "pool"))),
    valid=(_activation_between, _skip_too, _same_size),
)
