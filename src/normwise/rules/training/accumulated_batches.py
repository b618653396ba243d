"""Accumulated gradients in the hope of larger batch statistics.

## What it does
Where the gradients of several batches are added before a step (`gradient_accumulation_steps`), it
reports the batch norms whose single batches are too small for statistics, by the measure of
`tiny-batch`. Norms with `trainable=False` and batch renormalization are exempt.

## Why is this bad
Accumulation enlarges the batch for gradients only: each statistic is still of one small batch, so
that the noise that the large batch was meant to avoid stays.

## Evidence
- Read in the source of Keras 3.15.1: `gradient_accumulation_steps` is the optimizer's; the forward
  pass, and with it each batch norm, sees one batch, and moves its averages with each.
- Wu & He 2018 (Group Normalization): what small batches cost (see `tiny-batch`).

## Example
```python
optimizer = keras.optimizers.AdamW(gradient_accumulation_steps=16)
model.fit(x, y, batch_size=2)
```

## Use instead
```python
x = keras.layers.GroupNormalization(groups=8)(x)  # in the place of batch normalization
```

## Fix safety
Outputs change: the model has to be trained again.
"""

from collections.abc import Iterator, Sequence

from normwise.rules.context import Context, Training
from normwise.rules.context.batch_statistics import is_tiny, learning, samples_behind
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted


def _look(context: Context) -> Iterator[Spot]:
    training = context.training
    if training.accumulation == 1 or training.batch_size is None:
        return
    norms = [index for index in learning(context) if is_tiny(context, index)]
    if norms:
        yield each_by_itself(context, norms, lambda some: _spot(context, some))


def _spot(context: Context, norms: Sequence[int]) -> Spot:
    training = context.training
    takes = "takes" if len(norms) == 1 else "take"
    samples = min(samples_behind(context, norm) or 0 for norm in norms)
    return Spot(
        context.layers(norms),
        f"A step has the gradients of {training.accumulation * (training.batch_size or 0)} "
        f"samples, but {counted(len(norms), 'batch normalization')} {takes} statistics of "
        f"{counted(samples, 'sample')} at a time.",
    )


def _trained(training: Training, **config: object) -> Context:
    """A batch norm, and how it is trained."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config))
    return net.context(net.conv(1, x), training=training)


def _two_at_a_time() -> Context:
    """Sixteen batches of two images make a step."""
    return _trained(Training(batch_size=2, accumulation=16))


def _on_replicas() -> Context:
    """Four batches of eight over four replicas make a step."""
    return _trained(Training(batch_size=8, accumulation=4, replicas=4))


def _large_batches() -> Context:
    """Four batches of sixteen make a step: each is large enough."""
    return _trained(Training(batch_size=16, accumulation=4))


def _not_accumulated() -> Context:
    """Small batches without accumulation: that is `tiny-batch`."""
    return _trained(Training(batch_size=2))


def _unknown_batch() -> Context:
    """Nobody said the batch size."""
    return _trained(Training(accumulation=4))


def _frozen() -> Context:
    """A frozen norm."""
    return _trained(Training(batch_size=2, accumulation=16), trainable=False)


def _renormalized() -> Context:
    """Batch renormalization, made for small batches."""
    return _trained(Training(batch_size=2, accumulation=16), renorm=True)


RULE = Rule(
    code="NW206",
    name="accumulated-batches",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Use group or instance normalization, or freeze these norms; accumulation doesn't help "
    "them.",
    keeps_outputs=False,
    by_hand="the training has to change, or the kind of normalization: `normwise "
    "place` swaps kinds.",
    invalid=(Invalid(_two_at_a_time, ("norm",)), Invalid(_on_replicas, ("norm",))),
    valid=(
        _large_batches, _not_accumulated, _unknown_batch, _frozen, _renormalized,
    ),
)  # fmt: skip
