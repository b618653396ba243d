"""Channels that carry nothing.

## What it does
Counts, in batch norms with weights, the channels whose moving variance is below `epsilon` and those
whose gamma is below 1e-4. A norm in which all gammas are, as at the start of a residual branch with
`gamma_initializer="zeros"`, is exempt, and so is one in which half of the variances are that small,
where epsilon is too large instead (see `large-epsilon`).

## Why is this bad
A channel that is constant, or that gamma takes away, costs time and memory and tells the next layer
nothing.

## Evidence
- The mechanism: a relu that is never reached leaves zeros for the norm after it; weight decay or
  an L1 regularizer takes gammas to zero.
- Liu et al. 2017 (Network Slimming): channels with small gammas can be removed.

## Example
```python
x = keras.layers.BatchNormalization()(keras.layers.ReLU()(x))  # half of the channels are dead
```

## Use instead
```python
x = keras.layers.Conv2D(32, 3)(x)  # with as many filters as carry something
```

## Fix safety
Outputs in inference stay where the constant that is left goes into the next layer's bias; with
padding before that layer only away from the border.
"""

from collections.abc import Iterator
from operator import or_

from normwise.rules.context import Context
from normwise.rules.context.numbers import number, share_below
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch, SketchedWeights, Values
from normwise.rules.words import counted

SMALLEST_GAMMA = 1e-4


def _look(context: Context) -> Iterator[Spot]:
    dead, all_channels = dict[int, int](), 0
    for layer in context.layers(context.batch_norms):
        index = context.graph.calls[layer][0]
        found, channels = _dead(context, index)
        all_channels += channels
        if found:
            dead[index] = found

    def said(norms: list[int]) -> Spot:
        count = sum(dead[index] for index in norms)
        carry = "carries" if count == 1 else "carry"
        return Spot(
            context.layers(norms),
            f"{count:,} of {all_channels:,} normalized channels {carry} nothing, in "
            f"{counted(len(norms), 'layer')}.",
        )

    if dead:
        yield each_by_itself(context, dead, said)


def _dead(context: Context, index: int) -> tuple[int, int]:
    """How many channels of a norm are dead, and of how many."""
    weights = context.weights_of(index)
    epsilon = number(context.nodes[index].config.get("epsilon", 1e-3))
    if weights is None or epsilon is None:
        return 0, 0
    least = 0.0 if share_below(weights.variance, epsilon) > 0.5 else epsilon
    gamma = weights.gamma or ()
    if min(weights.variance) >= least and min(map(abs, gamma), default=1.0) >= SMALLEST_GAMMA:
        return 0, len(weights.variance)
    constant = [value < least for value in weights.variance]
    small = [abs(value) < SMALLEST_GAMMA for value in gamma]
    if not small or all(small):
        return sum(constant), len(constant)
    return sum(map(or_, constant, small)), len(constant)


def _of(gamma: Values, variance: Values, **config: object) -> Context:
    """A batch norm with some weights."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config))
    weights = SketchedWeights.of_norms(norm=(gamma, 0.1, 0.3, variance))
    return net.context(net.conv(1, x), weights=weights)


_SOME_ZEROS = (0.0, 0.0, 0.0, 0.7, 0.8, 1.0, 1.0, 1.3)


def _constant() -> Context:
    """Three of eight channels are constant."""
    return _of(1.0, _SOME_ZEROS)


def _taken_away() -> Context:
    """Three of eight gammas are zero."""
    return _of(_SOME_ZEROS, 0.5)


def _zero_gamma() -> Context:
    """A residual branch that begins with a gamma of zero."""
    return _of(0.0, 1.0)


def _large_epsilon() -> Context:
    """Small variances in all channels: that is `large-epsilon`."""
    return _of(1.0, 1e-4)


def _alive() -> Context:
    """Every channel varies, if only a little."""
    return _of(0.01, 0.01)


def _no_weights() -> Context:
    """An architecture without weights."""
    net = Sketch()
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))))


RULE = Rule(
    code="NW210",
    name="dead-channels",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Remove these channels, or find out why they die: learning rate, dead relus, decay.",
    keeps_outputs=True,
    by_hand="taking channels out changes the layers around, and why they die is still to be found.",
    invalid=(Invalid(_constant, ("norm",)), Invalid(_taken_away, ("norm",))),
    valid=(_zero_gamma, _large_epsilon, _alive, _no_weights),
)
