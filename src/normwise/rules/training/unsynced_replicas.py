"""Batch statistics of each replica by itself.

## What it does
Where several replicas share a batch, it finds batch norms without `synchronized=True`. It warns
where a replica's part is too small for statistics and the whole batch is not (see `tiny-batch`);
else it is a note. Norms with `trainable=False` and batch renormalization are exempt.

## Why is this bad
Each replica normalizes by its own part of the batch, so that more replicas mean noisier statistics,
and a model that trained well on one device trains worse on eight.

## Evidence
- Read in the source of Keras 3.15.1: under TensorFlow's MirroredStrategy statistics are a replica's
  unless `synchronized=True`, which the TensorFlow backend alone has; PyTorch's
  DistributedDataParallel is the same.
- Measured: on JAX with keras.distribution statistics are those of the whole batch, by construction:
  there nothing is to be done.
- Goyal et al. 2017 (Accurate, Large Minibatch SGD): 32 images a replica, each with its own
  statistics, are usual and good.

## Example
```python
with tf.distribute.MirroredStrategy().scope():  # 8 devices, batch_size=16
    x = keras.layers.BatchNormalization()(x)
```

## Use instead
```python
with tf.distribute.MirroredStrategy().scope():
    x = keras.layers.BatchNormalization(synchronized=True)(x)
```

## Fix safety
Outputs in inference stay; training changes.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from normwise.rules.context import Context, Training
from normwise.rules.context.batch_statistics import is_synchronized, is_tiny, learning
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted


def _look(context: Context) -> Iterator[Spot]:
    training = context.training
    if training.replicas == 1 or training.batch_size is None:
        return
    norms = [index for index in learning(context) if not is_synchronized(context, index)]
    if not norms:
        return
    tiny = [i for i in norms if is_tiny(context, i) and not is_tiny(context, i, shared=True)]
    severity = None if tiny else Severity.INFO
    yield each_by_itself(context, tiny or norms, partial(_spot, context, severity))


def _spot(context: Context, severity: Severity | None, norms: Sequence[int]) -> Spot:
    training = context.training
    takes = "takes" if len(norms) == 1 else "take"
    return Spot(
        context.layers(norms),
        f"{counted(len(norms), 'batch normalization')} {takes} statistics of "
        f"{training.samples_per_statistic} of the {training.batch_size} samples, on each of "
        f"{training.replicas} replicas by itself.",
        severity,
    )


def _trained(batch_size: int | None, replicas: int, **config: object) -> Context:
    """A batch norm, and how it is trained."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config))
    training = Training(batch_size=batch_size, replicas=replicas)
    return net.context(net.conv(1, x), training=training)


def _two_each() -> Context:
    """Sixteen images over eight replicas."""
    return _trained(16, 8)


def _many_each() -> Context:
    """256 images over eight replicas: usual, and a note."""
    return _trained(256, 8)


def _small_anyway() -> Context:
    """Two images over two replicas: shared statistics would be too small as well, a note."""
    return _trained(2, 2)


def _synchronized() -> Context:
    """Norms that share their statistics."""
    return _trained(16, 8, synchronized=True)


def _one_device() -> Context:
    """One device."""
    return _trained(2, 1)


def _frozen() -> Context:
    """A frozen norm."""
    return _trained(16, 8, trainable=False)


def _unknown_batch() -> Context:
    """Nobody said the batch size."""
    return _trained(None, 8)


RULE = Rule(
    code="NW207",
    name="unsynced-replicas",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Set synchronized=True (TensorFlow), or use group normalization.",
    keeps_outputs=True,
    by_hand="synchronized norms load on TensorFlow alone; `normwise place` makes "
    "them (`sync-batch`).",
    invalid=(
        Invalid(_two_each, ("norm",)),
        Invalid(_many_each, ("norm",), Severity.INFO),
        Invalid(_small_anyway, ("norm",), Severity.INFO),
    ),
    valid=(_synchronized, _one_device, _frozen, _unknown_batch),
)
