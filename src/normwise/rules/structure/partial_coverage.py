"""Some hidden convolutions are normalized and others are not.

## What it does
Lists the convolutions whose result reaches the next learned layer without a normalization on any
way, in a network that normalizes others. The last learned layer before an output, gates and the
squeeze-and-excite branches are no such places.

## Why is this bad
Where a part of the network is left out, the scale of its features is free to drift again, so the
benefit ends at the border; sometimes that part was simply forgotten. Leaving it out on purpose is
sound too, so this is a note.

## Evidence
- Measured: in the network of the question conv6 and the whole decoder are not normalized.

## Example
```python
x = keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3, activation="relu")(x))
x = keras.layers.Conv2D(32, 3, activation="relu")(x)
x = keras.layers.Conv2D(1, 1)(x)
```

## Use instead
```python
x = keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3, activation="relu")(x))
x = keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3, activation="relu")(x))
x = keras.layers.Conv2D(1, 1)(x)
```

## Fix safety
An inserted norm that starts as the identity keeps outputs in inference; `normwise place` does that.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from normwise.graph.catalogue import CONVOLUTIONS
from normwise.graph.regions import HEAD
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    gates = _gates(context)
    hidden = [i for i in context.linears if not gates[i] and _is_hidden(context, i)]
    bare = [i for i in hidden if not context.reaches_norm[i]]
    if not bare or len(bare) == len(hidden):
        return
    yield each_by_itself(context, bare, lambda some: _spot(context, some, len(hidden)))


def _spot(context: Context, bare: Sequence[int], hidden: int) -> Spot:
    regions = Counter(context.layout.regions[i] for i in bare)
    where = ", ".join(f"{count} in the {region}" for region, count in regions.items())
    reach = "reaches" if len(bare) == 1 else "reach"
    return Spot(
        context.layers(bare),
        f"{len(bare)} of {hidden} hidden convolutions {reach} the next learned layer "
        f"without a normalization: {where}.",
    )


def _gates(context: Context) -> list[bool]:
    """For each node whether all that comes of it is a mask that weighs another tensor."""
    masks = context.layout.masks
    found = [False] * len(context.nodes)
    for index in reversed(range(len(context.nodes))) if masks else ():
        readers = context.graph.consumers[index]
        weighs = bool(readers) and all(r in masks or found[r] for r in readers)
        found[index] = index in masks or (weighs and index not in context.outputs)
    return found


def _is_hidden(context: Context, index: int) -> bool:
    """Whether a convolution over space feeds another learned layer."""
    if context.nodes[index].class_name not in CONVOLUTIONS or not context.layout.scales[index]:
        return False  # one value a channel, as in squeeze-and-excite branches and after pooling
    if context.layout.regions[index] == HEAD:
        return False
    return context.reaches_linear[index] or context.reaches_norm[index]


def _forgotten() -> Context:
    """One of two hidden convolutions has no norm."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.conv(16, x, activation="relu", name="bare")
    return net.context(net.conv(1, x))


def _all() -> Context:
    """All hidden convolutions are normalized; the last one must not be."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.norm(net.conv(16, x, activation="relu"))
    return net.context(net.conv(1, x))


def _none() -> Context:
    """No norm at all."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3), activation="relu")
    return net.context(net.conv(1, net.conv(8, x, activation="relu")))


def _squeeze_and_excite() -> Context:
    """The two convolutions of a squeeze-and-excite branch, which see one value a channel."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    gate = net.add("GlobalAveragePooling2D", x, keepdims=True)
    gate = net.conv(2, gate, size=1, activation="relu")
    gate = net.conv(8, gate, size=1, activation="sigmoid")
    return net.context(net.conv(1, net.add("Multiply", x, gate)))


def _attention_gate() -> Context:
    """The convolutions inside the gate of an attention U-Net."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    y = net.relu(net.norm(net.conv(8, x)))
    gate = net.relu(net.add("Add", net.conv(4, x, size=1), net.conv(4, y, size=1)))
    gate = net.add("Activation", net.conv(1, gate, size=1), activation="sigmoid")
    return net.context(net.conv(1, net.add("Concatenate", net.add("Multiply", x, gate), y)))


RULE = Rule(
    code="NW109",
    name="partial-coverage",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Insert the same normalization there (normwise place), or leave it out on purpose.",
    keeps_outputs=True,
    by_hand="leaving them out can be meant; `normwise place` puts normalizations there.",
    invalid=(Invalid(_forgotten, ("bare",)),),
    valid=(_all, _none, _squeeze_and_excite, _attention_gate),
)
