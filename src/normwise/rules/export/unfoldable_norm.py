"""Batch normalizations that no layer beside them can take over.

## What it does
Finds batch norms that can become part of no linear layer, neither before them nor after them.
Before: every way back ends, through pooling, up-sampling or concatenation that nothing else reads,
in a linear layer without an activation that nothing else reads. After: every way on ends likewise
in a linear layer, also through `Flatten`. Neither layer nor norm may be called twice. It only notes
them, all in one.

## Why is this bad
In inference a batch norm is a scale and a shift, which costs nothing as part of a convolution and a
pass over memory by itself; converters that fold regardless return wrong numbers.

## Evidence
- pytorch/glow issue 5892: wrong numbers where the relu between convolution and norm was ignored.
- tflite-micro issue 1651: convolution, activation, norm is not fused.
- tensorflow/model-optimization, default 8-bit patterns, read in the source: convolution and norm,
  with a relu after it or without, and no others.
- Measured: in small networks folding bought no speed; LiteRT, ONNX from TensorFlow and OpenVINO
  fold what can be folded by themselves.
- Networks are built so on purpose: 62 of the 121 batch norms of DenseNet121 are such, and 16 of the
  49 of ResNet50V2.

## Example
```python
x = keras.layers.Add()([x, y])
x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
```

## Use instead
```python
y = keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(y))
x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
```

## Fix safety
Outputs change: the model has to be trained again. Where size and speed don't matter there is
nothing to mend.
"""

from collections.abc import Iterator, Sequence

from normwise.graph.catalogue import CONVOLUTIONS, Role
from normwise.rules.context import BATCH_NORMS, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

_TAKES = CONVOLUTIONS | {"Dense"}
_OPEN = frozenset([Role.PASS, Role.POOL, Role.GLOBAL_POOL, Role.RESAMPLE, Role.BORDER])


def _look(context: Context) -> Iterator[Spot]:
    back, forward = _back(context), _forward(context)
    stuck = [
        index
        for index in context.batch_norms
        if context.nodes[index].kwargs.get("training") is not True
        and not (_is_alone(context, index) and (_all(context, index, back) or forward[index]))
    ]
    if stuck:
        every = len(context.layers(context.batch_norms))
        yield each_by_itself(context, stuck, lambda some: _spot(context, some, every))


def _spot(context: Context, stuck: Sequence[int], every: int) -> Spot:
    layers = context.layers(stuck)
    return Spot(
        layers,
        f"{len(layers):,} of {counted(every, 'batch normalization')} can't become part of the "
        "layers beside them.",
    )


def _is_alone(context: Context, index: int) -> bool:
    return len(context.graph.calls[context.layer(index)]) == 1


def _all(context: Context, index: int, found: Sequence[bool]) -> bool:
    producers = context.producers[index]
    return bool(producers) and all(found[p] for p in producers)


def _takes(context: Context, index: int) -> bool:
    known = context.roles[index] is Role.LINEAR and context.nodes[index].class_name in _TAKES
    return known and _is_alone(context, index)


def _is_open(context: Context, index: int, back: bool) -> bool:
    """Whether a scale and a shift pass a node; a sum only on the way back, `Flatten` only forward.

    They pass another batch norm that goes the same way.
    """
    name, role = context.nodes[index].class_name, context.roles[index]
    joins = name == "Concatenate" or (back and name == "Add")
    flattens = name == "Flatten" and not back
    folds = name in BATCH_NORMS and role is Role.NORM and _is_alone(context, index)
    return role in _OPEN or folds or flattens or (role is Role.MERGE and joins)


def _back(context: Context) -> list[bool]:
    """For each node whether a scale and a shift of what it makes can be done before."""
    found: list[bool] = []
    for index in range(len(context.nodes)):
        alone = index not in context.outputs and len(context.graph.consumers[index]) == 1
        linear = _takes(context, index) and context.activations[index] is None
        passes = _is_open(context, index, back=True) and _all(context, index, found)
        found.append(alone and (linear or passes))
    return found


def _forward(context: Context) -> list[bool]:
    """For each node whether a scale and a shift of what it makes can be done after it."""
    found = [False] * len(context.nodes)
    for index in reversed(range(len(context.nodes))):
        readers = context.graph.consumers[index]
        found[index] = (
            bool(readers)
            and index not in context.outputs
            and all(
                _takes(context, r) or (_is_open(context, r, back=False) and found[r])
                for r in readers
            )
        )
    return found


def _behind_a_sum() -> Context:
    """A norm after the sum of a residual block, before an activation."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    x = net.add("Add", x, net.conv(8, net.relu(net.norm(x, name="first"))))
    return net.context(net.conv(1, net.relu(net.norm(x, name="last"))))


def _between_activations() -> Context:
    """A norm with an activation on either side."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"), name="norm")
    return net.context(net.conv(1, net.add("Activation", x, activation="tanh")))


def _called_twice() -> Context:
    """A norm that two branches share."""
    net = Sketch()
    first = net.norm(net.conv(8, net.input(32, 32, 3)), name="norm")
    second = net.again("norm", net.conv(8, net.input(32, 32, 3)))
    return net.context(net.conv(1, net.relu(net.add("Add", first, second))))


def _usual() -> Context:
    """Convolution, norm, activation; dense layer, dropout, norm."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.dense(8, net.add("GlobalAveragePooling2D", x))
    return net.context(net.dense(1, net.relu(net.norm(net.add("Dropout", x)))))


def _into_the_next_layers() -> Context:
    """A norm after an activation that two convolutions read, one through a concatenation."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"))
    y = net.conv(8, x, activation="relu")
    return net.context(net.conv(1, net.add("Concatenate", net.add("MaxPooling2D", x), y)))


def _flattened() -> Context:
    """A norm after an activation and before the dense layers of a classifier."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3), activation="relu"))
    return net.context(net.dense(1, net.add("Flatten", net.add("MaxPooling2D", x))))


def _joined_before() -> Context:
    """A norm after a concatenation of convolutions that nothing else reads."""
    net = Sketch()
    x = net.input(32, 32, 3)
    x = net.add("Concatenate", net.conv(8, x), net.add("UpSampling2D", net.conv(8, x)))
    return net.context(net.conv(1, net.relu(net.norm(x))))


def _other_norms() -> Context:
    """Norms of each input, which no convolution can do."""
    net = Sketch()
    x = net.add("GroupNormalization", net.relu(net.conv(8, net.input(32, 32, 3))), groups=4)
    return net.context(net.conv(1, net.relu(net.add("LayerNormalization", x))))


RULE = Rule(
    code="NW301",
    name="unfoldable-norm",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Where inference has to be fast: put these norms between a linear layer and its "
    "activation, and train again.",
    keeps_outputs=False,
    by_hand="it matters only where inference has to be fast; `normwise place` puts "
    "norms elsewhere.",
    invalid=(
        Invalid(_behind_a_sum, ("first", "last")),
        Invalid(_between_activations, ("norm",)),
        Invalid(_called_twice, ("norm",)),
    ),
    valid=(_usual, _into_the_next_layers, _flattened, _joined_before, _other_norms),
)
