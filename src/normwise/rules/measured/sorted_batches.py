"""Samples in an order that makes batches unlike each other.

## What it does
Compares the batches of the data, in the order in which they come, with those of shuffled samples:
by the means of the input's channels and, for a data folder with masks, by the share of each class.
It reports an order whose batches are unlike each other as hardly any shuffled order's are (2 of
1,000, permutation test), and by so much that it matters: batch means a quarter of the data's
standard deviation off and 1.5 times as far as shuffled ones would be, or half of the variance of
the classes between batches. Batches that are handed over as batches are a warning. An array or a
folder is only noted, as `fit` and most loaders shuffle them. Only networks with batch norms that
learn are concerned.

## Why is this bad
Each batch is normalized by the statistics of its own class or source, which inference doesn't know,
and the moving statistics are those of the last batches.

## Evidence
- ankurhanda/tf-unet issue 3: inference failed until the batches were shuffled.
- openpifpaf pull request 308: shuffled validation, because batch norm works with the statistics of
  the batch and the data set isn't in random order.
- Wu & Johnson 2021, "Rethinking Batch in BatchNorm": statistics of batches from one domain each.

## Example
```python
model.fit(x, y, shuffle=False)  # sorted by class
```

## Use instead
```python
model.fit(x, y)
```

## Fix safety
The training changes; statistics of a model that is trained already can be measured anew (`normwise
recalibrate`).
"""

from collections.abc import Iterator
from functools import partial

from normwise.rules.context import Context
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.measurements import Measurements, Order
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch

CHANCE = 0.002
"""Share of shuffled orders that may be as uneven."""
DRIFT = 0.25
"""Distance of batch means from the mean of all, in standard deviations of the data."""
TIMES = 1.5
"""How much further than that of shuffled batches."""
CLASSES = 0.5
"""Share of the variance of the classes that lies between batches."""


def _look(context: Context) -> Iterator[Spot]:
    order = context.measured.order if context.measured else None
    norms = context.layers(learning(context, renorm=True))
    if order is None or not norms:
        return
    reasons = list(_reasons(order))
    if reasons:
        unless = "" if order.composed else ", unless a loader shuffles them"
        said = (
            f"{order.batches} batches of {order.batch} in the order of the data are unlike each "
            f"other: {', and '.join(reasons)}{unless}."
        )
        severity = None if order.composed else Severity.INFO
        yield each_layer_by_itself(norms, partial(Spot, message=said, severity=severity))


def _reasons(order: Order) -> Iterator[str]:
    far = order.drift >= max(DRIFT, TIMES * order.shuffled)
    if far and order.chance <= CHANCE:
        yield (
            f"their means are {order.drift:.2g} standard deviations from the mean of all, where "
            f"shuffled ones are {order.shuffled:.2g}"
        )
    if order.classes is not None:
        share, chance = order.classes
        if share >= CLASSES and chance <= CHANCE:
            yield f"{share:.0%} of the variance of the classes lies between batches"


def _of(order: Order, norm: str = "BatchNormalization") -> Context:
    """A norm, with what was measured of the samples' order."""
    net = Sketch()
    x = net.relu(net.add(norm, net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), measured=Measurements(64, order=order))


_SORTED = Order(8, 8, True, drift=0.9, shuffled=0.3, chance=0.001)


def _by_source() -> Context:
    """Batches of one source each."""
    return _of(_SORTED)


def _folder() -> Context:
    """Images whose names sort by class, in a folder that a loader may shuffle."""
    return _of(Order(8, 8, False, 0.1, 0.1, 0.6, classes=(0.9, 0.001)))


def _shuffled() -> Context:
    """Shuffled batches, which differ too."""
    return _of(Order(8, 8, True, 0.32, 0.3, 0.4, classes=(0.12, 0.5)))


def _harmless() -> Context:
    """Sorted samples whose means hardly differ beside what each of them varies."""
    return _of(Order(8, 8, True, 0.06, 0.02, 0.001))


def _by_chance() -> Context:
    """Few batches, which chance may explain."""
    return _of(Order(4, 4, True, 0.9, 0.3, 0.03))


def _of_each() -> Context:
    """Group norm, which takes each sample by itself."""
    return _of(_SORTED, "GroupNormalization")


RULE = Rule(
    code="NW216",
    name="sorted-batches",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Shuffle the samples before they are put into batches, in every epoch.",
    keeps_outputs=False,
    invalid=(
        Invalid(_by_source, ("norm",)),
        Invalid(_folder, ("norm",), Severity.INFO),
    ),
    valid=(_shuffled, _harmless, _by_chance, _of_each),
    needs_data=True,
)
