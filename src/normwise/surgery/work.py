"""A model on the bench: its graph in draft, and the rules by which weights follow the edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from normwise.graph.catalogue import activation_of
from normwise.graph.editing import ENDS
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, thaw
from normwise.graph.regions import layout_of
from normwise.keras_format.weights import LayerWeights, WeightRule, Weights
from normwise.norms.inference import plan_in
from normwise.norms.positions import Placement
from normwise.surgery.activations import layer_class, unwrapped
from normwise.surgery.earlier import EarlierWeights
from normwise.surgery.levels import Cut, Levels, Spot
from normwise.surgery.population import MeasureSettings
from normwise.surgery.rewrite import Change

Step = Callable[[Weights, dict[str, Any]], Mapping[str, Any]]
"""Takes the source's weights and those of one layer so far; returns those of the layer."""

POLICIES = {
    "float16": "mixed_float16",
    "bfloat16": "mixed_bfloat16",
    "float32": "float32",
    "float64": "float64",
}
"""For what a new layer reads: the policy under which it computes like its neighbours, with
variables in full precision."""


@dataclass(frozen=True)
class EditSettings:
    """How edits are made.

    Attributes:
        keep: Whether outputs must be kept.
        drop_bias: Whether a bias that a normalization cancels is dropped.
        measure: How statistics of data are measured.
    """

    keep: bool = True
    drop_bias: bool = False
    measure: MeasureSettings | None = None


