"""Data whose statistics aren't those that the network was trained on.

## What it does
On data that are not of the training (`--new-data`; those of another folder than the run's; or those
that the model's own scaling at the input wasn't adapted to), it compares what each batch norm and
each adapted `Normalization` reads in inference with the statistics that it holds, and reports those
with a gap of 0.5 and more (see `train-eval-gap`, which means the training's own data).

## Why is this bad
After the first shifted layer every value lies beside what the weights were trained for, and a
network may predict nonsense on images of another sensor, stain or season without any error.

## Evidence
- Li et al. 2016 (AdaBN, arXiv 1603.04779): statistics of the new domain in place of the old ones
  adapt a network without labels.
- Contested as a cure: with small or one-sided samples of the new data the new statistics are worse
  than the old ones, and what was trained may have to be trained on.

## Example
```python
nw.predict("trained_on_sensor_a", "image_of_sensor_b.tif")
```

## Use instead
```python
adapted = nw.recalibrate("trained_on_sensor_a", "images_of_sensor_b").model
```

## Fix safety
Outputs change, which is the point: compare them on a few labeled images of the new kind.
"""

from collections.abc import Iterator, Sequence

from normwise.rules.context import Context
from normwise.rules.context.measurements import Gap, Measurements
from normwise.rules.measured.train_eval_gap import LEAST, described
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted


def _look(context: Context) -> Iterator[Spot]:
    measured = context.measured
    if measured is None or not measured.new_data:
        return
    wide = {gap.layer: gap for gap in measured.inference if gap.total >= LEAST}
    every = len(measured.inference)
    if wide:
        yield each_layer_by_itself(wide, lambda some: _spot([wide[layer] for layer in some], every))


def _spot(wide: Sequence[Gap], every: int) -> Spot:
    worst = max(wide, key=lambda gap: gap.total)
    last = "" if worst is wide[0] else f"; the furthest off is {worst.layer}, by {worst.total:.2g}"
    return Spot(
        tuple(gap.layer for gap in wide),
        f"These data are not what {len(wide)} of {counted(every, 'layer')} with statistics know, "
        f"first {described(wide[0])}{last}.",
    )


def _of(*totals: float, new: bool = True) -> Context:
    """Two norms in a row, with what was measured of them."""
    net = Sketch()
    x = net.input(32, 32, 3)
    for name in ("norm1", "norm2"):
        x = net.relu(net.norm(net.conv(8, x), name=name))
    found = tuple(Gap(f"norm{i}", total, 1.0, total) for i, total in enumerate(totals, 1))
    return net.context(net.conv(1, x), measured=Measurements(64, new, inference=found))


def _shifted() -> Context:
    """Both norms read what they don't know."""
    return _of(0.9, 2.4)


def _deeper() -> Context:
    """Only the second one does."""
    return _of(0.2, 0.8)


def _like_training() -> Context:
    """New data that are like the training's."""
    return _of(0.1, 0.2)


def _training() -> Context:
    """The training's own data: that is `train-eval-gap`."""
    return _of(0.9, 2.4, new=False)


RULE = Rule(
    code="NW217",
    name="domain-shift",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Adapt the statistics to these data (normwise recalibrate), or train with such data.",
    keeps_outputs=False,
    invalid=(Invalid(_shifted, ("norm1", "norm2")), Invalid(_deeper, ("norm2",))),
    valid=(_like_training, _training),
    needs_data=True,
)
