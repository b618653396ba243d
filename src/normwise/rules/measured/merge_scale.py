"""Branches of very different size are joined.

## What it does
Measures, in inference (with norms that nobody trained yet: in training mode), the root mean square
of each tensor that an `Add` or a `Concatenate` joins, and reports a ratio of more than 10 between
the largest and the smallest. Branches whose size a normalization has set, with a gamma that was
learned, are exempt where both ends of the ratio are such; so are residual branches that are small
beside the path that they correct, or start as the identity (a gamma of zero), concatenations that a
normalization reads, and what a layer of one's own makes.

## Why is this bad
The learned layer after the join hardly notices the small branch, so that a skip or a whole decoder
is carried along without effect, and its gradients are small for the same reason.

## Evidence
- The mechanism: the initializers of Keras draw all kernels of a layer from one distribution, so
  that outputs follow the larger inputs.
- Measured on the network of the question as it is built (64x64 pixels of mean 1 and deviation 0.3):
  at its first concatenation the decoder has a root mean square of 0.0078 and the skip one of 0.42,
  53 times as much.

## Example
```python
x = keras.layers.Concatenate()([decoder, keras.layers.Conv2D(32, 3)(raw_image)])
```

## Use instead
```python
skip = keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3)(raw_image))
x = keras.layers.Concatenate()([decoder, skip])
```

## Fix safety
Outputs change; the model has to be trained again. A new norm set to the identity keeps them, until
training moves it.
"""

from collections.abc import Iterator
from math import isfinite

from normwise.graph.catalogue import Role
from normwise.rules.context import BATCH_NORMS, OUTPUT, Context
from normwise.rules.context.measurements import Branches, Measurements
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch, SketchedWeights

MOST = 10.0
"""Ratio of root mean squares."""
ZERO = 0.1
"""Largest gamma of a branch that starts as the identity and has hardly left it."""

_CARRIES = frozenset(
    {Role.PASS, Role.ACTIVATION, Role.POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE, Role.MERGE}
)


def _look(context: Context) -> Iterator[Spot]:
    sized = _sized(context)
    for branches in context.measured.merges if context.measured else ():
        index = _node_of(context, branches)
        if index is None or _is_normalized(context, index):
            continue
        tensors = context.producers[index]
        small = min(range(len(tensors)), key=lambda i: branches.rms[i])
        large = max(range(len(tensors)), key=lambda i: branches.rms[i])
        if branches.rms[large] <= MOST * branches.rms[small]:
            continue
        a, b = tensors[small], tensors[large]
        if not _is_meant(context, index, a, b, sized):
            yield _spot(context, index, branches, (a, small), (b, large))


def _spot(
    context: Context,
    index: int,
    branches: Branches,
    small: tuple[int, int],
    large: tuple[int, int],
) -> Spot:
    (a, i), (b, j) = small, large
    low, high = branches.rms[i], branches.rms[j]
    times = f"{high / low:.3g} times as large as" if low > 0 else "not zero, unlike"
    names = context.layer(index), context.layer(a), context.layer(b)
    return Spot(
        tuple(dict.fromkeys(names)),
        f"{names[0]} joins {names[1]} of root mean square {low:.3g} with {names[2]} of {high:.3g}, "
        f"which is {times} it.",
        fix=f"Normalize {names[2]} before {names[0]}, or both branches, and train again.",
    )


def _node_of(context: Context, branches: Branches) -> int | None:
    """The merge in the graph; None if it isn't there, or joins something else."""
    calls = context.graph.calls.get(branches.layer, ())
    if branches.call >= len(calls) or not all(map(isfinite, branches.rms)):
        return None
    index = calls[branches.call]
    same = len(context.nodes[index].inputs) == len(branches.rms) == len(context.producers[index])
    return index if same and context.roles[index] is Role.MERGE else None


def _is_normalized(context: Context, index: int) -> bool:
    """Whether only normalizations read a concatenation: each channel gets its own scale."""
    readers = context.users[index]
    joins = context.nodes[index].class_name == "Concatenate"
    return joins and bool(readers) and all(r != OUTPUT and context.is_norm(r) for r in readers)


def _is_meant(context: Context, index: int, small: int, large: int, sized: list[bool]) -> bool:
    """Whether a network may well want branches of such sizes, or nobody can tell."""
    if Role.OTHER in (context.roles[small], context.roles[large]):
        return True
    if sized[small] and sized[large]:
        return True
    if context.nodes[index].class_name != "Add":
        return False
    return _reaches(context, large, small) or _starts_at_zero(context, small)


