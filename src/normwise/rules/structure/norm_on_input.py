"""A batch normalization scales the input.

## What it does
Finds batch normalizations that read an input of the model, directly or through a cast, a reshape, a
fixed rescaling or noise. A fixed `Normalization` there is right and never reported.

## Why is this bad
It works, and helps where channels have unlike units, but the scale of the input is estimated anew
from each batch, so it is noisy in training and differs from the one used for predictions; the exact
statistics of the data set are known before training and cost one pass.

## Evidence
- Stack Overflow 46771939 (score 33): "easier and more efficient to compute once".
- juliandewit/kaggle_ndsb2017 issue 12 uses it knowingly.
- keras-onnx issue 622 and keras issue 16827: converters stumbled over a batch norm on the input.

## Example
```python
x = keras.layers.BatchNormalization()(inputs)
```

## Use instead
```python
scale = keras.layers.Normalization()
scale.adapt(images)
x = scale(inputs)
```

## Fix safety
A `Normalization` with the batch norm's moving statistics keeps outputs, if gamma and beta are taken
into the first layer; training behaves otherwise.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import Role
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_THROUGH = frozenset({Role.PASS, Role.SHAPE})


def _look(context: Context) -> Iterator[Spot]:
    sources: list[int] = []
    for index, role in enumerate(context.roles):
        producers = context.producers[index]
        through = role in _THROUGH or context.nodes[index].class_name == "Rescaling"
        sources.append(sources[producers[0]] if through and len(producers) == 1 else index)
    for index in context.batch_norms:
        producers = context.producers[index]
        source = sources[producers[0]] if len(producers) == 1 else None
        if source is not None and context.roles[source] is Role.INPUT:
            name, entry = context.layer(index), context.layer(source)
            yield Spot(
                (name,),
                f"{name} scales the input {entry} with the statistics of each batch.",
            )


def _direct() -> Context:
    """A batch norm right after the input."""
    net = Sketch()
    x = net.norm(net.input(32, 32, 9), name="norm")
    return net.context(net.conv(1, net.conv(8, x, activation="relu")))


def _rescaled() -> Context:
    """The same after a rescaling, inside a nested model."""
    inner = Sketch("backbone")
    y = inner.norm(inner.add("Rescaling", inner.input(None, None, 3), scale=1 / 255), name="norm")
    backbone = inner.graph(inner.conv(8, y))
    net = Sketch()
    return net.context(net.nest(backbone, net.input(32, 32, 3), name="backbone"))


def _fixed() -> Context:
    """A fixed `Normalization` with the statistics of the data set."""
    net = Sketch()
    x = net.add("Normalization", net.input(32, 32, 9))
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, x)))))


RULE = Rule(
    code="NW111",
    name="norm-on-input",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Use a Normalization adapted on the training data (`normwise place` with "
    "`standardize@input` in the plan, `--data` and `--retrain`).",
    keeps_outputs=False,
    by_hand="the training data are needed: take the model's own plan (`normwise show MODEL`), "
    "write `standardize@input` for `batch@input` in it, and `normwise place MODEL --norm THAT-PLAN "
    "--data FOLDER --retrain -o OUT`; what the plan doesn't name is removed.",
    invalid=(
        Invalid(_direct, ("norm",)),
        Invalid(_rescaled, ("backbone/norm",)),
    ),
    valid=(_fixed,),
)
