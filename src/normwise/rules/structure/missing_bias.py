"""A layer without a bias whose activation stands before its normalization.

## What it does
Finds layers with `use_bias=False` whose own activation comes first and the normalization after it.
Where the layer reads a normalization with a beta, that one gives it an offset, and the finding is
only a note.

## Why is this bad
Without a bias the activation has its kink at zero for every filter, and the normalization after it
can no longer move that point. A bias can be left out only where the normalization stands between
layer and activation.

## Evidence
- karolzak/keras-unet, `custom_unet`: `Conv2D(activation="relu", use_bias=not use_batch_norm)` and
  then the batch norm, read in the source.
- Measured: no such layer in 12 networks of keras.applications.

## Example
```python
x = keras.layers.Conv2D(32, 3, activation="relu", use_bias=False)(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3, use_bias=False)(x)
x = keras.layers.BatchNormalization()(x)
x = keras.layers.ReLU()(x)
```

## Fix safety
Adding a bias of zero keeps outputs; training has to go on to make use of it. Moving the
normalization before the activation changes outputs.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.graph.catalogue import Role, has_bias
from normwise.norms.mends import AddBias
from normwise.rules.context import BATCH_NORMS, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import named

_CENTERED = BATCH_NORMS | {"GroupNormalization", "LayerNormalization"}
"""Norms with a beta unless told otherwise."""
_OPEN = frozenset({Role.PASS, Role.POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE})


def _look(context: Context) -> Iterator[Spot]:
    bare = [
        index
        for index in context.linears
        if not has_bias(context.nodes[index]) and _is_bent_before_norm(context, index)
    ]
    origins = context.seen_through(_OPEN) if bare else ()
    found: dict[bool, list[int]] = {False: [], True: []}
    for index in bare:
        found[_reads_beta(context, origins, index)].append(index)
    for offset, indices in found.items():
        if indices:
            yield each_by_itself(context, indices, partial(_spot, context, offset))


def _spot(context: Context, offset: bool, indices: Sequence[int]) -> Spot:
    layers = context.layers(indices)
    have = "has" if len(layers) == 1 else "have"
    said = "; the beta before it is all that moves it" if offset else ""
    return Spot(
        layers,
        f"{named(layers)} {have} no bias, but the normalization comes only after the "
        f"activation{said}.",
        Severity.INFO if offset else None,
        mends=tuple(map(AddBias, layers)),
    )


def _is_bent_before_norm(context: Context, index: int) -> bool:
    """Whether nothing but a nonlinearity, and then a norm, reads the layer."""
    if context.activations[index] is None:
        reader = context.only_reader(index)
        if reader is None or context.roles[reader] is not Role.ACTIVATION:
            return False
        index = reader
    readers = context.users[index]
    return bool(readers) and all(reader >= 0 and context.is_norm(reader) for reader in readers)


def _reads_beta(context: Context, origins: Sequence[int], index: int) -> bool:
    """Whether a normalization with an offset stands before the layer."""
    producers = context.producers[index]
    before = origins[producers[0]] if len(producers) == 1 else None
    if before is None or context.roles[before] is not Role.NORM:
        return False
    node = context.nodes[before]
    return node.class_name in _CENTERED and node.config.get("center", True) is not False


def _fused() -> Context:
    """A fused activation, the norm after it, at the input."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3), activation="relu", use_bias=False, name="conv")
    return net.context(net.conv(1, net.norm(x)))


def _apart() -> Context:
    """The same with a layer for the activation, and dropout before the norm."""
    net = Sketch()
    x = net.relu(net.conv(16, net.input(32, 32, 3), use_bias=False, name="conv"))
    return net.context(net.conv(1, net.norm(net.add("Dropout", x))))


def _behind_a_beta() -> Context:
    """A later layer, which gets an offset from the norm before it."""
    net = Sketch()
    x = net.norm(net.conv(16, net.input(32, 32, 3), activation="relu"))
    x = net.conv(16, x, activation="relu", use_bias=False, name="conv")
    return net.context(net.conv(1, net.norm(x)))


def _behind_fixed_scaling() -> Context:
    """A first layer after a fixed `Normalization`, which has no beta that is learned."""
    net = Sketch()
    x = net.add("Normalization", net.input(32, 32, 3))
    x = net.conv(16, x, activation="relu", use_bias=False, name="conv")
    return net.context(net.conv(1, net.norm(x)))


def _norm_between() -> Context:
    """The norm between layer and activation: its beta is the offset."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(16, net.input(32, 32, 3), use_bias=False)))
    return net.context(net.conv(1, x))


def _no_norm() -> Context:
    """A layer without a bias and without a norm: nobody meant one to replace the other."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3), activation="relu", use_bias=False)
    return net.context(net.conv(1, x))


RULE = Rule(
    code="NW103",
    name="missing-bias",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Set use_bias=True, or move the normalization before the activation; then train again.",
    keeps_outputs=True,
    invalid=(
        Invalid(_fused, ("conv",)),
        Invalid(_apart, ("conv",)),
        Invalid(_behind_a_beta, ("conv",), Severity.INFO),
        Invalid(_behind_fixed_scaling, ("conv",)),
    ),
    valid=(_norm_between, _no_norm),
)
