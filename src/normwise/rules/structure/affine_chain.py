"""Three or more learned linear layers in a row without a nonlinearity.

## What it does
Follows convolutions and dense layers through everything that is affine (batch norm, dropout,
average pooling, up-sampling, padding, reshapes, concatenation, sums) and reports runs of three and
more. Runs along sums (residual blocks, feature pyramids), those around a pixel shuffle at the end
of the network, and those whose inner results also go to something nonlinear (dense blocks) are only
notes; runs of two are by design in many networks. Norms that depend on the input (instance, group,
layer) end a run.

## Why is this bad
All layers of the run together are one affine map, so their depth adds no capacity, however many
parameters it has; a normalization among them can help the optimizer, but adds no nonlinearity.

## Evidence
- Measured: in the network of the question everything after conv6, seven transposed convolutions
  with half of all parameters, is one affine map of conv6 and the two skips.
- Measured: a convolution right after convolution and batch norm is in MobileNetV2 (7 times),
  EfficientNetB0 (7) and MobileNetV3Small (5), and more often where sums stand between.

## Example
```python
x = keras.layers.Conv2DTranspose(128, 3, strides=2, padding="same")(x)
x = keras.layers.Conv2DTranspose(64, 3, strides=2, padding="same")(x)
x = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x)
```

## Use instead
```python
x = keras.layers.Conv2DTranspose(128, 3, strides=2, padding="same", activation="relu")(x)
x = keras.layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
x = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x)
```

## Fix safety
Activations change outputs; the model has to be trained again.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from normwise.norms.mends import AddActivation, Mend
from normwise.rules.context import OUTPUT, Context
from normwise.rules.context.affine_runs import (
    AffineRuns,
    Chain,
    affine_runs,
    chains,
    is_affine,
    is_sum,
    reaches,
    weight,
)
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch

LONGEST_BY_DESIGN = 2
"""Learned layers in a row that many healthy networks have."""
_HIDDEN = frozenset({"relu", "relu6", "elu", "selu", "gelu", "silu", "mish"})
"""Activations that a hidden layer may take over from others."""


def _look(context: Context) -> Iterator[Spot]:
    affine = [is_affine(context, i) for i in range(len(context.nodes))]
    sums = [is_sum(context, i) for i in range(len(context.nodes))]
    plain = affine_runs(context, [a and not s for a, s in zip(affine, sums, strict=True)])
    summed = reaches(context, plain, sums) if any(sums) else sums
    others = [not (t or s) for t, s in zip(plain.takes, sums, strict=True)]
    bent = reaches(context, plain, others)
    reported: set[int] = set()
    usual = _usual_activation(context)
    for chain in chains(context, plain, LONGEST_BY_DESIGN):
        reported |= set(chain.layers)
        around = _around(context, plain, chain, summed, bent)
        yield _spot(context, chain, around, () if around else _mends(context, plain, chain, usual))
    if not any(sums):
        return
    for chain in chains(context, affine_runs(context, affine), LONGEST_BY_DESIGN):
        if not reported & set(chain.layers):
            yield _spot(context, chain, "along sums", ())


def _usual_activation(context: Context) -> str:
    """The hidden activation that a network has most of."""
    found = Counter(a for a in context.activations if a in _HIDDEN).most_common(1)
    return found[0][0] if found else "relu"


def _mends(context: Context, runs: AffineRuns, chain: Chain, activation: str) -> tuple[Mend, ...]:
    """An activation after every layer of a chain but those that end it; none where one can't be.

    It stands after the norm of a layer that only a norm reads.
    """
    learned = [i for i in chain.layers if weight(context, i)]
    inner = [i for i in learned if runs.down[i] > 1]
    ends = [i for i in learned if runs.down[i] <= 1]
    if any(OUTPUT in context.users[i] for i in inner):
        return ()
    if {context.layer(i) for i in inner} & {context.layer(i) for i in ends}:
        return ()
    places = []
    for index in inner:
        reader = context.only_reader(index)
        norm = reader is not None and context.is_norm(reader)
        places.append(reader if norm and reader is not None else index)
    return tuple(AddActivation(context.name(place), activation) for place in places)


def _spot(context: Context, chain: Chain, around: str, mends: tuple[Mend, ...]) -> Spot:
    layers = context.layers(chain.layers)
    if around:
        return Spot(
            layers,
            f"No nonlinearity in {chain.length} learned layers in a row {around}, from {layers[0]} "
            f"to {layers[-1]}.",
            Severity.INFO,
            by_hand="such runs are built on purpose.",
        )
    return Spot(
        layers,
        f"{len(layers)} learned layers{_share(context, layers)}, from {layers[0]} to "
        f"{layers[-1]}, are one affine map: there is no nonlinearity between {chain.length} layers "
        "in a row.",
        mends=mends,
        by_hand="a layer inside the run makes an output too, or ends it at another call.",
    )


def _share(context: Context, layers: Sequence[str]) -> str:
    """Their parameters, and the share in those of the model."""
    counts = [context.parameters[layer] for layer in layers]
    own, total = sum(count for count in counts if count is not None), context.total_parameters
    if not total or None in counts:
        return ""
    return f", {own:,} of {total:,} parameters ({own / total:.0%})"


def _around(
    context: Context, runs: AffineRuns, chain: Chain, summed: Sequence[bool], bent: Sequence[bool]
) -> str:
    """What makes a chain one by design, as words after "in a row"; empty if nothing does.

    Args:
        context: The network.
        runs: Its runs.
        chain: One of them.
        summed: Whether what each node makes reaches a sum without another layer.
        bent: Likewise, whether it reaches what is no affine map, as far as anything tells.
    """
    ends = any(index in context.outputs for index in chain.nodes)
    if ends and any(_shuffles(context, index) for index in chain.layers):
        return "around a pixel shuffle"
    inner = [i for i in chain.layers if runs.down[i] > weight(context, i)]
    # Lateral layers of a feature pyramid: summed on one way, smoothed on the other.
    if any(summed[i] for i in inner):
        return "along sums"
    if any(bent[i] for i in inner):
        return "whose results something else reads too"
    # The identity of a residual block after them: a sum reads it, and the branch is nonlinear.
    last = (i for i in chain.layers if runs.down[i] <= weight(context, i))
    return "before a residual block" if any(summed[i] and bent[i] for i in last) else ""


def _shuffles(context: Context, index: int) -> bool:
    """Whether a pixel shuffle reads the layer."""
    return any(
        r >= 0 and context.nodes[r].class_name == "DepthToSpace" for r in context.readers[index]
    )


def _decoder() -> Context:
    """A decoder of transposed convolutions without activations, with a skip."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3), strides=(2, 2), activation="relu")
    y = net.conv(16, x, strides=(2, 2), activation="relu")
    up: dict[str, Any] = {"kernel_size": (3, 3), "strides": (2, 2), "padding": "same"}
    y = net.add("Conv2DTranspose", net.add("Dropout", y), filters=8, name="up1", **up)
    y = net.add("Concatenate", net.norm(y), x)
    y = net.add("Conv2DTranspose", y, filters=4, name="up2", **up)
    return net.context(net.conv(1, y, name="head"))


