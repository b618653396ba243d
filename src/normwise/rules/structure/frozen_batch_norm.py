"""A batch normalization that looks frozen and still learns statistics.

## What it does
Finds batch norms that are trainable but called with `training=False` inside the model, alone or in
a nested model that is called so, and those of a backbone whose learned layers are all set to
`trainable=False` while the batch norms are not. New norms that only read a frozen backbone's taps
have to learn, so nothing is said of them. Where a live model is at hand it is tried: norms whose
statistics one call in training mode doesn't move are not reported.

## Why is this bad
In Keras 3 up to 3.15 the `training=True` of `fit` overwrites the `training=False` of the inner
call, so the moving statistics of a pretrained backbone drift with every batch, although the code
says that they are frozen. In Keras 2 they were: there the call's `training=False` wins, so that of
a file of Keras 2 this is a warning of what Keras 3 makes of it.

## Evidence
- Measured on Keras 3.15.1 (JAX and PyTorch): `base(x, training=False)` inside a functional model
  still updates moving statistics in `fit`, although Keras' transfer-learning guide recommends it.
- keras commit c0215ac373 (pull request 23364): from Keras 3.16 on the inner `training=False` wins.
- keras issue 20285: a user noticed; issues 9965, 6570, 7085 and 4762 have the history.
- qubvel/segmentation_models, `freeze_model`, read in the source: freezes all but the batch norms.

## Example
```python
x = backbone(inputs, training=False)
```

## Use instead
```python
for layer in backbone.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
x = backbone(inputs, training=False)
model.compile(...)  # after the change
```

## Fix safety
Outputs in inference stay; training behaves as the code already says.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from normwise.graph.catalogue import Role
from normwise.graph.graph import Graph, Node
from normwise.norms.mends import Mend, configure
from normwise.rules.context import BATCH_NORMS, HONOURED_FROM, Context, mode_of
from normwise.rules.context.measurements import StateChange
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_layer_by_itself
from normwise.rules.sketches import Sketch, SketchedWeights
from normwise.rules.words import counted, span

_FRESH = "statistics are still 0 and 1: frozen like that these norms would never learn any."
_FIRST_OVERWRITING = (3,)
"""The first Keras in which the `training` of `fit` overwrites that of an inner call."""
SMALLEST_BACKBONE = 3
"""Batch norms after frozen layers from which on they are a frozen backbone's."""


def _look(context: Context) -> Iterator[Spot]:
    old = context.keras_version is None or context.keras_version < HONOURED_FROM
    legacy = context.keras_version is not None and context.keras_version < _FIRST_OVERWRITING
    baked = list(_baked(context.model)) if old else []
    told = {norm for _, norms in baked for norm in norms}
    behind = [
        i
        for i in _behind_frozen_layers(context)
        if context.layer(i) not in told and i not in context.resting
    ]
    rest = context.layers(behind)
    if len(rest) < SMALLEST_BACKBONE or all(map(context.is_frozen, context.linears)):
        rest = ()
    moved = _moved(context, (*told, *rest))
    tried = "" if moved is None else " Tried: one call in training mode moved them."
    seen: set[str] = set()
    for caller, norms in baked:
        new = _kept((norm for norm in dict.fromkeys(norms) if norm not in seen), moved)
        seen.update(new)
        if new:
            yield each_layer_by_itself(new, partial(_spot_of_call, caller, tried, legacy))
    rest = _kept(rest, moved)
    if rest:
        kept = set(rest)
        fresh = _holds_nothing_yet(context, (i for i in behind if context.layer(i) in kept))
        yield each_layer_by_itself(rest, partial(_spot_of_backbone, fresh, tried))


def _holds_nothing_yet(context: Context, norms: Iterable[int]) -> bool:
    """Whether a norm still has the statistics that it began with, by its weights."""
    weights = (context.weights_of(norm) for norm in norms)
    return any(own is not None and own.has_initial_statistics for own in weights)


def _frozen_norms(layers: Iterable[str]) -> tuple[Mend, ...]:
    return tuple(configure(layer, {"trainable": False}) for layer in layers)


def _moved(context: Context, layers: tuple[str, ...]) -> frozenset[str] | None:
    """The norms whose statistics training moves; None where nobody can try."""
    return context.live.moved(layers) if context.live is not None and layers else None


