"""SELU or AlphaDropout beside a normalization.

## What it does
Finds normalizations that read a SELU or an AlphaDropout, or are read by one.

## Why is this bad
SELU keeps mean and variance where they are by itself, as long as nothing else sets them; a
normalization beside it does that work twice and takes SELU's guarantee away. AlphaDropout is made
for exactly that state.

## Evidence
- Klambauer et al. 2017 (Self-Normalizing Neural Networks) derive SELU for networks without
  normalization.
- AutoTrainer mixes the two in its repairs, so they are met together in practice.

## Example
```python
x = keras.layers.Dense(64, activation="selu")(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.Dense(64, activation="selu", kernel_initializer="lecun_normal")(x)
```

## Fix safety
Outputs change, whether the normalization goes or the activation is exchanged; the model has to be
trained again.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.norms.mends import RemoveNorm
from normwise.rules.context import OUTPUT, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import named


def _look(context: Context) -> Iterator[Spot]:
    found = {norm: other for norm in context.norms if (other := _beside(context, norm)) is not None}
    for index, node in enumerate(context.nodes):
        source = context.sources[index]
        if node.class_name == "AlphaDropout" and context.is_norm(source):
            found.setdefault(source, index)

    def said(norms: list[int]) -> Spot:
        layers = context.layers(norms)
        told = named([f"{context.layer(n)} beside {context.layer(found[n])}" for n in norms])
        stand = "normalization stands" if len(layers) == 1 else "normalizations stand"
        return Spot(
            layers,
            f"{len(layers)} {stand} beside SELU or AlphaDropout: {told}.",
            mends=tuple(RemoveNorm(context.name(n)) for n in norms),
        )

    if found:
        yield each_by_itself(context, found, said)


def _beside(context: Context, norm: int) -> int | None:
    """A SELU that a normalization reads or is read by, or an AlphaDropout that it reads."""
    source = context.read(norm, dropout=True)
    if source is None:
        return None
    if context.activations[source] == "selu":
        return source
    index = context.producers[norm][0]
    if context.nodes[index].class_name == "AlphaDropout":
        return index
    readers = (r for r in context.users[norm] if r != OUTPUT)
    # A linear layer reads something else than its fused activation does.
    bends = (r for r in readers if context.roles[r] is Role.ACTIVATION)
    return next((r for r in bends if context.activations[r] == "selu"), None)


def _fused() -> Context:
    """A dense layer with SELU, and a batch norm after it."""
    net = Sketch()
    x = net.norm(net.dense(16, net.input(8), activation="selu"), name="norm")
    return net.context(net.dense(1, x))


def _apart() -> Context:
    """A batch norm, and SELU after it."""
    net = Sketch()
    x = net.norm(net.dense(16, net.input(8)), name="norm")
    return net.context(net.dense(1, net.add("Activation", x, activation="selu")))


def _alpha_dropout() -> Context:
    """An AlphaDropout between a layer and its norm."""
    net = Sketch()
    x = net.add("AlphaDropout", net.dense(16, net.input(8), activation="elu"))
    return net.context(net.dense(1, net.norm(x, name="norm")))


def _layer_between() -> Context:
    """A norm at the input and SELU in the layers after it: the first layer lies between."""
    net = Sketch()
    x = net.dense(16, net.norm(net.input(8)), activation="selu")
    return net.context(net.dense(1, net.dense(16, x, activation="selu")))


RULE = Rule(
    code="NW115",
    name="selu-with-norm",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Remove these normalizations, or use another activation and plain dropout; train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_fused, ("norm",)),
        Invalid(_apart, ("norm",)),
        Invalid(_alpha_dropout, ("norm",)),
    ),
    valid=(_layer_between,),
)
