"""Too few steps for the moving statistics.

## What it does
Computes momentum**steps, the weight that the initial mean of 0 and variance of 1 still have in the
moving statistics at the end of the training: over 10% is an error, over 1% a warning. Norms with
`trainable=False` are exempt, and models whose weights show that they didn't start at 0 and 1, such
as pretrained ones: a variance that began at 1 can't have fallen below momentum**steps.

## Why is this bad
Keras doesn't correct the bias of the moving average, so that after few steps predictions are
normalized with a mixture of true statistics and of 0 and 1: the training looks perfect, and
predictions are far off.

## Evidence
- Measured: at the default momentum of 0.99 the initial values have a weight of 37% after 100 steps,
  10% after 230 and 1% after 460.
- A question of Stack Overflow ("ResNet: 100% accuracy during training, 33% with predict"): five
  steps of training at momentum 0.99.
- Wu & Johnson 2021 (Rethinking "Batch" in BatchNorm): exact statistics of the training set in the
  place of moving averages.

## Example
```python
x = keras.layers.BatchNormalization()(x)  # momentum=0.99
model.fit(x, y, batch_size=32, epochs=3)  # 1,000 samples: 96 steps
```

## Use instead
```python
x = keras.layers.BatchNormalization(momentum=0.9)(x)
```

## Fix safety
Another momentum changes nothing until the model is trained again; `normwise recalibrate` mends the
statistics of a trained model, and changes its outputs.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.norms.mends import SetArguments
from normwise.rules.context import Context, Training
from normwise.rules.context.batch_norm_weights import BatchNormWeights
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.numbers import number, share_below
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch, SketchedWeights
from normwise.rules.words import counted

WARNING, ERROR = 0.01, 0.1
"""Weights of the initial values from which on they matter, and matter much."""
_SMALLEST, _LARGEST = 0.8, 0.99


_Group = tuple[float, int]
"""A momentum, and how often the statistics move in each step: with each step of time."""


def _look(context: Context) -> Iterator[Spot]:
    steps = context.training.total_steps
    if steps is None or context.training.recalibrated:
        return
    cold: dict[_Group, list[int]] = {}
    for index in learning(context, renorm=True):
        momentum = number(context.nodes[index].config.get("momentum", 0.99))
        runs = context.runs(index)
        # 1 and more is another rule's: it never moves.
        if momentum is None or not 0 < momentum < 1 or runs is None:
            continue
        if _left(momentum, steps * runs) > WARNING:
            cold.setdefault((momentum, runs), []).append(index)
    weights = {i: context.weights_of(i) for norms in cold.values() for i in norms}
    read = {
        group: [i for i in norms if context.layer(i) not in context.unread]
        for group, norms in cold.items()
    }
    cold = _from_the_start(read, weights, steps)
    for (momentum, runs), norms in cold.items():
        said = partial(_spot, context, momentum=momentum, steps=steps, runs=runs)
        yield each_by_itself(context, norms, said)


def _from_the_start(
    cold: dict[_Group, list[int]], weights: dict[int, BatchNormWeights | None], steps: int
) -> dict[_Group, list[int]]:
    """Without the norms that hold statistics from before this training."""
    warm = any(
        (own := weights[i]) is not None
        and share_below(own.variance, _left(momentum, steps * runs) * 0.999) > 0
        for (momentum, runs), norms in cold.items()
        for i in norms
    )
    left = {
        group: [i for i in norms if not warm or _is_new(weights[i])]
        for group, norms in cold.items()
    }
    return {group: norms for group, norms in left.items() if norms}


def _left(momentum: float, steps: int) -> float:
    """The weight of the initial values; beyond so many steps no float tells it from the next."""
    return float(momentum ** min(steps, 10**15))


def _is_new(weights: BatchNormWeights | None) -> bool:
    return weights is not None and weights.has_initial_statistics


def _spot(context: Context, norms: Sequence[int], momentum: float, steps: int, runs: int) -> Spot:
    names = counted(len(norms), "batch normalization")
    left, layers = _left(momentum, steps * runs), context.layers(norms)
    fitting_momentum = _fitting(steps * runs)
    fitting = None if fitting_momentum is None else (("momentum", fitting_momentum),)
    series = f", with {runs} steps of time each," if runs > 1 else ""
    return Spot(
        layers,
        f"After the {counted(steps, 'step')} of this training{series} {left:.0%} of the moving "
        f"statistics of {names} are still the initial 0 and 1, at momentum {momentum:g}.",
        None if left > ERROR else Severity.WARNING,
        _fix(steps * runs),
        keeps_outputs=fitting is not None,
        mends=() if fitting is None else tuple(SetArguments(n, fitting) for n in layers),
        by_hand="no momentum helps in so few steps.",
    )


def _fitting(steps: int) -> float | None:
    """A momentum for so many steps, None if there is none."""
    momentum = round(min(_LARGEST, max(_SMALLEST, 1 - 10 / steps)), 3)
    return momentum if _left(momentum, steps) <= WARNING else None


def _fix(steps: int) -> str:
    fitting = _fitting(steps)
    if fitting is None:
        return "Train for more steps, or measure the statistics at the end: normwise recalibrate."
    return f"Set momentum={fitting:g}, or measure the statistics at the end: normwise recalibrate."


def _trained(training: Training, weights: SketchedWeights | None = None) -> Context:
    """Two batch norms, with what is known of their training."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="one"))
    x = net.relu(net.norm(net.conv(8, x), name="two"))
    return net.context(net.conv(1, x), training=training, weights=weights)


def _hundred_steps() -> Context:
    """100 steps at momentum 0.99."""
    return _trained(Training(batch_size=8, samples=160, epochs=5))


def _three_hundred_steps() -> Context:
    """300 steps at momentum 0.99: 5% are left."""
    return _trained(Training(steps=300))


def _trained_briefly() -> Context:
    """A trained file whose variances are all as large as 100 steps leave them."""
    weights = SketchedWeights.of_norms(one=(0.4, 0.5), two=(0.1, 0.9))
    return _trained(Training(steps=100), weights)


def _new_head() -> Context:
    """Statistics from before the training, but for a new norm."""
    return _trained(Training(steps=100), SketchedWeights.of_norms(one=(0.4, 0.002), two=(0.0, 1.0)))


def _long_enough() -> Context:
    """460 steps."""
    return _trained(Training(steps=460))


def _pretrained() -> Context:
    """Few steps on a pretrained model: a variance that began at 1 would be larger."""
    return _trained(Training(steps=100), SketchedWeights.of_norms(one=(0.4, 0.002), two=(0.1, 0.9)))


def _fast_statistics() -> Context:
    """100 steps at momentum 0.9, and a frozen norm."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), momentum=0.9))
    x = net.relu(net.norm(net.conv(8, x), trainable=False))
    return net.context(net.conv(1, x), training=Training(steps=100))


def _measured_anew() -> Context:
    """Few steps, but the statistics are measured anew at the end."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, x), training=Training(steps=20, recalibrated=True))


RULE = Rule(
    code="NW203",
    name="cold-statistics",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Set a smaller momentum, or measure the statistics at the end: normwise recalibrate.",
    keeps_outputs=False,
    invalid=(
        Invalid(_hundred_steps, ("one", "two")),
        Invalid(_three_hundred_steps, ("one", "two"), Severity.WARNING),
        Invalid(_trained_briefly, ("one", "two")),
        Invalid(_new_head, ("two",)),
    ),
    valid=(_long_enough, _pretrained, _fast_statistics, _measured_anew),
)
