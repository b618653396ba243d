"""A skip carries a tensor from before its normalization into a concatenation.

## What it does
Finds tensors that one reader normalizes while another way takes them raw, through a gate too, into
a concatenation whose result reaches a convolution or dense layer without being normalized. All
tensors that one concatenation gets so are one finding. What is joined by a sum is exempt (an
identity path stays raw on purpose), and so are concatenations with a norm after them, as in
DenseNet, also where a shortcut reads them beside it, and tensors that no learned layer made, such
as scaled or embedded inputs. It is only a note where the tensor is the trunk of residual blocks, or
is joined with a layer's raw result that was made from its norm, as in dense blocks.

## Why is this bad
The layer after the concatenation sees channels at two scales, normalized ones beside raw ones
whose scale drifts in training, which is what the normalization was put there to prevent.

## Evidence
- Measured: in the network of the question both skips tap their convolution before its batch norm.
- Measured: DenseNet121 has 58 raw taps, all with a batch norm after the concatenation, and
  ResNet50V2 has 9, all into sums; none of them is a fault.

## Example
```python
tap = keras.layers.Conv2D(16, 3, activation="relu")(x)
x = keras.layers.BatchNormalization()(tap)
...
x = keras.layers.Concatenate()([x, tap])
```

## Use instead
```python
x = tap = keras.layers.BatchNormalization()(keras.layers.Conv2D(16, 3, activation="relu")(x))
...
x = keras.layers.Concatenate()([x, tap])
```

## Fix safety
Shapes stay, outputs change; the model has to be trained again. A new norm on the skip, set to the
identity, keeps outputs.
"""

from collections.abc import Iterator, Mapping, Sequence

from normwise.graph.catalogue import Role
from normwise.graph.resolution import Scale
from normwise.norms.mends import Reread
from normwise.rules.context import OUTPUT, Context
from normwise.rules.rule import Invalid, Rule, Severity, Spot
from normwise.rules.sketches import Sketch
from normwise.rules.words import named

_ON_SKIP = frozenset(
    {Role.PASS, Role.POOL, Role.RESAMPLE, Role.BORDER, Role.ACTIVATION, Role.SHAPE}
)
_ENCODINGS = frozenset(
    {"Embedding", "Normalization", "CategoryEncoding", "Discretization", "Hashing"}
    | {"HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization"}
)
"""Layers that make numbers of an input, learned or not, before the network itself begins."""


def _look(context: Context) -> Iterator[Spot]:
    joins = [
        index
        for index in context.of_role(Role.MERGE)
        if context.nodes[index].class_name == "Concatenate"
        and context.reaches_linear[index]
        and not context.reaches_norm[index]
    ]
    taps = _taps(context) if joins else []
    found: dict[int, dict[int, list[int]]] = {}
    for index in joins:
        for producer in context.producers[index]:
            tap = taps[producer]
            if tap is not None:
                found.setdefault(index, {}).setdefault(tap, []).append(producer)
    starts, grown = (_starts(context, taps), _grown(context)) if found else ([], [])
    trunks = {tap for tap in set(taps) if tap is not None and _on_trunk(context, tap)}
    for merge, ways in found.items():
        beside = {grown[producer] for producer in context.producers[merge]}
        meant = {tap for tap in ways if tap in trunks or tap in beside}
        for severity in (None, Severity.INFO):
            some = {tap: ends for tap, ends in ways.items() if (tap in meant) == bool(severity)}
            if some:
                yield _spot(context, merge, some, starts, severity)


def _spot(
    context: Context,
    merge: int,
    ways: Mapping[int, Sequence[int]],
    starts: Sequence[tuple[int, int] | None],
    severity: Severity | None,
) -> Spot:
    """What a merge gets raw, all of it at once: there may be as many merges as tensors in each.

    Args:
        context: The network.
        merge: The concatenation.
        ways: The raw tensors, each with the nodes that bring it.
        starts: Where skips begin (see `_starts`).
        severity: A note for what is built so on purpose, else None.
    """
    norms = {tap: norm for tap in ways if (norm := context.norm_beside[tap]) is not None}
    layers, join = context.layers(ways), context.layer(merge)
    raw, normal = named(layers), named(context.layers(norms.values()))
    rereads = (
        Reread(*map(context.name, (*(starts[end] or (merge, end)), norm)))
        for tap, norm in norms.items()
        for end in ways[tap]
        if end != norm
    )
    return Spot(
        (*layers, join),
        f"{join} gets {raw} from before {normal}, and no normalization follows {join}.",
        severity,
        f"Let {join} read {normal} instead of {raw}, and train again.",
        mends=() if severity else tuple(rereads),
        by_hand="such tensors stay raw on purpose in pre-activation and dense blocks.",
    )


