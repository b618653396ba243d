"""A normalization makes the prediction.

## What it does
Follows each output back through resizing, reshapes and a final sigmoid, softmax, tanh or linear
activation, and reports a normalization that stands there. A norm and a hidden activation at the
end are a feature extractor and never reported, nor is a `Normalization(invert=True)`; a vector or
map of 32 features and more without an activation, or of a number that nothing tells, may be an
embedding, for which it is only a warning; layer and RMS norms, with which encoders end, are then
not reported.

Of a model with one output the name of its loss decides where it can: what is told as `loss`, or
what it was compiled with. A loss that compares embeddings (cosine similarity, triplet, contrastive,
circle, ArcFace and the like) makes any output an embedding; one of probabilities (cross-entropy,
dice, focal and the like) makes it a prediction, however many features it has, and the finding an
error. Losses of values, such as mean squared error, tell nothing: an encoder may be trained
towards the features of another.

## Why is this bad
The normalization fixes mean and spread of the prediction over the batch or the image, so a network
can't say that one image has more of something than another, and what it predicts for a sample
depends, in training, on the samples beside it.

## Evidence
- Mechanism: batch, instance and group norm subtract the mean of each channel over batch or space.
- Contested for embeddings: a batch norm after the embedding is common practice in face recognition
  and re-identification.
- DCGAN (Radford et al. 2015) leaves batch norm out at the generator's output for stability.

## Example
```python
x = keras.layers.Conv2D(1, 1)(x)
x = keras.layers.BatchNormalization()(x)
model = keras.Model(inputs, keras.layers.Activation("sigmoid")(x))
```

## Use instead
```python
x = keras.layers.Conv2D(1, 1)(x)
model = keras.Model(inputs, keras.layers.Activation("sigmoid")(x))
```

## Fix safety
A batch norm after a linear layer can be folded into it, and outputs stay; training behaves
otherwise from then on. Any other norm changes outputs when it is removed.
"""

from collections.abc import Iterator

from normwise.graph.catalogue import OUTPUT_ACTIVATIONS, Role
from normwise.norms.mends import RemoveNorm
from normwise.rules.context import (
    BATCH_NORMS,
    PER_POSITION,
    Context,
    LossKind,
    Training,
    loss_kind,
)
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

EMBEDDING = 32
"""Features from which on an output without an activation may be an embedding."""
_THROUGH = frozenset({Role.PASS, Role.RESAMPLE, Role.SHAPE})


def _look(context: Context) -> Iterator[Spot]:
    ends, loss = _ends(context), _loss(context)
    for output in sorted(context.outputs):
        norm, activation = ends[output]
        # An output that others read too is a tap of features, not the prediction.
        if norm is None or context.graph.consumers[output]:
            continue
        wide = activation is None and _may_be_embedding(context, norm)
        by_position = context.nodes[norm].class_name in PER_POSITION
        embedding = loss is LossKind.EMBEDDING or (wide and loss is None)
        if embedding and by_position:
            continue  # encoders end so by design
        name, before = context.layer(norm), context.read(norm)
        folds = (
            context.nodes[norm].class_name in BATCH_NORMS
            and before is not None
            and context.roles[before] is Role.LINEAR
            and context.activations[before] is None
            and context.only_reader(before) == norm
        )
        after = f" but for the {activation} after it" if activation else ""
        yield Spot(
            (name,),
            f"{name} makes {_made(loss, wide)}{after}: its mean and spread are fixed.",
            Severity.WARNING if embedding else None,
            f"Remove {name}.",
            keeps_outputs=folds,
            mends=() if embedding else (RemoveNorm(context.name(norm)),),
            by_hand="an embedding may end so on purpose.",
        )


def _loss(context: Context) -> LossKind | None:
    """What the loss takes the output for; None where it doesn't tell, or there are several."""
    single = len(context.graph.output_tensors) == 1
    return loss_kind(context.training.loss) if single else None


def _made(loss: LossKind | None, wide: bool) -> str:
    """What the norm makes, in words, with what says so where it isn't the width."""
    if loss is LossKind.EMBEDDING:
        return "the embedding that the loss compares"
    return "the prediction, as the loss says" if loss and wide else "the prediction"


def _may_be_embedding(context: Context, norm: int) -> bool:
    """Whether a norm makes as many features as embeddings have, or nothing tells how many."""
    features = _features(context, norm)
    return features is None or features >= EMBEDDING


def _features(context: Context, norm: int) -> int | None:
    """The channels of what a norm makes; where nothing tells their axis, the norm's own does."""
    channels = context.channels_made(norm)
    axes, shape = context.axes_of(norm), context.shape_read(norm)
    if channels is not None or not axes or shape is None:
        return channels
    return shape[axes[-1]]


def _ends(context: Context) -> list[tuple[int | None, str | None]]:
    """For each node the norm whose result it passes on, and the last activation after that."""
    ends: list[tuple[int | None, str | None]] = []
    for index, role in enumerate(context.roles):
        producers = context.producers[index]
        before = ends[producers[0]] if len(producers) == 1 else (None, None)
        activation = context.activations[index]
        if context.is_norm(index):
            ends.append((index, None))
        elif role in _THROUGH:
            ends.append(before)
        elif role is Role.ACTIVATION and activation in OUTPUT_ACTIVATIONS and before[0] is not None:
            ends.append((before[0], activation))
        else:
            ends.append((None, None))
    return ends


