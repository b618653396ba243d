"""A sample's output depends on the other samples of its batch.

## What it does
Predicts samples in inference in a batch of copies of themselves and in one with other samples, of
the same size and at the same place, so that rounding and random layers are the same in both. A
difference of more than 0.1% of the output's standard deviation is a warning. Where the size of the
training's batches is given, it does the same in training mode with two batches that share one
sample, where batch norms depend on the batch by design, and notes a difference of half a standard
deviation and more.

## Why is this bad
In inference a prediction has to be a function of its own input: here results change with the batch
size and the order of the files, and nobody can repeat them.

## Evidence
- The mechanism: a layer of one's own, a `Lambda` or an operation that takes statistics over the
  batch axis in inference, too.
- Ioffe 2017 (batch renormalization, arXiv 1702.03275): with small batches the outputs in training
  depend on the other samples so much that inference is another function.

## Example
```python
x = x - keras.ops.mean(x, axis=0, keepdims=True)
```

## Use instead
```python
x = keras.layers.BatchNormalization(scale=False)(x)
```

## Fix safety
Outputs change; for the note on training see `tiny-batch`.
"""

from collections.abc import Iterator
from functools import partial

from normwise.rules.context import Context
from normwise.rules.context.measurements import Companions, Measurements
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch

LEAST = 1e-3
"""Share of the output's standard deviation that no arithmetic explains."""
LARGE = 0.5
"""Share in training mode at which the others matter as much as the sample."""


def _look(context: Context) -> Iterator[Spot]:
    found = context.measured.companions if context.measured else None
    if found is None:
        return
    if found.inference > max(LEAST, found.rounding):
        where = f", first at {found.layer}" if found.layer else ""
        yield Spot(
            (found.layer,) if found.layer else (),
            f"In inference, a sample's output differs by {found.inference:.2g} of its standard "
            f"deviation between a batch of copies and a batch with other samples{where}.",
        )
    elif found.training is not None and found.training >= LARGE:
        yield each_layer_by_itself(
            context.layers(context.batch_norms), partial(_in_training, found.training, found.batch)
        )


def _in_training(share: float, batch: int | None, layers: tuple[str, ...]) -> Spot:
    return Spot(
        layers,
        f"In training mode, a sample's output differs by {share:.2g} of its standard deviation "
        f"between two batches of {batch} with other samples.",
        severity=Severity.INFO,
        why="Where the others matter as much as the sample itself, the network learns from noise "
        "that inference doesn't have.",
        fix="Train with larger batches, group normalization or batch renormalization.",
    )


def _of(found: Companions) -> Context:
    """A norm with what was measured of the network."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), measured=Measurements(64, companions=found))


def _inference() -> Context:
    """A layer that takes the mean over the batch."""
    return _of(Companions(0.3, 1e-4, "centre", None, None))


def _training() -> Context:
    """Batches of two, in training mode."""
    return _of(Companions(1e-7, 1e-4, None, 0.8, 2))


def _rounding() -> Context:
    """Rounding, also that of half precision."""
    return _of(Companions(0.02, 0.1, None, None, None))


def _by_design() -> Context:
    """What batch norm does in training with batches of a usual size."""
    return _of(Companions(1e-7, 1e-4, None, 0.2, 8))


RULE = Rule(
    code="NW213",
    name="batch-dependence",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Use moving statistics in inference, as Keras' own batch normalization does.",
    keeps_outputs=False,
    invalid=(
        Invalid(_inference, ("centre",)),
        Invalid(_training, ("norm",), Severity.INFO),
    ),
    valid=(_rounding, _by_design),
    needs_data=True,
)
