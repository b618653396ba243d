"""A normalization on the identity path of a residual network.

## What it does
Finds batch, group and instance norms that read the sum of a residual block and whose result is,
directly or after an activation, an addend of the next sum. Transformers with layer norm after the
sum are built so by design and not reported.

## Why is this bad
Every block then scales what all blocks before it made, so the identity path is no identity any more
and gradients of the first blocks go through every one of these scales.

## Evidence
- He et al. 2016 (Identity Mappings in Deep Residual Networks), Table 2, CIFAR-10 error of
  ResNet-110: 6.61 % as original, 8.17 % with batch norm after the addition.

## Example
```python
x = keras.layers.Add()([x, branch(x)])
x = keras.layers.BatchNormalization()(x)
x = keras.layers.Add()([x, branch(x)])
```

## Use instead
```python
x = keras.layers.Add()([x, branch(keras.layers.BatchNormalization()(x))])
x = keras.layers.Add()([x, branch(keras.layers.BatchNormalization()(x))])
```

## Fix safety
Outputs change; the model has to be trained again.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.norms.mends import Mend, Reread
from normwise.rules.context import OUTPUT, PER_POSITION, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    for index in context.norms:
        source = context.read(index, dropout=True)
        if source is None or context.nodes[index].class_name in PER_POSITION:
            continue
        following = _next_sum(context, index) if _is_sum(context, source) else None
        if following is not None:
            names = (context.layer(source), context.layer(index), context.layer(following))
            yield Spot(
                names,
                f"{names[1]} stands on the identity path from {names[0]} to {names[2]}.",
                fix=f"Move {names[1]} into the branch after {names[0]}, and train again.",
                mends=tuple(_mends(context, index, source, following)),
            )


def _mends(context: Context, norm: int, source: int, following: int) -> Iterator[Mend]:
    """Has the next sum read the sum before it where it reads the norm, or its activation."""
    for producer in context.producers[following]:
        made = context.sources[producer]
        if context.roles[made] is Role.ACTIVATION and made != norm:
            made = context.read(made, dropout=True) or made
        if made == norm:
            yield Reread(*map(context.name, (following, producer, source)))


def _next_sum(context: Context, norm: int) -> int | None:
    """A sum with an addend that the norm makes, an activation at most between."""
    near = [r for r in context.users[norm] if r != OUTPUT]
    bent = [r for r in near if context.roles[r] is Role.ACTIVATION]
    far = [r for b in bent for r in context.users[b] if r != OUTPUT]
    return next((r for r in (*near, *far) if _is_sum(context, r)), None)


def _is_sum(context: Context, index: int) -> bool:
    return context.roles[index] is Role.MERGE and context.nodes[index].class_name == "Add"


def _between_sums() -> Context:
    """A batch norm and relu after the sum, on the way of the next identity."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    x = net.add("Add", x, net.conv(8, net.relu(x)), name="one")
    x = net.relu(net.norm(x, name="norm"))
    x = net.add("Add", x, net.conv(8, x), name="two")
    return net.context(net.conv(1, x))


def _in_the_branch() -> Context:
    """Norms in the branches alone: a pre-activation block."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    for _ in range(2):
        x = net.add("Add", x, net.conv(8, net.relu(net.norm(x))))
    return net.context(net.conv(1, net.relu(net.norm(x))))


def _transformer() -> Context:
    """Layer norm after the sum, as the first transformers have it."""
    net = Sketch()
    x = net.input(10, 8)
    for _ in range(2):
        x = net.add(
            "LayerNormalization", net.add("Add", x, net.dense(8, net.relu(net.dense(16, x))))
        )
    return net.context(net.dense(1, x))


RULE = Rule(
    code="NW114",
    name="norm-on-residual-trunk",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Move the normalization into the branch, and train again.",
    keeps_outputs=False,
    invalid=(Invalid(_between_sums, ("one", "norm", "two")),),
    valid=(_in_the_branch, _transformer),
)
