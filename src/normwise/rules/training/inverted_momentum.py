"""A momentum in the convention of another library.

## What it does
Finds batch norms whose `momentum`, in Keras the part of the moving average that is kept, is below
0.5 or is 1. Norms with `trainable=False` are exempt, and so is 0.8, as in many generative networks.

## Why is this bad
PyTorch's momentum is the part that is replaced: its 0.1 is 0.9 in Keras, and taken over as it is it
leaves moving statistics of about the last batch alone, so that predictions depend on which batch
came last; at 1 they never move from 0 and 1.

## Evidence
- arl-eegmodels issue 39: 0.1 was mended to 0.9.
- huggingface/transformers issue 19454: the same in TensorFlow models ported from PyTorch.
- fastestimator issue 1201: likewise.
- pytorch2keras issue 70: momentum 1 ends in NaN.
- keras-io's example pointnet.py, read in the source: momentum 0.0, copied into at least 8
  repositories.

## Example
```python
x = keras.layers.BatchNormalization(momentum=0.1)(x)
```

## Use instead
```python
x = keras.layers.BatchNormalization(momentum=0.9)(x)
```

## Fix safety
Outputs in inference stay; after the next training, or `normwise recalibrate`, the statistics are of
many batches.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.norms.mends import SetArguments
from normwise.rules.context import Context
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.numbers import number
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

LOWEST = 0.5


def _look(context: Context) -> Iterator[Spot]:
    found: dict[float, list[int]] = {}
    for index in learning(context, renorm=True):
        momentum = number(context.nodes[index].config.get("momentum", 0.99))
        if momentum is not None and (0 <= momentum < LOWEST or momentum == 1):
            found.setdefault(momentum, []).append(index)
    for momentum, norms in found.items():
        yield each_by_itself(context, norms, partial(_spot, context, momentum))


def _spot(context: Context, momentum: float, norms: Sequence[int]) -> Spot:
    names = counted(len(norms), "batch normalization")
    kept = "the initial 0 and 1 for good" if momentum == 1 else f"{momentum:.0%} at each step"
    right = round(1 - momentum, 6) if 0 < momentum < 1 else 0.99
    keeps = "keeps" if len(norms) == 1 else "keep"
    return Spot(
        context.layers(norms),
        f"With momentum {momentum:g}, {names} {keeps} {kept} in the moving statistics"
        + ("." if momentum == 1 else f", and {1 - momentum:.0%} is the last batch alone."),
        fix=f"Set momentum={right:g}.",
        mends=tuple(SetArguments(layer, (("momentum", right),)) for layer in context.layers(norms)),
    )


def _of(momentum: float, **config: object) -> Context:
    """A batch norm of some momentum."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), momentum=momentum, name="norm", **config)
    return net.context(net.conv(1, net.relu(x)))


def _as_in_pytorch() -> Context:
    """PyTorch's default of 0.1."""
    return _of(0.1)


def _last_batch_alone() -> Context:
    """0: the statistics of the last batch."""
    return _of(0.0)


def _never_moves() -> Context:
    """1: statistics that never move, though the norm can be trained."""
    return _of(1)


def _usual() -> Context:
    """Keras' default."""
    return _of(0.99)


def _generative() -> Context:
    """0.8, as in many generative networks."""
    return _of(0.8)


def _frozen() -> Context:
    """A frozen norm, whose momentum does nothing."""
    return _of(0.1, trainable=False)


RULE = Rule(
    code="NW204",
    name="inverted-momentum",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Set momentum to 1 minus what it is.",
    keeps_outputs=True,
    invalid=(
        Invalid(_as_in_pytorch, ("norm",)),
        Invalid(_last_batch_alone, ("norm",)),
        Invalid(_never_moves, ("norm",)),
    ),
    valid=(_usual, _generative, _frozen),
)
