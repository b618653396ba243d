"""Which layers take over which batch normalizations, and their weights then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from normwise.graph.catalogue import regularizes_activity
from normwise.graph.editing import Draft
from normwise.graph.graph import Graph, Node, Tensor
from normwise.keras_format.paths import shared_paths
from normwise.keras_format.weights import LayerWeights, WeightRule, Weights
from normwise.surgery.algebra import Doubles, batch_norm_affine, folded_after, folded_before
from normwise.surgery.passing import Affine, BlockedError, in_training, is_keras, makes_floats
from normwise.surgery.rewrite import Change, Skip
from normwise.surgery.routes import KINDS, Part, Route, back, forward

NORMS = frozenset({"BatchNormalization", "SyncBatchNormalization"})

LARGEST = {"float16": 6e4, "float32": 1e30}
"""Numbers below this leave room for what they are multiplied with."""

KERNELS: Mapping[str, tuple[str, ...]] = {
    "conv": ("kernel",),
    "depthwise": ("kernel",),
    "separable": ("depthwise_kernel", "pointwise_kernel"),
    "transposed": ("kernel",),
    "dense": ("kernel",),
}


@dataclass(frozen=True)
class Take:
    """A scale and a shift that a linear layer takes over.

    Attributes:
        kind: What `surgery.algebra` calls the layer.
        affine: The map.
        after: Whether it stands behind the layer, or before it.
        norm: Path of the norm that does it.
    """

    kind: str
    affine: Affine
    after: bool
    norm: str

    def applied(self, arrays: LayerWeights) -> LayerWeights:
        """The layer's weights with the map in them."""
        change = folded_after if self.after else folded_before
        return change(self.kind, arrays, self.affine.scale, self.affine.shift)


class Plan:
    """What is folded in all levels of a model.

    It holds the maps of single channels alone; kernels are made from the source's when they are
    set, one layer at a time, so that no third copy of a model's weights ever exists.

    Args:
        layers: The live layers by path.
        weights: Their weights.
        stays: Norms that are to stay, by path, with the reason.

    Attributes:
        takes: What the layers that take over norms do in their place, in order, by path.
        changed: What became of the folded norms, by path.
        skipped: Why the others stay, by path.
        penalized: Paths of layers whose activity is regularized and which make other numbers now.
        constrained: Settings by which a training would change what was folded, by path.
    """

    def __init__(
        self, layers: Mapping[str, Any], weights: Weights, stays: Mapping[str, str] | None = None
    ) -> None:
        self.layers, self.weights, self.stays = layers, weights, stays or {}
        self.takes: dict[str, list[Take]] = {}
        self.changed: dict[str, Change] = {}
        self.skipped: dict[str, Skip] = {}
        self.penalized: dict[str, None] = {}
        self.constrained: dict[str, list[str]] = {}
        self.shared = shared_paths(layers)

    def level(self, graph: Graph, draft: Draft, path: str, training: bool = False) -> None:
        """Folds inside one model and then inside those nested in it.

        Args:
            graph: The model.
            draft: The same, to be edited.
            path: Of the layers that lead there.
            training: Whether it, or a model around it, is called in training mode.
        """
        _Level(self, graph, draft, path, training).fold()
        for name, inner in draft.inner.items():
            called = any(in_training(graph.nodes[call]) for call in graph.calls[name])
            self.level(inner.graph, inner, f"{path}{name}/", training or called)

    def rules(self) -> dict[str, WeightRule]:
        """New weights of the layers that take over norms, by path."""
        return {path: taking(path, tuple(takes)) for path, takes in self.takes.items()}


def taking(path: str, takes: tuple[Take, ...]) -> WeightRule:
    """The weights of a layer that takes over some maps, one after another."""

    def rule(weights: Weights) -> LayerWeights:
        arrays = weights.of(path)
        for take in takes:
            arrays = take.applied(arrays)
        return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}

    return rule