def _residual() -> Context:
    """Projections along the sums of residual blocks, as in Xception."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3), activation="relu")
    for name in ("one", "two", "three"):
        short = net.norm(net.conv(8, x, size=1, name=name))
        x = net.add("Add", net.norm(net.conv(8, net.relu(x), name=f"{name}_branch")), short)
    return net.context(net.relu(x))


def _super_resolution() -> Context:
    """The tail of a super-resolution network: convolution, pixel shuffle, twice, convolution."""
    net = Sketch()
    x = net.conv(8, net.input(8, 8, 3), activation="relu")
    for name in ("up1", "up2"):
        x = net.add("DepthToSpace", net.conv(32, x, name=name), block_size=2)
    return net.context(net.conv(3, x, name="out"))


def _pyramid() -> Context:
    """A lateral layer that is summed with finer levels, smoothed, and read by a head."""
    net = Sketch()
    fine = net.conv(8, net.input(32, 32, 3), activation="relu")
    coarse = net.conv(8, fine, strides=(2, 2), activation="relu")
    lateral = net.conv(8, coarse, size=1, name="lateral")
    x = net.add("Add", net.add("UpSampling2D", lateral), net.conv(8, fine, size=1))
    head = net.conv(8, net.conv(8, lateral, name="smooth"), activation="relu", name="head")
    return net.context(net.conv(1, net.relu(x)), net.conv(1, head))


def _dense_block() -> Context:
    """A dense block: what is made larger and predicted from is activated on the way to the next."""
    net = Sketch()
    x = net.conv(4, net.relu(net.conv(8, net.input(32, 32, 3))), name="grown")
    y = net.conv(4, net.relu(net.norm(x)), name="next")
    y = net.add("Concatenate", x, y)
    up: dict[str, Any] = {"kernel_size": (3, 3), "strides": (2, 2), "padding": "same"}
    y = net.add("Conv2DTranspose", y, filters=4, name="up", **up)
    return net.context(net.conv(1, y, size=1, name="head"))


def _before_residual_block() -> Context:
    """Features of a transformer, projected, made larger and smoothed for a residual block."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(8, 8, 3)))
    x = net.conv(4, x, size=1, name="project")
    up: dict[str, Any] = {"kernel_size": (4, 4), "strides": (4, 4), "padding": "same"}
    x = net.add("Conv2DTranspose", x, filters=4, name="up", **up)
    x = net.conv(4, x, name="smooth")
    y = net.conv(4, net.relu(net.conv(4, net.relu(x))))
    return net.context(net.relu(net.add("Add", x, y)))


def _two_in_a_row() -> Context:
    """Two convolutions in a row, as in every linear bottleneck."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(16, net.input(32, 32, 3))))
    x = net.norm(net.conv(32, net.norm(net.conv(8, x, size=1)), size=1))
    return net.context(net.conv(1, net.relu(x)))


def _instance_norm_between() -> Context:
    """Instance norms between: each depends on its input, so the whole is no affine map."""
    net = Sketch()
    x = net.input(32, 32, 3)
    for _ in range(3):
        x = net.add("GroupNormalization", net.conv(8, x), groups=-1)
    return net.context(net.conv(1, x))


def _separable() -> Context:
    """Depthwise and pointwise convolutions: each pair is one factorized convolution."""
    net = Sketch()
    x = net.relu(net.conv(8, net.input(32, 32, 3)))
    for _ in range(2):
        x = net.add("DepthwiseConv2D", x, kernel_size=(3, 3), padding="same")
        x = net.norm(net.conv(8, net.norm(x), size=1))
    return net.context(net.relu(x))


RULE = Rule(
    code="NW107",
    name="affine-chain",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Put an activation after each of these layers but the last, and train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_decoder, ("up1", "up2", "head")),
        Invalid(
            _residual,
            ("one", "one_branch", "two", "three"),
            Severity.INFO,
        ),
        Invalid(_pyramid, ("lateral", "smooth", "head"), Severity.INFO),
        Invalid(_dense_block, ("grown", "next", "up", "head"), Severity.INFO),
        Invalid(_before_residual_block, ("project", "up", "smooth"), Severity.INFO),
        Invalid(_super_resolution, ("up1", "up2", "out"), Severity.INFO),
    ),
    valid=(_two_in_a_row, _instance_norm_between, _separable),
)
