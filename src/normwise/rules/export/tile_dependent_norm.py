"""Statistics over space in a network that may predict tile by tile.

## What it does
In networks whose output is a map, it finds normalizations that take statistics of each input over
rows and columns: group and instance norms, layer norms over these axes, and batch norms that are
called with `training=True`. Layer norms over channels alone and batch norms in inference are
exempt.

## Why is this bad
A scene that is larger than memory is predicted by tiles, and a tile's statistics are not those of
the scene: the same pixel gets another value in each tile, which shows as seams.

## Evidence
- Buglakova et al., ICCV 2025, "Tiling artifacts and trade-offs of feature normalization in the
  segmentation of large biological images" (arXiv 2503.19545): norms of each input leave seams
  between tiles that batch norm in inference doesn't (see `tile-mismatch`, which measures them).
- By construction: in inference a batch norm is a fixed scale and shift, so that tiles with a margin
  of the receptive field equal the whole image to rounding.
- Contested as a choice: for small batches these norms are the better ones, and seams can be
  blended.

## Example
```python
x = keras.layers.GroupNormalization(groups=-1)(x)  # in a U-Net for large scenes
```

## Use instead
```python
x = keras.layers.BatchNormalization()(x)
```

## Fix safety
Outputs change: the model has to be trained again. Whole images, where they fit into memory, need no
mending.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from normwise.graph.graph import Shape
from normwise.graph.regions import DECODER
from normwise.rules.context import BATCH_NORMS, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted, span


def _look(context: Context) -> Iterator[Spot]:
    norms = [index for index in context.norms if _is_over_space(context, index)]
    if norms and _predicts_maps(context):
        yield each_by_itself(context, norms, lambda some: _spot(context, some))


def _spot(context: Context, norms: Sequence[int]) -> Spot:
    layers = context.layers(norms)
    takes = "takes" if len(layers) == 1 else "take"
    return Spot(
        layers,
        f"{counted(len(layers), 'normalization')} ({span(layers)}) {takes} statistics over all "
        "pixels of a tile, so that tiles can't equal the whole image.",
    )


def _is_over_space(context: Context, index: int) -> bool:
    node, producers = context.nodes[index], context.producers[index]
    if len(producers) != 1 or not context.layout.scales[producers[0]]:
        return False
    if node.class_name in BATCH_NORMS:
        return node.kwargs.get("training") is True and not context.is_frozen(index)
    if node.class_name == "GroupNormalization":
        return True
    axes, channels = context.axes_of(index), context.axis_read(index)
    known = axes is not None and channels is not None
    return (
        node.class_name == "LayerNormalization"
        and known
        and bool(set(axes or ()) - {0, channels.axis if channels else 0})
    )


def _predicts_maps(context: Context) -> bool:
    """Whether an output is a map at the input's resolution, or one that was made finer again."""
    layout = context.layout
    scales = [scale for output in context.outputs if (scale := layout.scales[output])]
    if scales and (DECODER in layout.regions or any(set(scale) == {1} for scale in scales)):
        return True
    inputs = {tensor.node for tensor in context.graph.input_tensors}
    return bool(_sizes(context, inputs) & _sizes(context, context.outputs))


def _sizes(context: Context, nodes: Iterable[int]) -> AbstractSet[Shape]:
    """The rows and columns of the images that nodes make, where they are known."""
    shapes = (context.nodes[index].shape or () for index in nodes)
    return {shape[1:3] for shape in shapes if len(shape) == 4 and None not in shape[1:3]}


def _decoder(norm: str, **config: Any) -> Context:
    """A small U-Net with one norm."""
    net = Sketch()
    top = net.relu(net.conv(8, net.input(None, None, 3)))
    x = net.conv(8, net.add("MaxPooling2D", top))
    x = net.relu(net.add(norm, x, name="norm", **config))
    x = net.add("Concatenate", net.add("UpSampling2D", x), top)
    return net.context(net.conv(1, net.relu(net.conv(8, x))))


def _instance() -> Context:
    """Instance norm in a U-Net."""
    return _decoder("GroupNormalization", groups=-1)


def _half_resolution() -> Context:
    """A decoder that ends at half of the input's resolution."""
    net = Sketch()
    x = net.conv(8, net.conv(8, net.input(32, 32, 3), strides=(2, 2)), strides=(2, 2))
    x = net.relu(net.add("GroupNormalization", x, groups=4, name="norm"))
    return net.context(net.conv(1, net.relu(net.conv(8, net.add("UpSampling2D", x)))))


def _layer_over_space() -> Context:
    """A layer norm over rows, columns and channels, inside a nested model."""
    inner = Sketch("block")
    y = inner.add("LayerNormalization", inner.input(32, 32, 8), axis=(1, 2, 3), name="norm")
    net = Sketch()
    x = net.nest(inner.graph(y), net.conv(8, net.input(32, 32, 3)), name="block")
    return net.context(net.conv(1, net.relu(x)))


def _reshaped_to_a_map() -> Context:
    """A prediction of each pixel that is reshaped into a row of pixels and back."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(32, 32, 3), strides=(2, 2)))
    x = net.relu(net.add("GroupNormalization", net.conv(8, x), groups=4, name="norm"))
    x = net.conv(1, net.add("UpSampling2D", x))
    x = net.add("Reshape", x, target_shape=(32 * 32, 1))
    return net.context(net.add("Reshape", x, target_shape=(32, 32, 1)))


def _in_training_mode() -> Context:
    """A batch norm that is called with `training=True`, as in some generators."""
    return _decoder("BatchNormalization", call={"training": True})


def _batch() -> Context:
    """Batch norm, fixed in inference."""
    return _decoder("BatchNormalization")


def _of_each_pixel() -> Context:
    """Layer norm over the channels of each pixel."""
    return _decoder("LayerNormalization")


def _classifier() -> Context:
    """Group norm in a classifier, which has no tiles."""
    net = Sketch()
    x = net.relu(net.add("GroupNormalization", net.conv(8, net.input(32, 32, 3)), groups=4))
    return net.context(net.dense(10, net.add("GlobalAveragePooling2D", x)))


def _features() -> Context:
    """Group norm in a network that ends in coarse features."""
    net = Sketch()
    x = net.add("GroupNormalization", net.conv(8, net.input(32, 32, 3), strides=(2, 2)), groups=4)
    return net.context(net.relu(x))


def _tokens() -> Context:
    """Layer norm over the features of tokens, and of what is pooled."""
    net = Sketch()
    x = net.add("LayerNormalization", net.dense(8, net.input(16, 4)))
    return net.context(net.dense(1, net.add("LayerNormalization", net.dense(8, x))))


RULE = Rule(
    code="NW302",
    name="tile-dependent-norm",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix="Predict whole images where they fit, blend overlapping tiles where not, or train with "
    "batch normalization.",
    keeps_outputs=False,
    by_hand="which normalization to take instead is a choice; `normwise place` swaps kinds.",
    invalid=(
        Invalid(_instance, ("norm",)),
        Invalid(_half_resolution, ("norm",)),
        Invalid(_layer_over_space, ("block/norm",)),
        Invalid(_reshaped_to_a_map, ("norm",)),
        Invalid(_in_training_mode, ("norm",)),
    ),
    valid=(
        _batch, _of_each_pixel, _classifier, _features, _tokens,
    ),
)  # fmt: skip
