"""An activation on both sides of a normalization.

## What it does
Finds normalizations that read the result of an activation and are read by another one. After a
norm and its activation that is the pre-activation block of a residual network, and only a note.

## Why is this bad
The first activation throws away half of the values before the normalization centers the rest, and
the second throws away half again; almost always the first one was left inside the convolution by
accident.

## Evidence
- Measured: no such place in 12 networks of keras.applications.

## Example
```python
x = keras.layers.Conv2D(32, 3, activation="relu")(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.ReLU()(x)
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3)(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.ReLU()(x)
```

## Fix safety
Outputs change; the model has to be trained again.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.norms.mends import DropActivation, Mend, Reread
from normwise.rules.context import OUTPUT, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_BY_DESIGN = "a pre-activation block after a norm and its activation is built so on purpose."
_SHARED = "the activation is part of a layer whose result others read too."
_BENDS = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "swish", "mish"}
    | {"softplus", "hard_silu", "hard_swish", "tanh", "hard_tanh", "squareplus"}
)
"""Hidden activations: a sigmoid or softmax next to a norm is a mask or an output."""


def _look(context: Context) -> Iterator[Spot]:
    for index in context.norms:
        first = context.read(index, dropout=True)
        second = [r for r in context.users[index] if r != OUTPUT and _is_activation(context, r)]
        if first is None or context.activations[first] not in _BENDS or not second:
            continue
        names = (context.layer(first), context.layer(index), context.layer(second[0]))
        yield Spot(
            names,
            f"{names[1]} stands between two activations, {context.activations[first]} of "
            f"{names[0]} and {context.activations[second[0]]} of {names[2]}.",
            Severity.INFO if _is_normalized(context, first) else None,
            f"Drop the activation of {names[0]} and train again.",
            mends=() if _is_normalized(context, first) else _mends(context, first, index),
            by_hand=_BY_DESIGN if _is_normalized(context, first) else _SHARED,
        )


def _mends(context: Context, first: int, norm: int) -> tuple[Mend, ...]:
    """Has the norm read what the first activation reads; a fused one goes for all that read it."""
    if context.roles[first] is Role.ACTIVATION:
        read = context.producers[first]
        entry = context.name(context.entry(first, norm))
        return tuple(Reread(entry, context.name(first), context.name(p)) for p in read[:1])
    alone = context.users[first] == (norm,) and len(context.graph.calls[context.layer(first)]) == 1
    return (DropActivation(context.layer(first)),) if alone else ()


def _is_activation(context: Context, index: int) -> bool:
    return context.roles[index] is Role.ACTIVATION and context.activations[index] in _BENDS


def _is_normalized(context: Context, activation: int) -> bool:
    """Whether the activation itself stands after a norm."""
    source = context.read(activation, dropout=True)
    return source is not None and context.is_norm(source)


def _left_inside() -> Context:
    """A relu left inside the convolution."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3), activation="relu", name="conv")
    x = net.relu(net.norm(x, name="norm"), name="relu")
    return net.context(net.conv(1, x))


def _apart() -> Context:
    """Three layers, with a dropout among them."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(32, 32, 3)), name="first")
    x = net.norm(net.add("Dropout", x), name="norm")
    return net.context(net.conv(1, net.add("ReLU", x, name="second")))


def _pre_activation() -> Context:
    """The first pre-activation block after a stem of norm and relu."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))), name="stem")
    y = net.conv(8, net.relu(net.norm(x, name="norm"), name="relu"))
    return net.context(net.conv(1, net.add("Add", x, y)))


def _one_each() -> Context:
    """One activation a norm, before or after it."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.conv(8, net.norm(net.conv(8, x, activation="relu")), activation="relu")
    return net.context(net.conv(1, x))


def _sigmoid_at_the_end() -> Context:
    """A norm between a relu and the sigmoid of the prediction is another rule's matter."""
    net = Sketch()
    x = net.norm(net.conv(1, net.input(32, 32, 3), activation="relu"))
    return net.context(net.add("Activation", x, activation="sigmoid"))


RULE = Rule(
    code="NW105",
    name="double-activation",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Drop the first activation and train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_left_inside, ("conv", "norm", "relu")),
        Invalid(_apart, ("first", "norm", "second")),
        Invalid(_pre_activation, ("stem", "norm", "relu"), Severity.INFO),
    ),
    valid=(_one_each, _sigmoid_at_the_end),
)