def _on_trunk(context: Context, tap: int) -> bool:
    """Whether a tensor is the trunk of residual blocks: a sum, or what one gets as it is."""
    return any(_is_sum(context, index) for index in (tap, *context.users[tap]))


def _is_sum(context: Context, index: int) -> bool:
    is_merge = index != OUTPUT and context.roles[index] is Role.MERGE
    return is_merge and context.nodes[index].class_name == "Add"


def _grown(context: Context) -> Sequence[int | None]:
    """For each node the tensor from whose norm it was made, where it is a layer's raw result.

    That is how dense blocks grow: one layer after the other from the norm on, at one resolution.
    """
    scales = context.layout.scales
    begun: list[int | None] = []
    raw: list[bool] = []
    for index, producers in enumerate(context.producers):
        before = producers[0] if len(producers) == 1 else None
        norm, start = context.is_norm(index), None
        if before is not None and _is_alike(scales[index], scales[before]):
            start = begun[before]
        if norm and before is not None:
            read = context.sources[before]
            # The second norm of a bottleneck, which alone reads what stands before it, begins none.
            start = read if start is None or len(context.users[read]) > 1 else start
        begun.append(start)
        carried = before is not None and raw[before] and not norm
        raw.append(context.roles[index] is Role.LINEAR or carried)
    return [start if bare else None for start, bare in zip(begun, raw, strict=True)]


def _is_alike(one: Scale | None, two: Scale | None) -> bool:
    """Whether two resolutions are the same; most are one object, and compared at once."""
    return one is two or one == two


def _starts(context: Context, taps: Sequence[int | None]) -> Sequence[tuple[int, int] | None]:
    """For each node on a skip the call where it begins to be one, and what that reads.

    That is the first call that doesn't lead to the norm as well; None for those that do.
    """
    shared = _leading_to_norms(context, taps)
    starts: list[tuple[int, int] | None] = []
    for index, tap in enumerate(taps):
        before = _carried(context, index)
        if tap is None or before is None or shared.get(index) == tap:
            starts.append(None)
        else:
            starts.append((index, before) if shared.get(before) == tap else starts[before])
    return starts


def _leading_to_norms(context: Context, taps: Sequence[int | None]) -> Mapping[int, int]:
    """The nodes from each tap to the norm beside it, that one left out, with their tap."""
    found: dict[int, int] = {}
    for tap in dict.fromkeys(taps):
        norm = None if tap is None else context.norm_beside[tap]
        if tap is None or norm is None:
            continue
        index = next(p for p in context.producers[norm] if context.sources[p] == tap)
        while index != tap:
            found[index] = tap
            index = context.producers[index][0]
        found[tap] = tap
    return found


def _taps(context: Context) -> list[int | None]:
    """For each node the raw tensor that reaches it along a skip and is normalized beside it."""
    taps: list[int | None] = []
    normal: list[bool] = []
    learned = _learned(context)
    for index, role in enumerate(context.roles):
        before = _carried(context, index)
        normal.append(role is Role.NORM or (before is not None and normal[before]))
        tensor = context.origins[index]
        if learned[tensor] and not normal[index] and context.norm_beside[tensor] is not None:
            taps.append(tensor)
        else:
            taps.append(None if before is None else taps[before])
    return taps


def _learned(context: Context) -> Sequence[bool]:
    """For each node whether it or a node before it is a learned layer; encodings are none."""
    found: list[bool] = []
    for index, node in enumerate(context.nodes):
        own = node.class_name not in _ENCODINGS and context.parameters[node.layer] != 0
        found.append(own or any(found[producer] for producer in context.producers[index]))
    return found


def _carried(context: Context, index: int) -> int | None:
    """The node whose tensor a node passes on along a skip; a gate only weighs it."""
    producers, role = context.producers[index], context.roles[index]
    if role is Role.MERGE and context.nodes[index].class_name == "Multiply":
        masks = context.layout.masks
        producers = tuple(p for p in producers if context.sources[p] not in masks)
    elif role not in _ON_SKIP:
        return None
    return producers[0] if len(producers) == 1 else None


def _raw_skip() -> Context:
    """The skip taps the convolution, the way down its norm."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), activation="relu", name="tap")
    x = net.relu(net.conv(16, net.norm(tap), strides=(2, 2)))
    x = net.add("Concatenate", net.add("UpSampling2D", x), tap, name="join")
    return net.context(net.conv(1, x))


def _raw_on_a_long_way() -> Context:
    """The same through dropout, pooling and a relu of its own."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), name="tap")
    x = net.conv(16, net.relu(net.norm(tap)), strides=(2, 2))
    skip = net.add("MaxPooling2D", net.relu(net.add("Dropout", tap)))
    return net.context(net.conv(1, net.relu(net.add("Concatenate", x, skip, name="join"))))