def _sized(context: Context) -> list[bool]:
    """For each node whether a normalization, learned or fixed, has set the size of its result."""
    found: list[bool] = []
    for index, role in enumerate(context.roles):
        producers = context.producers[index]
        carried = role in _CARRIES and bool(producers) and all(found[p] for p in producers)
        found.append(role is Role.NORM or carried)
    return found


def _reaches(context: Context, start: int, end: int) -> bool:
    """Whether a node leads to another at one resolution: a branch corrects the path beside it."""
    scales = context.layout.scales
    pending, seen = [end], {end}
    while pending:
        for producer in context.producers[pending.pop()]:
            if producer == start:
                return True
            if producer > start and producer not in seen and scales[producer] == scales[end]:
                seen.add(producer)
                pending.append(producer)
    return False


def _starts_at_zero(context: Context, index: int) -> bool:
    """Whether a branch ends in a batch norm whose gammas are zero, or nearly so."""
    norm = context.sources[index]
    if context.nodes[norm].class_name not in BATCH_NORMS:
        return False
    weights = context.weights_of(norm)
    gamma = weights.gamma if weights is not None else None
    return gamma is not None and all(abs(value) < ZERO for value in gamma)


def _skip(join: str, *rms: float, normed: bool = False, behind: bool = False) -> Context:
    """A U-Net of one level, with what its merge was seen to join: the decoder, then the skip."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), name="tap")
    x = net.relu(net.norm(net.conv(8, net.relu(tap), strides=(2, 2)), name="deep"))
    up = net.add("UpSampling2D", x, name="up")
    x = net.add(join, up, net.norm(tap, name="skip") if normed else tap, name="join")
    x = net.conv(1, net.relu(net.norm(x)) if behind else x)
    return net.context(x, measured=Measurements(64, merges=(Branches("join", 0, rms),)))


def _large_skip() -> Context:
    """A skip of raw values, 40 times as large as the decoder."""
    return _skip("Concatenate", 0.8, 32.0)


def _dead_branch() -> Context:
    """A skip that is zero everywhere."""
    return _skip("Concatenate", 0.8, 0.0)


def _added() -> Context:
    """The same, added."""
    return _skip("Add", 0.8, 32.0)


def _alike() -> Context:
    """Branches of sizes that differ by less."""
    return _skip("Concatenate", 0.8, 5.0)


def _learned() -> Context:
    """Both branches are normalized: what gamma makes of them was learned."""
    return _skip("Concatenate", 0.8, 32.0, normed=True)


def _norm_behind() -> Context:
    """A norm reads the concatenation, as in DenseNet."""
    return _skip("Concatenate", 0.8, 32.0, behind=True)


def _residual(gamma: float, rms: tuple[float, float]) -> Context:
    """A branch on a trunk without norms."""
    net = Sketch()
    trunk = net.conv(8, net.input(32, 32, 3), name="trunk")
    branch = net.norm(net.conv(8, net.relu(trunk)), name="end")
    x = net.add("Add", trunk, branch, name="join")
    weights = SketchedWeights.of_norms(end=(gamma, 0.0, 0.1, 0.8))
    measured = Measurements(64, merges=(Branches("join", 0, rms),))
    return net.context(net.conv(1, x), weights=weights, measured=measured)


def _identity_start() -> Context:
    """A residual branch with a gamma of zero."""
    return _residual(0.0, (2.0, 0.0))


def _correction() -> Context:
    """A residual branch that is small beside its trunk."""
    return _residual(0.5, (30.0, 0.5))


def _projected() -> Context:
    """A gamma of zero beside a projected shortcut without a norm."""
    net = Sketch()
    trunk = net.relu(net.conv(8, net.input(32, 32, 3)))
    branch = net.norm(net.conv(8, trunk), name="end")
    x = net.add("Add", net.conv(8, trunk), branch, name="join")
    weights = SketchedWeights.of_norms(end=(0.0, 0.0, 0.1, 0.8))
    measured = Measurements(64, merges=(Branches("join", 0, (2.0, 0.0)),))
    return net.context(net.conv(1, x), weights=weights, measured=measured)


RULE = Rule(
    code="NW214",
    name="merge-scale",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Normalize the larger branch before the merge, and train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_large_skip, ("join", "up", "tap")),
        Invalid(_dead_branch, ("join", "tap", "up")),
        Invalid(_added, ("join", "up", "tap")),
    ),
    valid=(_alike, _learned, _norm_behind, _identity_start, _correction, _projected),
    needs_data=True,
)