@final
class Work:
    """One rewrite in progress.

    Args:
        graph: The graph that is edited.
        settings: How edits are made.
        shared: Paths of layers that stand elsewhere in the model too (`shared_paths`).
        before: The work that this graph came out of, None where it is the source's.
    """

    def __init__(
        self,
        graph: Graph,
        settings: EditSettings,
        shared: frozenset[str] = frozenset(),
        before: Work | None = None,
    ) -> None:
        self.graph = graph
        self.settings = settings
        self.shared = shared
        self.before = before
        self.placement = Placement(layout_of(graph))
        self.flat = self.placement.graph
        self.levels: Levels = Levels(
            graph, self.flat, None if before is None else before.levels.root
        )
        self.fresh: dict[str, float] = {} if before is None else dict(before.fresh)
        """Batch normalizations that are new or stand elsewhere, by path: their epsilon."""
        self.standardized: list[str] = [] if before is None else list(before.standardized)
        """Paths of new fixed normalizations of inputs."""
        self.split_off: dict[str, str] = {} if before is None else dict(before.split_off)
        """Activations that were parted from a layer: from their paths to the layer's."""
        self.partings: list[Change] = []
        """Those that this work parted, for the report."""
        self.leaving: frozenset[int] = frozenset()
        """Normalizations that edits are to take out, all of a shared one's calls or some."""
        self.folded: set[str] = set()
        """Paths of normalizations whose work another layer does by now."""
        self.normalized_before: set[int] = set()
        """Activations that have a normalization before them by an edit."""
        self.takers: dict[int, int] = {}
        """For normalizations that were taken out: the nodes that do their work too."""
        self.copies: dict[str, str] = {}
        """Layers that start as copies of others: from their paths to those of the others."""
        self.names: dict[str, str] = {} if before is None else dict(before.names)
        """Layers of the outermost model that are called otherwise: from new names to the first."""
        self._renamed: dict[str, str] = {}
        """Those that this work called otherwise: from old names to new ones."""
        self._steps: dict[str, list[Step]] = {}
        self._starts: dict[str, dict[str, Any]] = {}
        self._split: dict[tuple[str, str], None] = {}
        self._behind: dict[tuple[str, Tensor], Tensor] = {}
        self._now: dict[tuple[str, Tensor, int], Tensor] = {}

    @property
    def source(self) -> Graph:
        """The graph of the model that was there at first."""
        return self.graph if self.before is None else self.before.source

    def following(self) -> Work:
        """A work on what these edits make; its weights are made of what these leave."""
        renamed = {new for old, new in self._renamed.items() if old in self.shared}
        return Work(self.freeze(), self.settings, self.shared | renamed, self)

    @cached_property
    def holding(self) -> frozenset[str]:
        """Paths of layers that hold a layer which stands elsewhere too."""
        parts = (path.split("/") for path in self.shared)
        return frozenset("/".join(names[:end]) for names in parts for end in range(1, len(names)))

    @cached_property
    def residue(self) -> Mapping[str, str]:
        """Normalizations that no plan describes, by name, with the reason."""
        return {left.layer: left.reason for left in plan_in(self.placement).residue}

    # Weights --------------------------------------------------------------------------------

    def rule(self, path: str, step: Step, *, new: bool = False) -> None:
        """Adds a step to how a layer's weights come from the source's."""
        self._steps.setdefault(path, []).append(step)
        if new:
            self._starts.setdefault(path, {})

    def start(self, path: str, values: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Sets what a new batch normalization starts with, as far as it has such weights."""
        if self.before is not None and path not in self._starts and self.before.has(path):
            # What was made of the start since stays, such as a bias in its mean.
            self.before.start(path, values, config)
            return
        names = batch_weights(config)
        self._starts[path] = {name: value for name, value in values.items() if name in names}
        self._steps.setdefault(path, [])

    def forget(self, path: str) -> None:
        """A normalization is gone, or another one by now: it takes no statistics of data."""
        self.fresh.pop(path, None)
        self.standardized = [other for other in self.standardized if other != path]

    def has(self, path: str) -> bool:
        """Whether a layer starts anew, here or in an earlier work."""
        return path in self._starts or (self.before is not None and self.before.has(path))

    def configure(self, spot: Spot, settings: Mapping[str, Any]) -> None:
        """Changes settings of the layer at a spot, in all its calls."""
        node = self.levels.node(spot)
        self.levels.draft(spot.level).configure(node.layer, **settings)

    def rename(self, layer: str, name: str) -> None:
        """Calls a layer of the outermost model otherwise; its weights go with it."""
        self.levels.root.rename(layer, name)
        self.names[name] = self.names.pop(layer, layer)
        self._renamed[layer] = name
        kept: tuple[dict[str, Any], ...] = (self._steps, self._starts, self.fresh)
        for values in kept:
            if layer in values:
                values[name] = values.pop(layer)
        self.standardized = [name if path == layer else path for path in self.standardized]

    def rules(self) -> dict[str, WeightRule]:
        """For each layer with other weights than in the source: what they are."""
        before = {} if self.before is None else self.before.rules()
        old = {new: name for name, new in self._renamed.items()}
        own = {path: self._rule(path, old.get(path, path), before) for path in self._steps}
        return {**{self._renamed.get(path, path): rule for path, rule in before.items()}, **own}

    def _rule(self, path: str, old: str, before: Mapping[str, WeightRule]) -> WeightRule:
        """What the steps make of a layer's weights, which was called otherwise before them."""
        start, steps = self._starts.get(path), tuple(self._steps[path])
        names = {} if self.before is None else self.before.names

        def weights(source: Weights) -> LayerWeights:
            here = source if self.before is None else EarlierWeights(source, before, names)
            values: dict[str, Any] = dict(here.of(old) if start is None else start)
            for step in steps:
                values = dict(step(here, values))
            return values

        return weights

    # Places ---------------------------------------------------------------------------------

    def immediate(self, flat: int) -> frozenset[int]:
        """The nodes of the flattened graph that read a node's result, `ENDS` for outputs."""
        ends = any(t.node == flat for t in self.flat.output_tensors)
        return frozenset(self.flat.consumers[flat]) | ({ENDS} if ends else frozenset())

    def parted(self, tensor: int, base: int) -> tuple[frozenset[int], frozenset[int]] | None:
        """The readers of `base` that lead to skips of `tensor`, and the others.

        None where a dropout or another normalization stands before readers of both sorts.
        """
        skips, others = set(), set()
        for reader in self.immediate(base):
            leads = set(self._leads(tensor, reader))
            if leads == {True}:
                skips.add(reader)
            elif True not in leads:
                others.add(reader)
            else:
                return None
        return frozenset(skips), frozenset(others)

    def _leads(self, tensor: int, reader: int) -> list[bool]:
        if reader == ENDS:
            return [False]
        if self.placement.skeleton(reader) == reader:
            return [self.placement.layout.is_skip(tensor, reader)]
        return [further.skip for further in self.placement.readers_from(tensor, reader)]

    def current(self, cut: Cut) -> Tensor | None:
        """What the readers of a cut read by now; None if not all of them the same."""
        path = self.levels.path(cut.level)
        behind = self._behind.get((path, cut.tensor), cut.tensor)
        found = {self._now.get((path, cut.tensor, reader), behind) for reader in cut.readers}
        return found.pop() if len(found) == 1 else None

    def insert(
        self, cut: Cut, tensor: Tensor, layer: str, class_name: str, config: Mapping[str, Any]
    ) -> str:
        """Puts a new layer before the readers of a cut; returns the layer's path."""
        draft, path = self.levels.draft(cut.level), self.levels.path(cut.level)
        made = draft.insert(tensor, cut.readers, layer, class_name, config)
        self._note(path, cut, made)
        return f"{path}{layer}"

    def move(self, spot: Spot, cut: Cut, tensor: Tensor) -> None:
        """Puts a layer that is there before the readers of a cut."""
        draft, path = self.levels.draft(cut.level), self.levels.path(cut.level)
        made = draft.move(spot.index, tensor, cut.readers)
        self._note(path, cut, made)

    def _note(self, path: str, cut: Cut, made: Tensor) -> None:
        self._now.update({(path, cut.tensor, reader): made for reader in cut.readers})

    # Activations ----------------------------------------------------------------------------

    def split(self, flat: int) -> None:
        """Makes a fused activation a layer of its own, behind every call of its layer."""
        spot = self.levels.spot(flat)
        node, path = self.levels.node(spot), self.levels.path(spot.level)
        if (path, node.layer) in self._split:
            return
        self._split[path, node.layer] = None
        draft = self.levels.draft(spot.level)
        class_name, config = _activation_layer(node)
        if node.config.get("activity_regularizer"):
            config["activity_regularizer"] = thaw(node.config["activity_regularizer"])
            self.configure(spot, {"activity_regularizer": None})
        name = draft.free_name(f"{node.layer}_{activation_of(node)}")
        for call, index in enumerate(draft.graph.calls[node.layer]):
            tensor = Tensor(index)
            made = draft.insert(tensor, draft.readers(tensor), name, class_name, config, call=call)
            self._behind[path, tensor] = made
        self.split_off[f"{path}{name}"] = f"{path}{node.layer}"
        said = f"activation of {path}{node.layer} parted from it"
        self.partings.append(Change(f"{path}{name}", said))
        self.unbend(flat)
        if class_name != "Activation":
            self.rule(f"{path}{name}", _activation_weights(f"{path}{node.layer}"), new=True)

    def unbend(self, flat: int) -> None:
        """Takes the fused activation from a layer, in all its calls."""
        spot = self.levels.spot(flat)
        self.configure(spot, {"activation": "linear"})
        self.rule(self.levels.layer_path(spot), _without_activation)

    def before_activation(self, flat: int) -> Cut:
        """All that reads a linear layer by now, whatever it was before."""
        spot = self.levels.spot(flat)
        draft = self.levels.draft(spot.level)
        tensor = Tensor(spot.index)
        return Cut(spot.level, tensor, tuple(draft.readers(tensor)))

    # Names and types ------------------------------------------------------------------------

    def owner(self, flat: int) -> int:
        """The layer that a tensor is known by: the convolution rather than its activation."""
        sites = self.placement.sites_by_node.get(flat, ())
        return sites[0].linear if sites else flat

    def label(self, flat: int) -> str:
        """The name of a layer inside its own model."""
        return self.flat.nodes[flat].layer.rpartition("/")[2]

    def policy(self, flat: int) -> str | None:
        """The policy of a layer that reads a tensor; None where it holds no floating point."""
        return self.policy_of(self.flat.nodes[flat].outputs[0])

    def policy_of(self, spec: TensorSpec) -> str | None:
        """The same for any tensor."""
        return POLICIES.get(spec.dtype or "float32")

    def freeze(self) -> Graph:
        """The edited graph."""
        return self.levels.root.freeze()


def batch_weights(config: Mapping[str, Any]) -> frozenset[str]:
    """The names of the weights of a batch normalization with this configuration."""
    names = {"moving_mean", "moving_variance"}
    names |= {"gamma"} if config.get("scale", True) else set()
    names |= {"beta"} if config.get("center", True) else set()
    renorm = {"moving_stddev", "renorm_mean", "renorm_stddev"}
    return frozenset(names | (renorm if config.get("renorm") else set()))


def _activation_layer(node: Node) -> tuple[str, dict[str, Any]]:
    """Class and configuration of the layer that does what a fused activation did."""
    told = thaw(unwrapped(node.config["activation"]))
    dtype = POLICIES.get(node.outputs[0].dtype or "float32", "float32")
    common = {"dtype": dtype, "trainable": bool(node.config.get("trainable", True))}
    name = layer_class(told)
    if name is not None:
        return name, {**told["config"], **common}
    return "Activation", {"activation": told, **common}


def _without_activation(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
    """An activation with weights takes them along."""
    return {name: value for name, value in values.items() if name != "alpha"}


def _activation_weights(path: str) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        theirs = source.of(path)
        return {"alpha": np.asarray(theirs["alpha"])} if "alpha" in theirs else values

    return step
