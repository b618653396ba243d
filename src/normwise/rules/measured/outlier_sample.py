"""A sample that varies far more widely than all others.

## What it does
Compares the standard deviation of each sample, channel by channel, with the median over all
samples. It reports samples beyond 20 times the median, if they are few (one, or 5% of all) and
nothing lies between them and the others (5 times the largest of these): where many samples vary
widely, as cells on an empty ground do, that is what the data are like. Only networks with batch
norms that learn are concerned.

## Why is this bad
One such sample makes the mean and variance of its batch, so that all others in it are squeezed into
nothing, and it moves the moving statistics for hundreds of steps.

## Evidence
- keras issue 12400: a single sample with a standard deviation of 52 among scaled ones, and losses
  far apart between training and validation.
- By construction: with 16 equal samples, one of 20 times their deviation makes 96% of the variance.

## Example
```python
images = [np.load(path) for path in paths]  # one of them in counts, the others in reflectances
```

## Use instead
```python
images = [np.load(path) / scale_of(path) for path in paths]
```

## Fix safety
The data change, and what is trained on them.
"""

from collections.abc import Iterator
from functools import partial

from normwise.rules.context import Context
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.measurements import Measurements, Spreads
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

LEAST = 20.0
"""Multiples of the median from which on a sample is no longer one of the others."""
APART = 5.0
"""How far it has to be from all others."""
FEW = 0.05
"""Share of the samples up to which they are exceptions."""
FEWEST = 8
"""Samples below which there is no usual one."""

_SHOWN = 3


def _look(context: Context) -> Iterator[Spot]:
    norms = context.layers(learning(context, renorm=True))
    for spreads in context.measured.spreads if context.measured and norms else ():
        outliers = _outliers(spreads.ratios)
        if outliers:
            count = len(outliers)
            names = [spreads.samples[i] for i in outliers[:_SHOWN] if i < len(spreads.samples)]
            which = ", ".join(names) or counted(count, "sample")
            more = f" and {count - len(names)} more" if names and count > len(names) else ""
            worst = max(spreads.ratios[i] for i in outliers)
            said = (
                f"Of {len(spreads.ratios)} samples of {spreads.input!r}, {which}{more} "
                f"{'varies' if count == 1 else 'vary'} up to {worst:.3g} times as widely as usual."
            )
            yield each_layer_by_itself(norms, partial(Spot, message=said))


def _outliers(ratios: tuple[float, ...]) -> list[int]:
    """Samples far from all others, none if they aren't few."""
    far = [index for index, ratio in enumerate(ratios) if ratio > LEAST]
    if not far or len(ratios) < FEWEST or len(far) > max(1, FEW * len(ratios)):
        return []
    rest = max(ratio for index, ratio in enumerate(ratios) if index not in far)
    return far if min(ratios[index] for index in far) > APART * rest else []


def _of(*ratios: float, norm: str = "BatchNormalization") -> Context:
    """A norm, with what was measured of 16 samples and more."""
    net = Sketch()
    x = net.relu(net.add(norm, net.conv(8, net.input(32, 32, 3)), name="norm"))
    usual = tuple(0.8 + 0.02 * i for i in range(15))
    spreads = (Spreads("image", (*usual, *ratios)),)
    return net.context(net.conv(1, x), measured=Measurements(16, spreads=spreads))


def _one() -> Context:
    """One sample of 52 times the usual deviation."""
    return _of(52.0)


def _many() -> Context:
    """Several such samples: that is what the data are like."""
    return _of(52.0, 40.0, 48.0)


def _tail() -> Context:
    """A long tail, in which the last one has a neighbour."""
    return _of(24.0, 12.0)


def _wide() -> Context:
    """A sample that varies widely, as bright ones do."""
    return _of(9.0)


def _of_each() -> Context:
    """Group norm, which takes each sample by itself."""
    return _of(52.0, norm="GroupNormalization")


RULE = Rule(
    code="NW215",
    name="outlier-sample",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Look at that sample: scale it as the others, mark what is no measurement in it, or leave "
    "it out.",
    keeps_outputs=False,
    invalid=(Invalid(_one, ("norm",)),),
    valid=(_many, _tail, _wide, _of_each),
    needs_data=True,
)
