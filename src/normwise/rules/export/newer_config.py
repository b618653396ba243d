"""Settings of normalizations that older Keras can't load.

## What it does
Finds in model files batch norms with the keys `renorm`, `renorm_clipping` and `renorm_momentum`,
which Keras writes from 3.14 on, whether they are used or not. A live model is not looked at: what
counts is how it is saved.

## Why is this bad
Keras up to 3.13 refuses the file with an error about an unrecognized keyword, although, where
renormalization is off, it could compute the very same.

## Evidence
- Read in the sources: `batch_normalization.py` of Keras 3.11.3, 3.12.0, 3.13.0 and 3.13.2 doesn't
  know `renorm`, that of 3.14.0 does.
- Measured: Keras 3.15.1 writes the three keys with their defaults into every batch norm.

## Example
```python
model.save("model.keras")  # with Keras 3.14 or newer
```

## Use instead
```bash
normwise fold model.keras -o folded.keras  # what normwise writes leaves the defaults out
```

## Fix safety
Outputs stay where renormalization is off: the keys say nothing then. Where it is on, older Keras
can't do it.
"""

from collections.abc import Iterator, Sequence

from normwise.norms.mends import WriteAnew
from normwise.rules.context import Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

KEYS = ("renorm", "renorm_clipping", "renorm_momentum")
SINCE = (3, 14)
"""The first Keras 3 that writes and reads them."""


def _look(context: Context) -> Iterator[Spot]:
    if not context.written or (context.keras_version or SINCE) < SINCE:
        return
    newer = [i for i in context.batch_norms if any(k in context.nodes[i].config for k in KEYS)]
    if newer:
        yield each_by_itself(context, newer, lambda some: _spot(context, some))


def _spot(context: Context, newer: Sequence[int]) -> Spot:
    layers = context.layers(newer)
    keys = ", ".join(key for key in KEYS if any(key in context.nodes[i].config for i in newer))
    used = any(context.nodes[i].config.get("renorm") for i in newer)
    return Spot(
        layers,
        f"{counted(len(layers), 'batch normalization')} with settings that Keras before "
        f"{'.'.join(map(str, SINCE))} refuses: {keys}.",
        fix="Load it with Keras 3.14 or newer: batch renormalization is in use." if used else None,
        mends=() if used else tuple(map(WriteAnew, layers)),
        by_hand="batch renormalization is in use, which older Keras can't do.",
    )


def _defaults() -> Context:
    """A file of Keras 3.15 with the default keys."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), keras_version=(3, 15, 1), written=True)


def _in_use() -> Context:
    """An architecture in JSON with batch renormalization."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), renorm=True, name="norm"))
    return net.context(net.conv(1, x), written=True)


def _live() -> Context:
    """A live model, which is no file yet."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, x), keras_version=(3, 15, 1))


def _keras_2() -> Context:
    """A file of Keras 2, whose batch norm had the key before."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), renorm=True))
    return net.context(net.conv(1, x), keras_version=(2, 15, 0), written=True)


def _other_norms() -> Context:
    """A file without batch norms."""
    net = Sketch()
    x = net.relu(net.add("LayerNormalization", net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, x), keras_version=(3, 15, 1), written=True)


RULE = Rule(
    code="NW303",
    name="newer-config",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Save it by normwise, which leaves these keys out, or load it with Keras 3.14 or newer.",
    keeps_outputs=True,
    invalid=(Invalid(_defaults, ("norm",)), Invalid(_in_use, ("norm",))),
    valid=(_live, _keras_2, _other_norms),
)
