"""An epsilon that is larger than the variance.

## What it does
Compares the moving variances of batch norms with `epsilon`: where half of the channels have a
smaller variance it warns, where half of them have less than ten times epsilon it is a note.
Channels that are constant don't count.

## Why is this bad
Values are divided by sqrt(variance + epsilon), so that a norm whose epsilon is larger than the
variance normalizes little: what it makes has a spread far below gamma.

## Evidence
- Measured at Keras' default of 1e-3: inputs with standard deviations of 0.1, 0.03 and 0.01 leave a
  batch norm with 0.95, 0.69 and 0.30 instead of 1.
- nn-transfer issue 3: 1e-3 in the place of PyTorch's 1e-5 makes "a major difference in output".
- A network that was trained with its epsilon has learned around it, therefore the note.

## Example
```python
x = keras.layers.BatchNormalization(epsilon=1e-3)(x)  # the variance of x is 1e-4
```

## Use instead
```python
x = keras.layers.BatchNormalization(epsilon=1e-5)(x)  # or scale the input
```

## Fix safety
Outputs in inference stay where gamma takes over the ratio of sqrt(variance + epsilon) after and
before; alone, another epsilon changes them.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.norms.mends import Mend, SetArguments
from normwise.rules.context import Context
from normwise.rules.context.numbers import number, share_below
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch, SketchedWeights
from normwise.rules.words import counted

CONSTANT = 1e-12
"""A variance below which a channel is constant."""
NEAR = 10
SMALLER = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Epsilons that are tried in the place of a large one."""


def _look(context: Context) -> Iterator[Spot]:
    shares = {index: share for index in _once(context) if (share := _share(context, index))}
    for severity, largest in ((None, 1.0), (Severity.INFO, float(NEAR))):
        norms = [i for i, share in shares.items() if share <= largest]
        for index in norms:
            del shares[index]
        if norms:
            yield each_by_itself(context, norms, partial(_spot, context, severity))


def _spot(context: Context, severity: Severity | None, norms: Sequence[int]) -> Spot:
    layers = context.layers(norms)
    than = "epsilon" if severity is None else f"{NEAR} times epsilon"
    return Spot(
        layers,
        f"In {counted(len(norms), 'batch normalization')} half of the channels have a "
        f"variance below {than}, such as {layers[0]} with "
        f"epsilon={number(context.nodes[norms[0]].config.get('epsilon', 1e-3)):g}.",
        severity,
        mends=_mends(context, norms),
        by_hand="without a gamma nothing makes up for another epsilon.",
    )


def _mends(context: Context, norms: Sequence[int]) -> tuple[Mend, ...]:
    """The largest usual epsilon far below most variances; none if any norm has no gamma."""
    if any(context.nodes[i].config.get("scale") is False for i in norms):
        return ()
    return tuple(
        SetArguments(context.layer(i), (("epsilon", epsilon),))
        for i in norms
        if (epsilon := _fitting(context, i)) is not None
    )


def _fitting(context: Context, index: int) -> float | None:
    return next((e for e in SMALLER if _share(context, index, e) is None), None)


def _once(context: Context) -> Iterator[int]:
    seen: set[str] = set()
    for index in context.batch_norms:
        if context.layer(index) not in seen:
            seen.add(context.layer(index))
            yield index


def _share(context: Context, index: int, other: float | None = None) -> float | None:
    """Below which multiple of epsilon, or another one, half of the variances are: 1, 10, None."""
    weights = context.weights_of(index)
    epsilon = other or number(context.nodes[index].config.get("epsilon", 1e-3))
    if weights is None or epsilon is None or epsilon <= 0:
        return None
    alive = [value for value in weights.variance if value > CONSTANT]
    if not alive:
        return None
    for multiple in (1, NEAR):
        if share_below(alive, multiple * epsilon) > 0.5:
            return float(multiple)
    return None


def _of(variance: float | list[float], **config: object) -> Context:
    """A batch norm with some moving variance."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config)
    weights = SketchedWeights.of_norms(norm=(0.1, variance))
    return net.context(net.conv(1, net.relu(x)), weights=weights)


def _unscaled() -> Context:
    """A variance of 1e-4 at the default epsilon of 1e-3."""
    return _of(1e-4)


def _with_constant_channels() -> Context:
    """The same where other channels are constant."""
    return _of([0.0, 0.0, 0.0, 0.0, 1e-4, 1e-4, 1e-4, 1.0])


def _near() -> Context:
    """A variance of 5e-3: the output's spread is 9% too small."""
    return _of(5e-3)


def _small_epsilon() -> Context:
    """A variance of 1e-4 at an epsilon of 1e-6."""
    return _of(1e-4, epsilon=1e-6)


def _few_small_ones() -> Context:
    """Three of eight channels with a small variance."""
    return _of([1e-4, 1e-4, 1e-4, 1.0, 1.0, 1.0, 1.0, 1.0])


def _all_constant() -> Context:
    """Constant channels alone: no epsilon helps them."""
    return _of(0.0)


def _no_weights() -> Context:
    """An architecture without weights."""
    net = Sketch()
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))))


RULE = Rule(
    code="NW205",
    name="large-epsilon",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Set a smaller epsilon, such as 1e-5, and multiply gamma by the ratio of "
    "sqrt(variance + epsilon) after and before; or scale the input.",
    keeps_outputs=True,
    invalid=(
        Invalid(_unscaled, ("norm",)),
        Invalid(_with_constant_channels, ("norm",)),
        Invalid(_near, ("norm",), Severity.INFO),
    ),
    valid=(_small_epsilon, _few_small_ones, _all_constant, _no_weights),
)
