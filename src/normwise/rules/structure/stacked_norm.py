"""A normalization right after another one.

## What it does
Finds a norm that reads another norm's result directly, and a norm after a norm and its activation
where nothing else uses what lies between. Where layers read an activation after the second one, it
is the pre-activation block after a norm and relu, and only a note; so is a norm that begins a
residual block whose shortcut reads the first one too, as after the patches of a vision
transformer, and so are two norms of different kinds over different axes.

## Why is this bad
A tensor that is normalized already comes out of the second norm the same up to scale and shift,
which one pair of gamma and beta does as well. It costs time, memory and a second set of statistics;
mostly it is glue that was written on both sides of a block's border.

## Evidence
- raghakot/keras-resnet pull request 36, merged: a duplicated batch norm and relu at the end.
- fastai pull request 3015 removed one.
- THUDM/GCC issue 15: kept on purpose in a graph network, so it is not always an accident.
- Measured: no batch norm directly on a batch norm in 12 networks of keras.applications.

## Example
```python
x = keras.layers.BatchNormalization()(x)
x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
x = keras.layers.BatchNormalization()(x)
```

## Fix safety
Of two batch norms in a row the second can be taken into gamma and beta of the first, and outputs
stay. With an activation between they change.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from normwise.graph.catalogue import Role
from normwise.norms.mends import RemoveNorm
from normwise.rules.context import BATCH_NORMS, OUTPUT, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

_AT_THE_END = frozenset({Role.POOL, Role.GLOBAL_POOL, Role.SHAPE})
_TWO_KINDS = "norms of two kinds, over different axes, may both be meant."
_BY_DESIGN = "a block may begin so on purpose."
_SHORTCUT = Role.PASS, Role.SHAPE, Role.BORDER, Role.POOL, Role.RESAMPLE, Role.NORM, Role.LINEAR
"""What may stand on a shortcut, if nothing on it is nonlinear."""


def _look(context: Context) -> Iterator[Spot]:
    shortcuts: Sequence[tuple[int, ...]] | None = None
    for index in context.norms:
        source = context.read(index)
        if source is None:
            continue
        if context.is_norm(source):
            shortcuts = _shortcuts(context) if shortcuts is None else shortcuts
            yield _direct(context, source, index, shortcuts)
        elif context.roles[source] is Role.ACTIVATION:
            first = context.read(source)
            if first is not None and context.is_norm(first):
                yield _around(context, first, source, index)


def _direct(
    context: Context, first: int, second: int, shortcuts: Sequence[tuple[int, ...]]
) -> Spot:
    names = (context.layer(first), context.layer(second))
    alike = _axis_kind(context, first) == _axis_kind(context, second)
    both_batch = all(context.nodes[i].class_name in BATCH_NORMS for i in (first, second))
    alone = context.only_reader(first) == second
    block = any(reader != second for reader in shortcuts[first])
    meant = block or not alike
    return Spot(
        names,
        f"{names[1]} normalizes what {names[0]} has just normalized.",
        Severity.INFO if meant else None,
        f"Remove {names[1]}.",
        keeps_outputs=both_batch and alone,
        mends=() if meant else (RemoveNorm(context.name(second)),),
        by_hand=_TWO_KINDS if not alike else _BY_DESIGN,
    )


def _shortcuts(context: Context) -> Sequence[tuple[int, ...]]:
    """For each node two at most of its readers that are sums, or lead to one linearly."""
    found = [False] * len(context.nodes)
    for index in reversed(range(len(context.nodes))):
        role = context.roles[index]
        if role is Role.MERGE:
            found[index] = context.nodes[index].class_name == "Add"
        elif role in _SHORTCUT and context.activations[index] is None:
            found[index] = any(found[reader] for reader in context.graph.consumers[index])
    ways = ((r for r in users if r != OUTPUT and found[r]) for users in context.users)
    return [tuple(islice(readers, 2)) for readers in ways]


def _axis_kind(context: Context, index: int) -> str:
    """Norms over each channel are alike, those over all features of a position too."""
    name = context.nodes[index].class_name
    return "position" if name in {"LayerNormalization", "RMSNormalization"} else "channel"


def _around(context: Context, first: int, activation: int, second: int) -> Spot:
    names = tuple(context.layer(i) for i in (first, activation, second))
    alone = context.only_reader(first) == activation and context.only_reader(activation) == second
    alike = _axis_kind(context, first) == _axis_kind(context, second)
    block = any(
        reader != OUTPUT and context.roles[reader] is Role.ACTIVATION and not _ends(context, reader)
        for reader in context.users[second]
    )
    meant = block or not alone or not alike
    return Spot(
        names,
        f"{names[2]} normalizes again what {names[0]} has normalized before {names[1]}.",
        Severity.INFO if meant else None,
        f"Remove {names[2]} and train again.",
        mends=() if meant else (RemoveNorm(context.name(second)),),
        by_hand=_TWO_KINDS if not alike else _BY_DESIGN,
    )


def _ends(context: Context, activation: int) -> bool:
    """Whether no layer reads an activation but pooling and reshapes: no block begins there."""
    return all(r == OUTPUT or context.roles[r] in _AT_THE_END for r in context.users[activation])


def _twice() -> Context:
    """Two batch norms in a row."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), name="one")
    return net.context(net.conv(1, net.relu(net.norm(x, name="two"))))