class _Level:
    """One model without what is around it; see `routes.Standing`."""

    def __init__(self, plan: Plan, graph: Graph, draft: Draft, path: str, training: bool) -> None:
        self.graph, self.gone, self.alone = graph, set[int](), dict[int, Affine]()
        self._plan, self._draft, self._path, self._training = plan, draft, path, training
        self._dtype = ""
        self._shifts: dict[int, str] = {}

    def fold(self) -> None:
        """Back where that is possible, in the order of the network; then forward, from its end."""
        norms = [i for i, n in enumerate(self.graph.nodes) if n.class_name in NORMS and is_keras(n)]
        self._skip_descendants()
        left: dict[int, str] = {}
        for index in norms:
            try:
                self._fold_back(index)
            except BlockedError as blocked:
                left[index] = str(blocked)
        for index in reversed(left):
            try:
                self._fold_forward(index)
            except BlockedError as blocked:
                self._skip(index, _both(left[index], str(blocked)))

    def _skip_descendants(self) -> None:
        for index, node in enumerate(self.graph.nodes):
            layer = self._plan.layers.get(self._where(index))
            if not is_keras(node) and isinstance(layer, keras.layers.BatchNormalization):
                self._skip(
                    index,
                    f"its class {node.class_name} is made from BatchNormalization and may compute "
                    "something else",
                )

    def problem(self, index: int) -> str | None:
        """Why a linear layer can't take a fold, None if it can."""
        node, layer = self.graph.nodes[index], self._layer(index)
        calls = len(self.graph.calls[node.layer])
        if calls > 1 or self._where(index) in self._plan.shared:
            return f"{node.layer!r} is shared by several calls"
        if layer.variable_dtype != "float32":
            return f"{node.layer!r} keeps its weights in {layer.variable_dtype}"
        if layer.compute_dtype != self._dtype:
            return f"{node.layer!r} computes in {layer.compute_dtype}, the norm in {self._dtype}"
        names = {variable.name for variable in layer.variables}
        if not names <= {*KERNELS[KINDS[node.class_name]], "bias"}:
            return f"{node.layer!r} has weights of its own making ({', '.join(sorted(names))})"
        return None

    def channels(self, index: int, made: bool) -> int:
        """How many channels a linear layer makes, or reads."""
        kind = KINDS[self.graph.nodes[index].class_name]
        shapes: dict[str, tuple[int, ...]] = {
            variable.name: tuple(variable.shape) for variable in self._layer(index).variables
        }
        if kind == "depthwise":
            width, multiplier = shapes["kernel"][-2:]
            return width * multiplier if made else width
        if kind == "separable":
            name = "pointwise_kernel" if made else "depthwise_kernel"
            return shapes[name][-1 if made else -2]
        read, make = shapes["kernel"][-2:]
        if kind == "transposed":
            read, make = make, read
        return make if made else read * int(self.graph.nodes[index].config.get("groups") or 1)

    def _fold_back(self, index: int) -> None:
        route = back(self, index, self._affine(index))
        for part in route.parts:
            self._take(part, index, after=True)
        self._remove(index, "folded into {}", route)

    def _fold_forward(self, index: int) -> None:
        affine = self._affine(index)
        route = forward(self, index, affine)
        joined = {part.index: self._joined(part) for part in route.joined}
        shifts = [affine.shift / affine.scale] if route.stays else []
        if not all(_fits(s, self._dtype) for s in [*shifts, *(a.shift for a in joined.values())]):
            raise BlockedError("its shift is too large for its scale to stand alone")
        floats = makes_floats(self.graph.spec(self.graph.nodes[index].inputs[0]))
        if floats is not None and not route.stays:
            raise BlockedError(floats)
        for part in route.parts:
            self._take(part, index, after=False)
        for other, shift in joined.items():
            self.alone[other] = shift
            self._draft.configure(self._shifts[other], offset=_as_offset(shift))
        if route.stays:
            self._keep_shift(index, affine, route)
        else:
            too = [self._shifts[p.index] for p in route.joined if np.any(p.affine.shift)]
            also = f"; {', '.join(too)} does its shift too" if too else ""
            self._remove(index, f"folded forward into {{}}{also}", route)

    def _joined(self, part: Part) -> Affine:
        """What a shift that stands alone adds where it does that of a norm before it, too."""
        alone = self.alone[part.index]
        return replace(alone, shift=(alone.shift + part.affine.shift) / part.affine.scale)

    def _affine(self, index: int) -> Affine:
        """What a norm does, if it does the same whenever the model runs in inference."""
        node, layer = self.graph.nodes[index], self._layer(index)
        self._dtype = layer.compute_dtype
        if self._where(index) in self._plan.stays:
            raise BlockedError(self._plan.stays[self._where(index)])
        calls = len(self.graph.calls[node.layer])
        if calls > 1 or self._where(index) in self._plan.shared:
            raise BlockedError("it is shared by several calls")
        if in_training(node):
            raise BlockedError("it is called in training mode")
        if self._training:
            raise BlockedError("the model around it is called in training mode")
        shape = self.graph.spec(node.inputs[0]).shape
        if shape is None:
            raise BlockedError("the rank of what it reads isn't known")
        values = {n: a.astype(np.float64) for n, a in self._weights(index).items()}
        zeros = np.zeros_like(values["moving_mean"])
        scale, shift = batch_norm_affine(
            values["moving_mean"],
            values["moving_variance"],
            values.get("gamma", zeros + 1),
            values.get("beta", zeros),
            layer.epsilon,
        )
        if not (_fits(scale, "float32") and _fits(shift, "float32")):
            raise BlockedError("its scale or shift is no finite number")
        return Affine(int(layer.axis) % len(shape), len(shape), scale, shift)

    def _take(self, part: Part, norm: int, after: bool) -> None:
        node = self.graph.nodes[part.index]
        take = Take(KINDS[node.class_name], part.affine, after, self._where(norm))
        self._plan.takes.setdefault(self._where(part.index), []).append(take)
        if np.any(part.affine.shift) and not node.config.get("use_bias", True):
            self._draft.configure(node.layer, use_bias=True)
        constraints = _constraints(self._draft.nodes[part.index])
        if constraints:
            self._plan.constrained[self._where(part.index)] = constraints

    def _remove(self, index: int, action: str, route: Route) -> None:
        node = self._draft.nodes[index]
        if self._names_output(index):
            # Losses and metrics go by the names of the output layers.
            config = {"name": node.layer, "dtype": node.config.get("dtype")}
            readers = [index]
            self._draft.insert(node.inputs[0], readers, node.layer, "Identity", config)
            action += f"; a layer that does nothing keeps the output's name {node.layer!r}"
        self._draft.remove(index)
        self.gone.add(index)
        self._change(index, action, route)

    def _names_output(self, index: int) -> bool:
        """Whether losses of the whole model may go by the norm's name."""
        outermost = not self._path and self.graph.class_name != "Sequential"
        return outermost and Tensor(index) in self.graph.output_tensors

    def _keep_shift(self, index: int, affine: Affine, route: Route) -> None:
        node = self._draft.nodes[index]
        name = self._draft.free_name(f"{node.layer}_shift")
        shift = replace(affine, shift=affine.shift / affine.scale)
        self.alone[index], self._shifts[index] = shift, name
        offset, dtype = _as_offset(shift), node.config.get("dtype")
        config = {"scale": 1.0, "offset": offset, "dtype": dtype}
        self._draft.insert(node.inputs[0], [index], name, "Rescaling", config)
        self._draft.remove(index)
        self._change(
            index, f"scale folded forward into {{}}; its shift stays before the padding as {name}",
            route,
        )  # fmt: skip

    def _change(self, index: int, action: str, route: Route) -> None:
        names = dict.fromkeys(self._where(part.index) for part in route.parts)
        where = self._where(index)
        self._plan.changed[where] = Change(where, action.format(", ".join(names) or "nothing"))
        for other in (*route.others, index):
            if regularizes_activity(self.graph.nodes[other]):
                self._plan.penalized[self._where(other)] = None

    def _skip(self, index: int, reason: str) -> None:
        where = self._where(index)
        self._plan.skipped[where] = Skip(where, reason)

    def _weights(self, index: int) -> LayerWeights:
        return self._plan.weights.of(self._where(index))

    def _layer(self, index: int) -> Any:
        return self._plan.layers[self._where(index)]

    def _where(self, index: int) -> str:
        return f"{self._path}{self.graph.nodes[index].layer}"


def _constraints(node: Node) -> list[str]:
    """The settings of a linear layer by which a training step would change what it takes over."""
    config = node.config
    lacks = () if config.get("use_bias", True) else ("bias_constraint",)
    named = [k for k in config if k.endswith("_constraint") and config[k] and k not in lacks]
    return named if config.get("trainable", True) else []


def _as_offset(shift: Affine) -> list[Any]:
    """A shift of each channel as a setting of a `Rescaling`."""
    found: list[Any] = shift.shift.reshape(-1, *[1] * (shift.rank - 1 - shift.axis)).tolist()
    return found


def _fits(values: Doubles, dtype: str) -> bool:
    """Whether numbers are far from the largest ones of a type."""
    return bool((np.abs(values) < LARGEST.get(dtype, LARGEST["float32"])).all())


def _both(behind: str, ahead: str) -> str:
    return behind if behind == ahead else f"back: {behind}; forward: {ahead}"
