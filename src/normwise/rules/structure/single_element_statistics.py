"""A normalization over a single value, whose result is always beta.

## What it does
Finds instance and group norms with one value a group (after a global pooling, at a resolution of
1x1, on vectors with as many groups as features), layer norms over axes of size 1, and, where the
batch size is known, batch norms that see one value a channel. Batch norms that use moving
statistics in training are exempt: those with `trainable=False`, and from Keras 3.16 on those in a
call with `training=False`.

## Why is this bad
The mean of one value is that value, so the difference is zero and the result is beta, whatever
comes in: everything before the normalization is cut off, silently.

## Evidence
- Measured: `GroupNormalization(groups=-1)` on a 1x1 map returns zeros on every backend, without an
  error.
- Measured: a batch norm on vectors in a batch of one returns zeros, and its moving variance decays
  towards zero; PyTorch raises an error, Keras does not.
- pix2pix issue 176 and its copies: a zeroed bottleneck at 1x1.

## Example
```python
x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
x = keras.layers.GroupNormalization(groups=-1)(x)
```

## Use instead
```python
x = keras.layers.GroupNormalization(groups=-1)(x)
x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
```

## Fix safety
Outputs change, because nothing passed before; the model has to be trained again.
"""

from collections.abc import Iterator
from math import prod

from normwise.graph.text import shape_text
from normwise.norms.mends import RemoveNorm
from normwise.rules.context import BATCH_NORMS, Context, Training
from normwise.rules.context.batch_statistics import learning, samples_behind
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch


def _look(context: Context) -> Iterator[Spot]:
    seen: set[str] = set()
    resting = set(context.batch_norms) - set(learning(context))
    for index in context.norms:
        if index in resting:
            continue
        node, shape = context.nodes[index], context.shape_read(index)
        if node.layer in seen or shape is None or _values(context, index) != 1:
            continue
        seen.add(node.layer)
        calls = context.graph.calls[node.layer]
        samples = " in a batch of one" if node.class_name in BATCH_NORMS else ""
        yield Spot(
            (node.layer,),
            f"{node.layer} takes each mean over a single value of {shape_text(shape)}{samples}: "
            "its result is always beta.",
            fix=f"Remove {node.layer}, or put it where a statistic has more than one value.",
            mends=() if samples else tuple(RemoveNorm(context.name(i)) for i in calls),
            by_hand="larger batches are needed, not another model.",
        )


def _values(context: Context, index: int) -> int | None:
    """The number of values behind each statistic in training, None where unknown."""
    node, shape, axes = context.nodes[index], context.shape_read(index), context.axes_of(index)
    if shape is None or axes is None:
        return None
    if node.class_name == "LayerNormalization":
        return _product([shape[axis] for axis in axes])
    rest = [size for axis, size in enumerate(shape) if axis != 0 and axis not in axes]
    if node.class_name in BATCH_NORMS:
        return _product([samples_behind(context, index), *rest])
    if node.class_name == "GroupNormalization" and len(axes) == 1:
        groups, channels = node.config.get("groups", 32), shape[axes[0]]
        return _product([_channels_of_a_group(groups, channels), *rest])
    return None


def _channels_of_a_group(groups: object, channels: int | None) -> int | None:
    if groups == -1:
        return 1
    if channels is None or not isinstance(groups, int) or groups < 1 or channels % groups:
        return None
    return channels // groups


def _product(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None


def _pooled() -> Context:
    """An instance norm after a global pooling."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.conv(8, net.input(32, 32, 3)), keepdims=True)
    x = net.add("GroupNormalization", x, groups=-1, name="norm")
    return net.context(net.conv(1, net.relu(x), size=1))


def _bottleneck() -> Context:
    """A group norm with a group for each channel, at the resolution 1x1 inside a nested model."""
    inner = Sketch("bottom")
    y = inner.conv(8, inner.input(None, None, 3), strides=(2, 2))
    bottom = inner.graph(inner.add("GroupNormalization", y, groups=8, name="norm"))
    net = Sketch()
    return net.context(net.conv(1, net.relu(net.nest(bottom, net.input(2, 2, 3), name="bottom"))))


def _one_feature() -> Context:
    """A layer norm over one feature."""
    net = Sketch()
    x = net.add("LayerNormalization", net.dense(1, net.input(8)), name="norm")
    return net.context(net.dense(1, x))


def _batch_of_one() -> Context:
    """A batch norm on vectors, trained one by one."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4)), name="norm"))
    return net.context(net.dense(1, x), training=Training(batch_size=1))


def _frozen_in_a_batch_of_one() -> Context:
    """A frozen batch norm and a batch renormalization, trained one by one."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4)), trainable=False))
    x = net.relu(net.norm(net.dense(8, x), renorm=True))
    return net.context(net.dense(1, x), training=Training(batch_size=1))


def _shared_by_replicas() -> Context:
    """One sample on each of eight replicas that share statistics."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4)), synchronized=True))
    return net.context(net.dense(1, x), training=Training(batch_size=8, replicas=8))


def _on_each_replica() -> Context:
    """The same without sharing."""
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4)), name="norm"))
    return net.context(net.dense(1, x), training=Training(batch_size=8, replicas=8))


def _before_pooling() -> Context:
    """An instance norm before the pooling."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(8, net.input(32, 32, 3)), groups=-1)
    return net.context(net.dense(1, net.add("GlobalAveragePooling2D", net.relu(x))))


def _groups_of_features() -> Context:
    """Group norm on vectors, with several features a group."""
    net = Sketch()
    x = net.add("GroupNormalization", net.dense(8, net.input(4)), groups=2)
    return net.context(net.dense(1, net.relu(x)))


def _unknown_batch() -> Context:
    """A batch norm on vectors where nobody said the batch size, and an image of free size."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(8, net.input(None, None, 3)), groups=-1)
    x = net.norm(net.dense(8, net.add("GlobalAveragePooling2D", net.relu(x))))
    return net.context(net.dense(1, net.relu(x)))


def _called_off(version: tuple[int, ...]) -> Context:
    """A batch of one, and a nested model that is called with `training=False`."""
    inner = Sketch("inner")
    head = inner.graph(inner.norm(inner.input(16), name="norm"))
    net = Sketch()
    y = net.nest(head, net.dense(16, net.input(10)), name="head", call={"training": False})
    training = Training(batch_size=1)
    return net.context(net.dense(2, net.relu(y)), training=training, keras_version=version)


def _called_off_in_vain() -> Context:
    """Keras 3.15 takes statistics of batches all the same."""
    return _called_off((3, 15, 1))


def _moving_statistics() -> Context:
    """From Keras 3.16 on a call with `training=False` uses moving statistics."""
    return _called_off((3, 16, 0))


RULE = Rule(
    code="NW118",
    name="single-element-statistics",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Remove the normalization, or put it where a statistic has more than one value.",
    keeps_outputs=False,
    invalid=(
        Invalid(_pooled, ("norm",)),
        Invalid(_bottleneck, ("bottom/norm",)),
        Invalid(_one_feature, ("norm",)),
        Invalid(_batch_of_one, ("norm",)),
        Invalid(_on_each_replica, ("norm",)),
        Invalid(_called_off_in_vain, ("head/norm",)),
    ),
    valid=(
        _before_pooling, _frozen_in_a_batch_of_one, _moving_statistics, _groups_of_features,
        _unknown_batch, _shared_by_replicas,
    ),
)  # fmt: skip