def _before_sigmoid() -> Context:
    """A batch norm between the last convolution and the sigmoid."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(32, 32, 3)))
    x = net.norm(net.conv(1, x, size=1), name="norm")
    return net.context(net.add("Activation", x, activation="sigmoid"))


def _before_resize() -> Context:
    """An instance norm whose result is only made larger, inside a nested model."""
    inner = Sketch("head")
    y = inner.add(
        "GroupNormalization", inner.conv(2, inner.input(None, None, 8)), groups=-1, name="n"
    )
    head = inner.graph(y)
    net = Sketch()
    x = net.nest(head, net.relu(net.conv(8, net.input(32, 32, 3))), name="head")
    return net.context(net.add("UpSampling2D", x))


def _after_softmax() -> Context:
    """A batch norm after the softmax."""
    net = Sketch()
    x = net.conv(4, net.input(32, 32, 3), activation="softmax")
    return net.context(net.norm(x, name="norm"))


def _embedding() -> Context:
    """A batch norm after the vector of an embedding."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.relu(net.conv(8, net.input(32, 32, 3))))
    return net.context(net.norm(net.dense(128, x), name="norm"))


def _embedding_of_a_series() -> Context:
    """The same after layers that don't tell which axis the features are."""
    net = Sketch()
    x = net.add("Reshape", net.dense(48 * 16, net.input(8)), target_shape=(16, 48))
    return net.context(net.norm(x, name="norm"))


def _features_unknown() -> Context:
    """A batch norm after a layer of one's own, whose features nothing counts."""
    net = Sketch()
    return net.context(net.norm(net.add("Mine", net.input(32, 32, 3)), name="norm"))


def _embedding_by_its_loss() -> Context:
    """A batch norm after a vector of few features that a triplet loss compares."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.relu(net.conv(8, net.input(32, 32, 3))))
    x = net.norm(net.dense(16, x), name="norm")
    return net.context(x, training=Training(loss="TripletSemiHardLoss"))


def _classes_by_their_loss() -> Context:
    """A batch norm after the logits of 100 classes, told from an embedding by cross-entropy."""
    net = Sketch()
    x = net.add("GlobalAveragePooling2D", net.relu(net.conv(8, net.input(32, 32, 3))))
    x = net.norm(net.dense(100, x), name="norm")
    return net.context(x, training=Training(loss="sparse_categorical_crossentropy"))


def _towards_features() -> Context:
    """A batch norm after 48 features that mean squared error pulls, perhaps those of another."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(32, 32, 3)))
    x = net.norm(net.conv(48, x, size=1), name="norm")
    return net.context(x, training=Training(loss="mse"))


def _feature_extractor() -> Context:
    """Norm and relu at the end, as in a network without its top."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(64, net.input(32, 32, 3))))
    return net.context(x)


def _unscaled() -> Context:
    """`Normalization(invert=True)`, which returns predictions in the target's units."""
    net = Sketch()
    x = net.conv(1, net.relu(net.norm(net.conv(8, net.input(32, 32, 3)))))
    return net.context(net.add("Normalization", x, invert=True))


def _encoder() -> Context:
    """The layer norm that ends a transformer's encoder."""
    net = Sketch()
    x = net.dense(64, net.input(10, 64), activation="gelu")
    return net.context(net.add("LayerNormalization", x))


def _encoder_of_unknown_layers() -> Context:
    """The same after layers that don't tell which axis the features are."""
    net = Sketch()
    x = net.add("TransformerBlock", net.input(10, 64))
    y = net.add("Reshape", net.input(10, 64), target_shape=(10, 64))
    ends = (net.add("LayerNormalization", tensor) for tensor in (x, y))
    return net.context(*ends)


def _normalized_embedding() -> Context:
    """The layer norm that ends an embedding of few features, told by its loss."""
    net = Sketch()
    x = net.dense(16, net.input(64), activation="gelu")
    x = net.add("LayerNormalization", net.dense(16, x))
    return net.context(x, training=Training(loss="CosineSimilarity"))


def _tap() -> Context:
    """A normalized tensor that is an output beside the prediction made from it."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)))
    return net.context(x, net.conv(1, net.relu(x)))


RULE = Rule(
    code="NW110",
    name="norm-on-output",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Remove the normalization.",
    keeps_outputs=False,
    invalid=(
        Invalid(_before_sigmoid, ("norm",)),
        Invalid(_before_resize, ("head/n",)),
        Invalid(_after_softmax, ("norm",)),
        Invalid(_embedding, ("norm",), Severity.WARNING),
        Invalid(_embedding_of_a_series, ("norm",), Severity.WARNING),
        Invalid(_features_unknown, ("norm",), Severity.WARNING),
        Invalid(_embedding_by_its_loss, ("norm",), Severity.WARNING),
        Invalid(_classes_by_their_loss, ("norm",)),
        Invalid(_towards_features, ("norm",), Severity.WARNING),
    ),
    valid=(
        _feature_extractor,
        _unscaled,
        _encoder,
        _encoder_of_unknown_layers,
        _normalized_embedding,
        _tap,
    ),
)
