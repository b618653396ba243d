"""A last batch of one sample in front of a batch normalization on vectors.

## What it does
Divides the samples of an epoch by the batch size. Where one sample is left over, it reports the
batch norms that see a single value of it: on vectors, and at a resolution of 1x1. Norms with
`trainable=False` and batch renormalization are exempt.

## Why is this bad
The mean of one value is that value: once an epoch the norm returns beta whatever comes in, the
gradients of that step mean nothing, and the moving variance is pulled towards zero.

## Evidence
- Measured: a batch norm on vectors in a batch of one returns zeros in Keras, without an error, and
  its moving variance decays to 0.99 of itself; PyTorch raises an error.

## Example
```python
model.fit(x, y, batch_size=32)  # 1,025 samples, and BatchNormalization after Dense
```

## Use instead
```python
data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1025)
model.fit(data.batch(32, drop_remainder=True))
```

## Fix safety
The model stays as it is.
"""

from collections.abc import Iterator

from normwise.rules.context import Context, Training
from normwise.rules.context.batch_statistics import learning, values_of_a_sample
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted


def _look(context: Context) -> Iterator[Spot]:
    training = context.training
    samples, batch = training.samples, training.batch_size
    if samples is None or batch is None or samples % batch != 1:
        return
    norms = [i for i in learning(context) if values_of_a_sample(context, i) == 1]
    if norms and training.steps is None:
        yield each_by_itself(
            context,
            norms,
            lambda some: Spot(
                context.layers(some),
                f"The last batch of an epoch holds 1 of {samples:,} samples, for which "
                f"{counted(len(some), 'batch normalization')} can only return beta.",
            ),
        )


def _head(net: Sketch, **config: object) -> Context:
    """A classifier with a batch norm on vectors, and 65 samples in batches of 32."""
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="map"))
    x = net.dense(8, net.add("GlobalAveragePooling2D", x))
    x = net.relu(net.norm(x, name="norm", **config))
    return net.context(net.dense(1, x), training=Training(batch_size=32, samples=65, epochs=5))


def _one_left() -> Context:
    """65 samples in batches of 32, and a batch norm on vectors."""
    return _head(Sketch())


def _at_one_pixel() -> Context:
    """A batch norm at a resolution of 1x1."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.conv(8, net.input(32, 32, 3)), keepdims=True)
    x = net.relu(net.norm(net.conv(8, x), name="norm"))
    return net.context(net.conv(1, x), training=Training(batch_size=8, samples=17))


def _maps() -> Context:
    """One sample is left, but of an image: its statistics have many values."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.conv(1, x), training=Training(batch_size=32, samples=65))


def _two_left() -> Context:
    """Two samples are left."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4))))
    return net.context(net.dense(1, x), training=Training(batch_size=32, samples=66))


def _frozen() -> Context:
    """A frozen norm: it uses what it has learned."""
    return _head(Sketch(), trainable=False)


def _renormalized() -> Context:
    """Batch renormalization: it corrects with the moving statistics."""
    return _head(Sketch(), renorm=True)


def _always_one() -> Context:
    """Every batch has one sample: that is `single-element-statistics`."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4))))
    return net.context(net.dense(1, x), training=Training(batch_size=1, samples=65))


def _steps_are_said() -> Context:
    """The loader's steps are said: it may leave out the rest."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4))))
    training = Training(batch_size=32, samples=65, steps=20)
    return net.context(net.dense(1, x), training=training)


RULE = Rule(
    code="NW202",
    name="last-batch-of-one",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Leave out the rest of an epoch (drop_remainder=True), or change the batch size by one.",
    keeps_outputs=True,
    by_hand="the training has to change, not the model.",
    invalid=(Invalid(_one_left, ("norm",)), Invalid(_at_one_pixel, ("norm",))),
    valid=(_maps, _two_left, _frozen, _renormalized, _always_one, _steps_are_said),
)