def _through_identities() -> Context:
    """The same across the border of a nested model, with a dropout of rate 0."""
    inner = Sketch("block")
    y = inner.norm(inner.input(None, None, 8), name="two")
    block = inner.graph(inner.relu(y))
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(8, net.input(32, 32, 3)), groups=4, name="one")
    x = net.nest(block, net.add("Dropout", x, rate=0.0), name="block")
    return net.context(net.conv(1, x))


def _glue() -> Context:
    """A norm after a norm and its relu, and no activation after it."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="one"), name="relu")
    return net.context(net.conv(1, net.norm(x, name="two")))


def _twice_at_the_end() -> Context:
    """Norm and relu twice before the last pooling: no block begins there."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="one"), name="relu")
    x = net.add("GlobalAveragePooling2D", net.relu(net.norm(x, name="two")))
    return net.context(net.dense(10, x))


def _pre_activation() -> Context:
    """The first pre-activation block after a stem of norm and relu."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="one"), name="stem")
    y = net.conv(8, net.relu(net.norm(x, name="two")))
    return net.context(net.conv(1, net.add("Add", x, y)))


def _pre_norm() -> Context:
    """The first block of a transformer after normalized patches: its sum reads them too."""
    net = Sketch()
    x = net.conv(16, net.input(32, 32, 3), size=4, strides=(4, 4))
    x = net.add("LayerNormalization", x, name="one")
    y = net.add("LayerNormalization", x, name="two")
    x = net.add("Add", x, net.dense(16, net.dense(64, y, activation="gelu")))
    return net.context(net.dense(1, x))


def _projected_shortcut() -> Context:
    """A pre-activation block after a stem of convolution and norm, with a projection."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), name="one")
    y = net.conv(16, net.relu(net.norm(x, name="two")), strides=(2, 2))
    x = net.add("Add", net.norm(net.conv(16, x, size=1, strides=(2, 2))), y)
    return net.context(net.conv(1, net.relu(x)))


def _two_kinds() -> Context:
    """A layer norm after a batch norm, as where two parts of a network meet."""
    net = Sketch()
    x = net.norm(net.dense(8, net.input(16)), name="one")
    return net.context(net.dense(1, net.relu(net.add("LayerNormalization", x, name="two"))))


def _scaled_input() -> Context:
    """A batch norm after a fixed `Normalization` of the input, which learns nothing."""
    net = Sketch()
    x = net.norm(net.add("Normalization", net.input(32, 32, 3)))
    return net.context(net.conv(1, x))


def _layer_between() -> Context:
    """A convolution, or an addition, between two norms."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)))
    y = net.norm(net.conv(8, x))
    return net.context(net.conv(1, net.norm(net.add("Add", x, y))))


RULE = Rule(
    code="NW106",
    name="stacked-norm",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Remove the second normalization.",
    keeps_outputs=False,
    invalid=(
        Invalid(_twice, ("one", "two")),
        Invalid(_through_identities, ("one", "block/two")),
        Invalid(_glue, ("one", "relu", "two")),
        Invalid(_twice_at_the_end, ("one", "relu", "two")),
        Invalid(_pre_activation, ("one", "stem", "two"), Severity.INFO),
        Invalid(_pre_norm, ("one", "two"), Severity.INFO),
        Invalid(_projected_shortcut, ("one", "two"), Severity.INFO),
        Invalid(_two_kinds, ("one", "two"), Severity.INFO),
    ),
    valid=(_scaled_input, _layer_between),
)