def _raw_through_a_gate() -> Context:
    """The same through the gate of an attention U-Net."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), activation="relu", name="tap")
    x = net.relu(net.conv(16, net.norm(tap), strides=(2, 2)))
    x = net.add("UpSampling2D", x)
    gate = net.add("Activation", net.conv(1, x, size=1), activation="sigmoid")
    x = net.add("Concatenate", x, net.add("Multiply", tap, gate), name="join")
    return net.context(net.conv(1, x))


def _two_raw_skips() -> Context:
    """Two raw tensors in one concatenation, as in a U-Net that joins all its levels."""
    net = Sketch()
    one = net.conv(8, net.input(32, 32, 3), activation="relu", name="one")
    two = net.conv(8, net.norm(one), strides=(2, 2), activation="relu", name="two")
    x = net.add("UpSampling2D", net.relu(net.norm(net.conv(16, net.norm(two)))))
    x = net.add("Concatenate", x, one, net.add("UpSampling2D", two), name="join")
    return net.context(net.conv(1, x))


def _trunk() -> Context:
    """The trunk of pre-activation blocks, whose sums are raw by design."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    x = tap = net.add("Add", x, net.conv(8, net.relu(net.norm(x))), name="tap")
    x = net.add("Add", x, net.conv(8, net.relu(net.norm(x))))
    return net.context(net.conv(1, net.add("Concatenate", tap, x, name="join")))


def _dense_block() -> Context:
    """The last layer of a dense block, before the convolution that predicts."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), name="tap")
    y = net.conv(16, net.relu(net.norm(tap)), size=1)
    y = net.conv(4, net.relu(net.norm(y)))
    return net.context(net.conv(1, net.add("Concatenate", tap, y, name="join"), size=1))


def _norm_behind() -> Context:
    """A norm after the concatenation, as in dense blocks."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    y = net.conv(8, net.relu(net.norm(x)))
    x = net.relu(net.norm(net.add("Concatenate", x, y)))
    return net.context(net.conv(1, x))


def _shortcut_beside_norm() -> Context:
    """A norm after the concatenation and a projected shortcut beside it, as in a ResU-Net."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3))
    x = net.conv(16, net.relu(net.norm(tap)), strides=(2, 2))
    x = net.add("Concatenate", net.add("UpSampling2D", x), tap)
    y = net.conv(8, net.relu(net.norm(x)))
    return net.context(net.conv(1, net.add("Add", y, net.conv(8, x, size=1))))


def _encoded_inputs() -> Context:
    """Scaled and embedded inputs, normalized on the deep way of a wide and deep network."""
    net = Sketch()
    words = net.add("Flatten", net.add("Embedding", net.input(1, dtype="int32")))
    x = net.add("Concatenate", net.add("Rescaling", net.input(8), scale=0.1), words)
    deep = net.relu(net.norm(net.dense(16, net.norm(x))))
    return net.context(net.dense(1, net.add("Concatenate", x, deep)))


def _into_a_sum() -> Context:
    """A raw tensor into a sum, as on the identity path of a pre-activation block."""
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    y = net.conv(8, net.relu(net.norm(x)))
    return net.context(net.conv(1, net.add("Add", x, y)))


def _normalized_skip() -> Context:
    """A skip after norm and relu, which the next block happens to normalize again."""
    net = Sketch()
    tap = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    x = net.conv(16, net.relu(net.norm(tap)), strides=(2, 2))
    x = net.add("Concatenate", net.add("UpSampling2D", x), tap)
    return net.context(net.conv(1, x))


def _no_norms() -> Context:
    """A U-Net without any norm."""
    net = Sketch()
    tap = net.conv(8, net.input(32, 32, 3), activation="relu")
    x = net.conv(16, tap, strides=(2, 2), activation="relu")
    x = net.add("Concatenate", net.add("UpSampling2D", x), tap)
    return net.context(net.conv(1, x))


RULE = Rule(
    code="NW108",
    name="unnormalized-skip",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix="Let the skip start after the normalization, and train again.",
    keeps_outputs=False,
    invalid=(
        Invalid(_raw_skip, ("tap", "join")),
        Invalid(_raw_on_a_long_way, ("tap", "join")),
        Invalid(_raw_through_a_gate, ("tap", "join")),
        Invalid(_two_raw_skips, ("one", "two", "join")),
        Invalid(_trunk, ("tap", "join"), Severity.INFO),
        Invalid(_dense_block, ("tap", "join"), Severity.INFO),
    ),
    valid=(
        _norm_behind, _shortcut_beside_norm, _encoded_inputs, _into_a_sum, _normalized_skip,
        _no_norms,
    ),
)  # fmt: skip
