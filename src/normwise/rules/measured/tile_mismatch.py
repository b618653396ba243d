"""The same pixel gets another value in each tile.

## What it does
Predicts pixels in the middle of the overlap of two tiles in both of them, and then once more in the
second tile with the statistics that the norms took of the first. It reports a difference of 1% of
the output's standard deviation and more (less is not visible in 8 bits) of which at least 70% go
away with the same statistics, so that the tiles' borders don't explain it. From 10% on, or where 1%
of the pixels change their class, it is a warning: that is what shows as a seam. Networks whose
norms take no statistics of each input over space have none, and what attention or global pooling do
is not told.

## Why is this bad
A scene that is larger than memory is predicted by tiles, and no overlap takes away seams that come
from the tiles' statistics.

## Evidence
- Buglakova et al., ICCV 2025, "Tiling artifacts and trade-offs of feature normalization in the
  segmentation of large biological images" (arXiv 2503.19545): tile mismatch as an indicator;
  instance norm has it, batch norm and batch renormalization in inference don't.
- Contested as a choice: for small batches these norms are the better ones, and where whole images
  fit into memory nothing shows.

## Example
```python
x = keras.layers.GroupNormalization(groups=-1)(x)  # in a U-Net for large scenes
```

## Use instead
```python
x = keras.layers.BatchNormalization(renorm=True)(x)  # fixed in inference, for small batches too
```

## Fix safety
Outputs change: the model has to be trained again. Larger tiles and blending make seams fainter.
"""

from collections.abc import Iterator

from normwise.rules.context import Context
from normwise.rules.context.measurements import Measurements, Tiles
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

LEAST = 0.01
"""Share of the output's standard deviation that could be seen at all."""
VISIBLE = 0.1
"""Share that shows as a seam."""
FLIPPED = 0.01
"""Share of pixels with another class that does."""
BORDERS = 0.3
"""What may be left with the same statistics."""


def _look(context: Context) -> Iterator[Spot]:
    tiles = context.measured.tiles if context.measured else None
    if tiles is None or tiles.share < LEAST or tiles.pinned > BORDERS * tiles.share:
        return
    changed = tiles.changed or 0.0
    seam = tiles.share >= VISIBLE or changed >= FLIPPED
    flips = f", and {changed:.2g} of them change their class" if changed else ""
    norms = counted(len(tiles.layers), "normalization")
    yield Spot(
        tiles.layers,
        f"Pixels {tiles.margin} pixels inside two tiles of {'x'.join(map(str, tiles.size))} differ "
        f"by {tiles.difference:.2g}, {tiles.share:.0%} of the output's standard deviation{flips}; "
        f"with the same statistics in {norms} {tiles.pinned:.1%} are left.",
        severity=Severity.WARNING if seam else Severity.INFO,
    )


def _of(share: float, pinned: float, changed: float | None = None) -> Context:
    """A U-Net of one level with instance norm, with what was measured of it."""
    net = Sketch()
    top = net.relu(net.conv(8, net.input(None, None, 3)))
    x = net.conv(8, net.add("MaxPooling2D", top))
    x = net.relu(net.add("GroupNormalization", x, name="norm", groups=-1))
    x = net.add("Concatenate", net.add("UpSampling2D", x), top)
    tiles = Tiles((256, 192), 48, 0.4 * share, share, pinned, changed, ("norm",))
    head = net.conv(1, net.relu(net.conv(8, x)))
    return net.context(head, measured=Measurements(64, tiles=tiles))


def _seam() -> Context:
    """A fifth of the output's standard deviation."""
    return _of(0.2, 0.001)


def _classes() -> Context:
    """A small difference that changes the class of many pixels."""
    return _of(0.05, 0.001, changed=0.03)


def _faint() -> Context:
    """A difference that can be measured and hardly be seen."""
    return _of(0.05, 0.001, changed=0.001)


def _borders() -> Context:
    """What borders explain: the network sees further than the overlap."""
    return _of(0.2, 0.15)


def _rounding() -> Context:
    """Rounding."""
    return _of(1e-5, 1e-5)


RULE = Rule(
    code="NW304",
    name="tile-mismatch",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Predict whole images where they fit, larger tiles where not, or train with batch "
    "normalization or batch renormalization.",
    keeps_outputs=False,
    invalid=(
        Invalid(_seam, ("norm",)),
        Invalid(_classes, ("norm",)),
        Invalid(_faint, ("norm",), Severity.INFO),
    ),
    valid=(_borders, _rounding),
    needs_data=True,
)