def _kept(layers: Iterable[str], moved: frozenset[str] | None) -> tuple[str, ...]:
    return tuple(layer for layer in layers if moved is None or layer in moved)


def _spot_of_backbone(fresh: bool, tried: str, norms: tuple[str, ...]) -> Spot:
    return Spot(
        norms,
        f"{counted(len(norms), 'batch normalization')}, {span(norms)}, still "
        f"{'learns' if len(norms) == 1 else 'learn'} statistics after layers that are all "
        f"frozen.{tried}",
        mends=() if fresh else _frozen_norms(norms),
        by_hand=_FRESH if fresh else None,
    )


def _spot_of_call(caller: str, tried: str, legacy: bool, norms: tuple[str, ...]) -> Spot:
    if norms == (caller,):
        message = f"{caller} is called with training=False, but it is trainable"
    else:
        count = counted(len(norms), "batch normalization")
        message = f"{caller} is called with training=False, but {count} in it can be trained"
    when = "loaded into Keras 3 before 3.16, fit() moves" if legacy else "fit() still moves"
    said = f"{message}: {when} the statistics.{tried}"
    return Spot(norms, said, Severity.WARNING if legacy else None, mends=_frozen_norms(norms))


def _baked(model: Graph) -> Iterator[tuple[str, list[str]]]:
    """Each call with `training=False`, with the trainable batch norms that it holds."""
    found: dict[str, list[str]] = {}
    pending: list[tuple[Graph, str, str | None]] = [(model, "", None)]
    while pending:
        graph, path, caller = pending.pop()
        for node in graph.nodes:
            layer = f"{path}{node.layer}"
            inside = caller or (layer if mode_of(node) is False else None)
            nested = node.model or node.steps
            if nested is not None:
                pending.append((nested, f"{layer}/", inside))
            elif inside and node.class_name in BATCH_NORMS and not _is_frozen(node):
                found.setdefault(inside, []).append(layer)
    yield from found.items()


def _is_frozen(node: Node) -> bool:
    return node.config.get("trainable") is False


def _behind_frozen_layers(context: Context) -> list[int]:
    """Trainable batch norms for which every learned layer right before is frozen."""
    if not any(map(context.is_frozen, context.linears)):
        return []
    frozen: list[bool | None] = []
    for index, role in enumerate(context.roles):
        if role is Role.LINEAR:
            frozen.append(context.is_frozen(index))
            continue
        before = {frozen[p] for p in context.producers[index]}
        frozen.append(False if False in before else (True if True in before else None))
    behind = [i for i in context.batch_norms if frozen[i] and not context.is_frozen(i)]
    inner = _inside_frozen_layers(context, behind)
    if len(inner) < SMALLEST_BACKBONE - 1:
        return []  # New norms on the taps of a frozen backbone have to learn.
    return [i for i in behind if i in inner or _is_only_reader(context, i)]


def _inside_frozen_layers(context: Context, norms: Iterable[int]) -> frozenset[int]:
    """The norms before another frozen layer, or in a nested model that has frozen layers."""
    leads = [False] * len(context.nodes)
    for index in reversed(range(len(leads))):
        leads[index] = any(
            context.is_frozen(r) if context.roles[r] is Role.LINEAR else leads[r]
            for r in context.graph.consumers[index]
        )
    frozen = {_folder(context.layer(i)) for i in context.linears if context.is_frozen(i)} - {""}
    return frozenset(i for i in norms if leads[i] or _folder(context.layer(i)) in frozen)


def _folder(layer: str) -> str:
    return layer.rpartition("/")[0]


def _is_only_reader(context: Context, norm: int) -> bool:
    source = context.read(norm)
    return source is not None and context.only_reader(source) == norm


def _backbone(net: Sketch, count: int, trainable: bool, norms: bool) -> Graph:
    """A chain of convolutions with batch norms."""
    x = net.input(None, None, 3)
    for level in range(count):
        x = net.conv(8, x, trainable=trainable, name=f"conv{level}")
        x = net.relu(net.norm(x, trainable=norms, name=f"norm{level}"))
    return net.graph(x)


@dataclass(frozen=True)
class _Tried:
    """A model in which training moves these norms."""

    moving: frozenset[str] = frozenset()

    def moved(self, layers: Collection[str]) -> frozenset[str]:
        return self.moving.intersection(layers)


