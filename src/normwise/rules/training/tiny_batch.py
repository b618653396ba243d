"""Batch statistics of very few values.

## What it does
Counts for each batch norm the samples N and the values N·H·W behind each statistic, of one replica
and one batch; accumulated gradients don't count. It warns below 4 samples and below 16 values, and
notes batches of 4. A single value is `single-element-statistics`. Norms with `trainable=False`,
batch renormalization, and norms whose size isn't known are exempt.

## Why is this bad
Statistics of so few values are noisy, so the network is trained under a normalization that differs
from batch to batch, and none of them is the moving average that it predicts with. At two values
each of them becomes plus or minus one.

## Evidence
- Wu & He 2018 (Group Normalization), ResNet-50 on ImageNet: with batch norm 23.6% error at 32
  images a replica and 34.7% at 2; group norm has 24.1% at either.
- Singh & Shrivastava 2019 (EvalNorm): 6.18 points more at batches of 2 with other statistics in
  inference.
- keras issue 8837: at batch size 1 a validation loss of 4.7, at 32 one of 1e-7.
- nnU-Net and MONAI, whose volumes allow batches of 2, take instance normalization by default.
- Contested for 4 to 8 samples of large images: many published networks are trained so.

## Example
```python
x = keras.layers.BatchNormalization()(x)  # and fit(batch_size=2)
```

## Use instead
```python
x = keras.layers.GroupNormalization(groups=8)(x)  # or larger batches
```

## Fix safety
Outputs change: the model has to be trained again.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.rules.context import Context, Training
from normwise.rules.context.batch_statistics import (
    FEW_SAMPLES,
    is_synchronized,
    is_tiny,
    learning,
    samples_behind,
    values_behind,
)
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted


def _look(context: Context) -> Iterator[Spot]:
    norms = [i for i in learning(context) if values_behind(context, i) != 1]
    tiny = [i for i in norms if is_tiny(context, i)]
    if tiny:
        yield each_by_itself(context, tiny, partial(_spot, context, None))
        return
    few = [i for i in norms if samples_behind(context, i) == FEW_SAMPLES]
    if few:
        yield each_by_itself(context, few, partial(_spot, context, Severity.INFO))


def _spot(context: Context, severity: Severity | None, norms: Sequence[int]) -> Spot:
    counts = {i: s for i in norms if (s := samples_behind(context, i)) is not None}
    samples = min(counts.values())
    values = {i: v for i in norms if (v := values_behind(context, i)) is not None}
    replicas = context.training.replicas
    alone = any(n == samples and not is_synchronized(context, i) for i, n in counts.items())
    where = f" on each of {replicas} replicas" if replicas > 1 and alone else ""
    fewest = ""
    if values:
        least = min(values, key=lambda i: values[i])
        fewest = f"; fewest in {context.layer(least)}, of {values[least]:,} values"
    names = counted(len(norms), "batch normalization")
    verb = "takes" if len(norms) == 1 else "take"
    return Spot(
        context.layers(norms),
        f"{names} {verb} statistics of {counted(samples, 'sample')}{where}{fewest}.",
        severity,
    )


def _two_samples() -> Context:
    """Batches of two images."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), training=Training(batch_size=2))


def _two_values() -> Context:
    """Vectors two by two, inside a nested model."""
    inner = Sketch("tower")
    tower = inner.graph(inner.relu(inner.norm(inner.dense(8, inner.input(4)), name="norm")))
    net = Sketch()
    x = net.nest(tower, net.input(4), name="tower")
    return net.context(net.dense(1, x), training=Training(batch_size=2))


def _one_pixel_left() -> Context:
    """Batches of eight where the coarsest resolution has a single pixel: eight values."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(2, 2, 3)), name="fine"))
    x = net.relu(net.norm(net.conv(8, x, strides=(2, 2)), name="coarse"))
    return net.context(net.conv(1, x), training=Training(batch_size=8))


def _replicas() -> Context:
    """Eight samples over four replicas, each with statistics of its own."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), training=Training(batch_size=8, replicas=4))


def _free_size() -> Context:
    """Batches of three images of free size."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(None, None, 3)), name="norm"))
    return net.context(net.conv(1, x), training=Training(batch_size=3))


def _four_samples() -> Context:
    """Batches of four images: a note."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm"))
    return net.context(net.conv(1, x), training=Training(batch_size=4))


def _usual() -> Context:
    """Batches of eight images."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, x), training=Training(batch_size=8))


def _frozen() -> Context:
    """A frozen norm in batches of one: it uses what it has learned."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), trainable=False))
    return net.context(net.conv(1, x), training=Training(batch_size=1))


def _renormalized() -> Context:
    """Batch renormalization, and group norm, which takes no statistics of batches."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), renorm=True)
    x = net.add("GroupNormalization", net.conv(8, net.relu(x)), groups=4)
    return net.context(net.conv(1, net.relu(x)), training=Training(batch_size=2))


def _synchronized() -> Context:
    """Two samples on each of eight replicas that share statistics."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), synchronized=True))
    return net.context(net.conv(1, x), training=Training(batch_size=16, replicas=8))


def _single_value() -> Context:
    """A single value a statistic: that is `single-element-statistics`."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4))))
    return net.context(net.dense(1, x), training=Training(batch_size=1))


def _unknown_batch() -> Context:
    """Nobody said the batch size."""
    net = Sketch()
    return net.context(net.dense(1, net.relu(net.norm(net.dense(8, net.input(4))))))


RULE = Rule(
    code="NW201",
    name="tiny-batch",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Use larger batches, or group or instance normalization, or freeze these norms.",
    keeps_outputs=False,
    by_hand="the training has to change, or the kind of normalization: `normwise "
    "place` swaps kinds.",
    invalid=(
        Invalid(_two_samples, ("norm",)),
        Invalid(_two_values, ("tower/norm",)),
        Invalid(_one_pixel_left, ("coarse",)),
        Invalid(_replicas, ("norm",)),
        Invalid(_free_size, ("norm",)),
        Invalid(_four_samples, ("norm",), Severity.INFO),
    ),
    valid=(
        _usual, _frozen, _renormalized, _synchronized, _single_value, _unknown_batch,
    ),
)  # fmt: skip
