"""Batch normalizations whose moving statistics aren't those of the data.

## What it does
Runs samples through the network with its batch norms in training mode, and everything else
(dropout, noise) as in inference, and compares the statistics that they take of the batches with the
moving statistics that they hold. The gap of a layer is what the difference makes of a normalized
value, whose standard deviation should be 1, in the root mean square over channels (weighted by
gamma squared, a channel counting at most 3). It reports layers with a gap of 0.5 and more, if the
outputs differ between the modes by 0.1 of their standard deviation and more. After a shift of half
a standard deviation a relu passes 31 or 69% of what it should pass 50% of. Differences within two
standard errors of the batches count for nothing, nor does a moving variance between that of batches
and that of all data. New norms that nobody trained are exempt; on data that aren't the training's
see `domain-shift`.

## Why is this bad
The layers after these norms were trained on values that were normalized by batches, so that
predictions are made from others: training looks fine, and validation and inference are wrong.

## Evidence
- Wu & Johnson 2021, "Rethinking Batch in BatchNorm": moving averages lag behind the weights, and
  statistics measured anew (precise batch norm) give better validation.
- keras issues 7265, 12400 and 6599: losses on the very same batch far apart in the two modes.
- Buglakova et al., ICCV 2025 (arXiv 2503.19545): the disparity between training and evaluation mode
  as an indicator of normalization problems.

## Example
```python
model.fit(x, y, epochs=1)  # 20 steps with a momentum of 0.99
```

## Use instead
```python
model.fit(x, y, epochs=1)
model = nw.recalibrate(model, x).model
```

## Fix safety
Outputs in inference change, which is the point; the weights stay.
"""

from collections.abc import Iterator

from normwise.rules.context import Context
from normwise.rules.context.measurements import Gap, Measurements, Modes
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

LEAST = 0.5
"""Gap from which on a layer is reported."""
LEAST_OUTPUT = 0.1
"""Difference of the outputs below which the gaps inside have no consequence."""


def _look(context: Context) -> Iterator[Spot]:
    measured = context.measured
    if measured is None or measured.new_data or measured.modes is None:
        return
    gaps, outputs = measured.modes.gaps, measured.modes.outputs
    wide = {gap.layer: gap for gap in gaps if gap.total >= LEAST}
    if wide and (outputs is None or outputs >= LEAST_OUTPUT):
        told = "" if outputs is None else (
            f" Between training and inference mode the output differs by {outputs:.2g} of its "
            "standard deviation."
        )  # fmt: skip
        yield each_layer_by_itself(
            wide,
            lambda layers: Spot(
                layers,
                f"{len(layers)} of {counted(len(gaps), 'batch normalization')} "
                f"{'holds' if len(layers) == 1 else 'hold'} other statistics than these data have, "
                f"first {described(wide[layers[0]])}.{told}",
            ),
        )


def described(gap: Gap) -> str:
    """A gap in words: the layer, and how far mean and deviation are off."""
    return (
        f"{gap.layer}, whose mean is off by {gap.mean:.2g} standard deviations and whose deviation "
        f"is {gap.ratio:.2g} times as large in the data"
    )


def _of(
    *gaps: tuple[float, float, float], outputs: float | None = 0.8, new: bool = False
) -> Context:
    """Two norms in a row, with what was measured of them."""
    net = Sketch()
    x = net.input(32, 32, 3)
    for name in ("norm1", "norm2"):
        x = net.relu(net.norm(net.conv(8, x), name=name))
    found = tuple(Gap(f"norm{i}", *numbers) for i, numbers in enumerate(gaps, 1))
    measured = Measurements(64, new, Modes(found, outputs))
    return net.context(net.conv(1, x), measured=measured)


_RIGHT = (0.1, 1.1, 0.15)


def _both() -> Context:
    """Two norms of which both hold other statistics."""
    return _of((1.4, 0.4, 1.5), (0.6, 1.0, 0.6))


def _second() -> Context:
    """Only the second one does; it is the first that diverges."""
    return _of(_RIGHT, (0.0, 2.1, 1.1), outputs=None)


def _near() -> Context:
    """Small gaps, as training with augmentation and dropout leaves them."""
    return _of(_RIGHT, (0.2, 0.8, 0.3))


def _without_consequence() -> Context:
    """A gap that the output doesn't notice."""
    return _of((1.4, 0.4, 1.5), _RIGHT, outputs=0.02)


def _other_data() -> Context:
    """Images of another sensor: that is `domain-shift`."""
    return _of((1.4, 0.4, 1.5), (0.6, 1.0, 0.6), new=True)


def _no_data() -> Context:
    """A check without data."""
    net = Sketch()
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))))


RULE = Rule(
    code="NW212",
    name="train-eval-gap",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Measure the statistics on the training data (normwise recalibrate).",
    keeps_outputs=False,
    invalid=(Invalid(_both, ("norm1", "norm2")), Invalid(_second, ("norm2",))),
    valid=(_near, _without_consequence, _other_data, _no_data),
    needs_data=True,
)