def _called_off(live: StateChange | None = None) -> Context:
    """A backbone that is called with `training=False` and whose batch norms are trainable."""
    backbone = _backbone(Sketch("backbone"), 2, trainable=True, norms=True)
    net = Sketch()
    x = net.nest(backbone, net.input(32, 32, 3), name="backbone", call={"training": False})
    return net.context(net.conv(1, x), live=live)


def _one_moves() -> Context:
    """The same as a live model, in which one norm's statistics were seen to move."""
    return _called_off(_Tried(frozenset({"backbone/norm1"})))


def _none_moves() -> Context:
    """The same as a live model in which nothing moved."""
    return _called_off(_Tried())


def _norm_called_off() -> Context:
    """The same with a single batch norm."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", call={"training": False})
    return net.context(net.conv(1, net.relu(x)))


def _each_frame_called_off() -> Context:
    """The same backbone, applied to each frame of a series."""
    net, backbone = Sketch(), _backbone(Sketch("backbone"), 2, trainable=True, norms=True)
    inner = Sketch()
    step = inner.graph(inner.nest(backbone, inner.input(32, 32, 3), name="backbone"))
    x = net.each_step(step, net.input(5, 32, 32, 3), name="frames", call={"training": False})
    return net.context(net.add("ConvLSTM2D", x, filters=4))


def _frozen_but_for_norms(variance: float | None = None) -> Context:
    """A backbone in which everything but the batch norms is frozen."""
    backbone = _backbone(Sketch("backbone"), 3, trainable=False, norms=True)
    net = Sketch()
    x = net.nest(backbone, net.input(32, 32, 3), name="backbone")
    names = (f"backbone/norm{i}" for i in range(3))
    norms = {} if variance is None else dict.fromkeys(names, (0.0, variance))
    return net.context(net.conv(1, x), weights=SketchedWeights.of_norms(**norms))


def _frozen_but_for_new_norms() -> Context:
    """The same, with norms that hold no statistics yet, so that freezing them mends nothing."""
    return _frozen_but_for_norms(1.0)


def _all_frozen() -> Context:
    """A backbone that is frozen whole, and called with `training=False` on top."""
    backbone = _backbone(Sketch("backbone"), 3, trainable=False, norms=False)
    net = Sketch()
    x = net.nest(backbone, net.input(32, 32, 3), name="backbone", call={"training": False})
    return net.context(net.conv(1, net.relu(net.norm(net.conv(8, x)))))


def _newer_keras() -> Context:
    """A file of Keras 3.16, where the inner `training=False` holds."""
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), call={"training": False})
    return net.context(net.conv(1, net.relu(x)), keras_version=(3, 16, 0))


def _norms_alone() -> Context:
    """Only batch norms are trained, in the whole model: adaptation to a new domain."""
    net = Sketch()
    graph = _backbone(net, 3, trainable=False, norms=True)
    return Context(graph)


def _taps() -> Context:
    """New batch norms on the taps of a frozen backbone without norms."""
    net = Sketch()
    x, taps = net.input(32, 32, 3), []
    for _ in range(3):
        x = net.conv(8, x, activation="relu", trainable=False)
        taps.append(net.norm(x))
    return net.context(net.conv(1, net.relu(net.add("Concatenate", *taps))))


def _fixed_filter() -> Context:
    """One convolution with fixed filters before a trainable batch norm."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3), trainable=False)))
    return net.context(net.conv(1, x))


RULE = Rule(
    code="NW122",
    name="frozen-batch-norm",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Set trainable=False in these batch normalizations and compile again.",
    keeps_outputs=True,
    invalid=(
        Invalid(_called_off, ("backbone/norm0", "backbone/norm1")),
        Invalid(_norm_called_off, ("norm",)),
        Invalid(_one_moves, ("backbone/norm1",)),
        Invalid(
            _each_frame_called_off,
            ("frames/backbone/norm0", "frames/backbone/norm1"),
        ),
        Invalid(_frozen_but_for_norms, tuple(f"backbone/norm{i}" for i in range(3))),
        Invalid(_frozen_but_for_new_norms, tuple(f"backbone/norm{i}" for i in range(3))),
    ),
    valid=(_all_frozen, _none_moves, _newer_keras, _norms_alone, _taps, _fixed_filter),
)
