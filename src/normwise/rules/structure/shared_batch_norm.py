"""One batch normalization called on several streams.

## What it does
Finds batch norms that the model calls more than once on different tensors, alone or in a nested
model. Where the calls are those of a tower that reads several inputs of one shape (a Siamese
network), each scaled or reshaped in the same way, or slices of one tensor, the streams may be
alike, and it is a note. Frozen batch norms learn no statistics and are exempt.

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

from collections.abc import Iterator, Sequence

from normwise.graph.catalogue import Role
from normwise.graph.graph import Graph, Tensor, map_tensors, thaw
from normwise.norms.mends import SplitNorm
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_SLICES = frozenset({"GetItem", "Split", "Unstack"})
"""Ops that take parts of one tensor."""
_OWN = frozenset({"name", "seed"})
"""Settings that Keras makes up for each layer."""


def _look(context: Context) -> Iterator[Spot]:
    made: Sequence[int] | None = None
    reported: set[str] = set()
    for index in context.batch_norms:
        calls = context.graph.calls[context.layer(index)]
        if len(calls) < 2 or context.is_frozen(index) or context.layer(index) in reported:
            continue
        reported.add(context.layer(index))
        if len({context.graph.nodes[call].inputs for call in calls}) < 2:
            continue
        made = _made_alike(context) if made is None else made
        alike = len({made[call] for call in calls}) == 1
        what = "inputs that may be alike" if alike else "different streams"
        yield Spot(
            (context.layer(index),),
            f"{context.layer(index)} is called {len(calls)} times, on {what}, and has one set of "
            "moving statistics for all of them.",
            Severity.INFO if alike else None,
            mends=() if alike else (SplitNorm(context.layer(index)),),
            by_hand="the streams may be alike, and one normalization meant for both.",
        )


def _made_alike(context: Context) -> Sequence[int]:
    """A number for each node, the same for those that make the same of inputs of one shape.

    Those are the calls of one layer, and layers without weights of one class and settings.
    """
    numbers: dict[object, int] = {}
    found: list[int] = []
    for index, node in enumerate(context.nodes):
        what = _what_it_does(context, index)
        read = tuple(_read(context, tensor, found) for tensor in node.inputs)
        found.append(numbers.setdefault((what, read), len(numbers)))
    return found


def _read(context: Context, tensor: Tensor, made: Sequence[int]) -> tuple[int, object]:
    """What made a tensor, and which output it is; the parts of a tensor are told by their shape."""
    split = context.nodes[tensor.node].class_name in _SLICES
    return made[tensor.node], context.graph.spec(tensor).shape if split else tensor.output


def _what_it_does(context: Context, index: int) -> object:
    """What tells a node from others that read the same."""
    node = context.nodes[index]
    if context.roles[index] is Role.INPUT:
        return "input", node.shape
    if node.class_name in _SLICES:
        return "part", node.class_name, node.shape
    if context.parameters[node.layer] != 0:
        return "layer", node.layer
    settings = {key: value for key, value in node.config.items() if key not in _OWN}
    constants = map_tensors((node.args, node.kwargs), lambda _: None)
    return node.class_name, node.module, repr(thaw((settings, constants)))


def _two_streams() -> Context:
    """One batch norm after two different convolutions."""
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


def _tower() -> Graph:
    """A convolution, a norm and a pooling."""
    net = Sketch("tower")
    y = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.graph(net.add("GlobalAveragePooling2D", y))


def _siamese() -> Context:
    """A tower on two inputs of one shape."""
    net = Sketch()
    a, b = net.input(32, 32, 3), net.input(32, 32, 3)
    x = net.add("Subtract", net.nest(_tower(), a, name="tower"), net.again("tower", b))
    return net.context(net.dense(1, x))


def _siamese_of_scaled_inputs() -> Context:
    """The same, with a scaling of its own for each input."""
    net = Sketch()
    a, b = (net.add("Rescaling", net.input(32, 32, 3), scale=1 / 255) for _ in range(2))
    x = net.add("Subtract", net.nest(_tower(), a, name="tower"), net.again("tower", b))
    return net.context(net.dense(1, x))


def _siamese_of_slices() -> Context:
    """The same on a pair of images in one input."""
    net = Sketch()
    pair = net.input(2, 32, 32, 3)
    a, b = (net.add("GetItem", pair, key=number) for number in (0, 1))
    x = net.add("Subtract", net.nest(_tower(), a, name="tower"), net.again("tower", b))
    return net.context(net.dense(1, x))


def _scaled_differently() -> Context:
    """A tower on two inputs whose scalings are not the same."""
    net = Sketch()
    a, b = (net.add("Rescaling", net.input(32, 32, 3), scale=scale) for scale in (1 / 255, 1.0))
    x = net.add("Subtract", net.nest(_tower(), a, name="tower"), net.again("tower", b))
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
        Invalid(_siamese_of_scaled_inputs, ("tower/norm",), Severity.INFO),
        Invalid(_siamese_of_slices, ("tower/norm",), Severity.INFO),
        Invalid(_scaled_differently, ("tower/norm",)),
    ),
    valid=(_other_layers_shared, _frozen),
)
