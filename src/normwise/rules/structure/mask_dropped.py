"""A mask is lost before a batch normalization.

## What it does
Follows the mask of a `Masking` or `Embedding(mask_zero=True)` and reports a batch norm after a
layer that doesn't pass masks on (a convolution, pooling, padding, reshape or raw op). Layers of
unknown classes end the search.

## Why is this bad
Without the mask the padded steps of short sequences count in mean and variance, so the statistics
depend on how long the other samples of a batch are.

## Evidence
- Keras source: batch normalization leaves masked steps out of its moments where it gets a mask; the
  convolutions destroy it, with a warning that is easy to miss.
- tensorflow issue 30161, keras issue 3228, keras issue 18759 (early Keras 3 ignored masks); wrong
  moments with masks were mended in January 2025 (keras pull request 20815).

## Example
```python
x = keras.layers.Embedding(10000, 64, mask_zero=True)(tokens)
x = keras.layers.Conv1D(64, 3)(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.Embedding(10000, 64, mask_zero=True)(tokens)
x = keras.layers.Conv1D(64, 3)(x)
x = keras.layers.LayerNormalization()(x)  # each step by itself
```

## Fix safety
Outputs change with another normalization. Passing the mask on (`norm(x, mask=mask)`) changes the
statistics in training only.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS, Role
from normwise.graph.masks import makes_mask, passes_mask
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_DROPS = frozenset({Role.POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE})
_PASSES = frozenset({Role.PASS, Role.ACTIVATION, Role.NORM, Role.MERGE})
_THERE = -1
"""Stands for a mask that is still there; else the node that lost it, or None for no mask."""


def _look(context: Context) -> Iterator[Spot]:
    if not any(map(makes_mask, context.nodes)):
        return
    lost = _lost(context)
    for index in context.batch_norms:
        producers = context.producers[index]
        by = lost[producers[0]] if len(producers) == 1 else None
        given = context.nodes[index].kwargs.get("mask") is not None
        still = context.is_frozen(index) or index in context.resting
        if by is None or by == _THERE or given or still:
            continue
        names = (context.layer(by), context.layer(index))
        yield Spot(
            names,
            f"{names[1]} counts padded steps, because {names[0]} "
            f"({context.nodes[by].class_name}) doesn't pass the mask on.",
        )


def _lost(context: Context) -> list[int | None]:
    """What became of the mask of what each node makes."""
    found: list[int | None] = []
    for index, node in enumerate(context.nodes):
        states = {found[p] for p in context.producers[index]}
        state = states.pop() if len(states) == 1 else None
        if context.steps[index] or node.class_name in (SPLIT_STEPS, JOIN_STEPS):
            found.append(state)  # each step by itself: the mask goes on around it
        elif makes_mask(node):
            found.append(_THERE)
        elif state is None or (node.shape is not None and len(node.shape) < 3):
            found.append(None)
        elif _loses(context, index):
            found.append(index if state == _THERE else state)
        else:
            found.append(state if passes_mask(node) else None)
    return found


def _loses(context: Context, index: int) -> bool:
    node, role = context.nodes[index], context.roles[index]
    if role in _DROPS or node.class_name == "RMSNormalization":
        return True
    if role is Role.LINEAR:
        return node.class_name != "Dense"
    return node.is_op and role in _PASSES


def _convolution() -> Context:
    """An embedding with a mask, a convolution, a batch norm."""
    net = Sketch()
    x = net.add("Embedding", net.input(20, dtype="int32"), mask_zero=True)
    x = net.add("Conv1D", x, filters=8, kernel_size=(3,), name="conv")
    return net.context(net.dense(1, net.relu(net.norm(x, name="norm"))))


def _long_way() -> Context:
    """A Masking, layers that pass the mask on, pooling, others, and a batch norm."""
    net = Sketch()
    x = net.dense(8, net.add("Masking", net.input(20, 4)))
    x = net.add("LSTM", net.add("Dropout", x), return_sequences=True)
    x = net.add("MaxPooling1D", x, pool_size=(2,), name="pool")
    return net.context(net.dense(1, net.norm(net.relu(net.dense(8, x)), name="norm")))


def _kept() -> Context:
    """Only layers that pass the mask on."""
    net = Sketch()
    x = net.add("Embedding", net.input(20, dtype="int32"), mask_zero=True)
    return net.context(net.dense(1, net.norm(net.relu(net.dense(8, x)))))


def _aggregated() -> Context:
    """The last state of an LSTM: no steps are left that could be padding."""
    net = Sketch()
    x = net.add("Masking", net.input(20, 4))
    x = net.norm(net.dense(8, net.add("LSTM", x)))
    return net.context(net.dense(1, x))


def _no_mask() -> Context:
    """An embedding without a mask."""
    net = Sketch()
    x = net.add("Embedding", net.input(20, dtype="int32"))
    x = net.add("Conv1D", x, filters=8, kernel_size=(3,))
    return net.context(net.dense(1, net.norm(x)))


RULE = Rule(
    code="NW121",
    name="mask-dropped",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Pass the mask on by hand, use layer normalization, or batch samples of equal length.",
    keeps_outputs=False,
    by_hand="where the mask should go on is for whoever wrote the model to say.",
    invalid=(
        Invalid(_convolution, ("conv", "norm")),
        Invalid(_long_way, ("pool", "norm")),
    ),
    valid=(_kept, _aggregated, _no_mask),
)
