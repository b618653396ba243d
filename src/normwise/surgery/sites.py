"""Where an edit is made: found in the flattened graph, made at a level of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from normwise.graph.catalogue import Role, activation_of, role_of
from normwise.graph.channels import output_channel_axis
from normwise.graph.editing import ENDS
from normwise.graph.graph import Node, Tensor
from normwise.graph.masks import masked
from normwise.norms.kinds import KINDS, NormSpec, config_of
from normwise.surgery.activations import is_lambda, layer_class, stands_alone, unwrapped
from normwise.surgery.edits import Edit, How, Want, Where
from normwise.surgery.levels import Cut, Spot
from normwise.surgery.work import Work

BATCH_FAMILY = frozenset({"batch", "batch-renorm", "sync-batch"})
"""Kinds with fixed statistics in inference, which can start as the identity."""

IN_SEVERAL = "it stands elsewhere in the model too, where it would be another one as well"
"""Why a layer's settings stay: its calls in several models are calls of one layer."""

IN_ANOTHER = "it stands in one model and would have to stand in another"
"""Why a normalization isn't moved: a layer belongs to a model."""

BLOCKED = (
    "another normalization, a nested model's input or output, or a layer such as Dropout stands "
    "both for readers that would read the normalized tensor and for readers that wouldn't"
)


@dataclass(frozen=True)
class Site:
    """A place at a level of the model where one edit is made.

    Attributes:
        edit: The edit.
        spot: The normalization that stands there, None for an insertion.
        cut: What is read and by whom, None for what changes no edges.
        path: Path of the layers that lead to the level.
    """

    edit: Edit
    spot: Spot | None
    cut: Cut | None
    path: str

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for all calls of a nested model in which this is one edit."""
        want = self.edit.want
        return (
            self.edit.how,
            self.path,
            None if self.spot is None else self.spot.index,
            None if self.cut is None else (self.cut.tensor, self.cut.readers),
            None if want is None else (want.where, want.spec, want.raw),
        )


def site_of(work: Work, edit: Edit) -> Site | str:
    """Where an edit is made, or why it can't be made anywhere."""
    spot = None if edit.norm is None else work.levels.spot(edit.norm)
    cut = None
    if edit.how in (How.INSERT, How.MOVE) and edit.want is not None:
        cut = _cut(work, edit.want, edit.norm)
        if cut is None:
            return BLOCKED
        if spot is not None and spot.level != cut.level:
            return IN_ANOTHER
    level = spot.level if spot is not None else cut.level if cut is not None else ""
    return Site(edit, spot, cut, work.levels.path(level))


def refused(work: Work, want: Want) -> str | None:
    """Why nothing can stand in a place, None if a normalization can."""
    node = work.flat.nodes[want.tensor]
    if want.where is Where.BEFORE_ACTIVATION and activation_of(node) is not None:
        reason = _inseparable(work, node)
        if reason is not None:
            return f"the activation of {node.name} {reason}"
    if role_of(node) is Role.INPUT and node.config.get("optional"):
        return f"{node.name} may be left out, and a normalization can't read what isn't there"
    if len(node.outputs) > 1:
        return f"{node.name} makes {len(node.outputs)} tensors, and no plan says which is meant"
    lost = mask_lost(work, want.spec, want.tensor)
    if lost is not None:
        return lost
    masking = _masking(work, want.tensor)
    if masking is not None:
        return (
            f"{masking} tells masked steps by the values of {node.name}, which would be others; a "
            "normalization can stand after it"
        )
    return None


def mask_lost(work: Work, spec: NormSpec, index: int) -> str | None:
    """Why a kind can't normalize what a node makes without the mask of that being lost."""
    if spec.kind != "rms" or not masked(work.flat)[index]:
        return None
    return (
        f"{work.flat.nodes[index].name} carries a mask of steps, or may, and {class_of(spec)} "
        "doesn't pass masks on"
    )


def _masking(work: Work, tensor: int) -> str | None:
    """A layer that reads a tensor to find the steps whose values say that there is nothing."""
    for reader in work.placement.readers(tensor):
        if reader.node >= 0 and work.flat.nodes[reader.node].class_name == "Masking":
            return work.flat.nodes[reader.node].name
    return None


def _inseparable(work: Work, node: Node) -> str | None:
    """Why a fused activation can't be a layer of its own, None if it can."""
    activation = unwrapped(node.config.get("activation"))
    if is_lambda(activation):
        return "is a lambda, which can't be a layer of its own"
    name = layer_class(activation)
    if not stands_alone(activation):
        return f"is an object of class {name}, and only Keras' own activations are parted from it"
    if node.layer in work.shared:
        return "can't be parted from it at one place alone: the layer stands in several models"
    if node.layer in work.holding and name == "PReLU":
        return "is a layer that stands elsewhere in the model too, and would be another one here"
    return None


def penalty_moves(node: Node) -> str:
    """Why something stays: what a layer makes is penalized in training, and would be another."""
    return (
        f"the activity of {node.name} is regularized, and the penalty would be that of other "
        "numbers"
    )


def _cut(work: Work, want: Want, moved: int | None) -> Cut | None:
    cover = work.placement.coverage(want.tensor)
    if want.where is Where.ON_SKIP:
        base = want.tensor if cover.main is None or cover.skips_raw else cover.main
        parted = work.parted(want.tensor, base)
        return None if parted is None else work.levels.cut(base, parted[0])
    if want.where is Where.AFTER and want.raw:
        # One that stands there for the skips too is parted from these after itself.
        base = want.tensor if moved is None or moved != cover.main else moved
        parted = work.parted(want.tensor, base)
        return None if parted is None else work.levels.cut(base, parted[1])
    spot = work.levels.spot(want.tensor)
    graph, tensor = work.levels.draft(spot.level).graph, Tensor(spot.index)
    readers = dict.fromkeys(graph.readings.get(tensor, ()))
    ends = [ENDS] if tensor in graph.output_tensors else []
    return Cut(spot.level, tensor, (*readers, *ends))


def name_of(work: Work, want: Want) -> str:
    """What a new normalization is called: for whom it is, and what it is."""
    label = work.label(work.owner(want.tensor))
    if want.where is Where.ON_SKIP:
        return f"{label}_skip_norm"
    sites = work.placement.sites_by_node.get(want.tensor, ())
    taken = any(site.between for site in sites)
    if want.where is Where.AFTER and (taken or want.tensor in work.normalized_before):
        return f"{label}_post_norm"
    return f"{label}_norm"


def place_text(work: Work, want: Want) -> str:
    """A place in words, for reports."""
    node = work.flat.nodes[want.tensor]
    if want.where is Where.BEFORE_ACTIVATION:
        name = activation_of(node)
        return f"between {node.name} and its activation{f' {name}' if name else ''}"
    raw = ", skips left raw" if want.raw else ""
    return f"{want.where} {node.name}{raw}"


def class_of(spec: NormSpec) -> str:
    """The Keras class of a kind."""
    return KINDS[spec.kind].class_name


def layer_config(work: Work, spec: NormSpec, tensor: int, channels: int) -> dict[str, Any]:
    """Configuration of a new normalization of what a node makes.

    Where that node has no flag of its own (`x + y`, an input), that of its model holds.
    """
    config: dict[str, Any] = dict(config_of(spec))
    axis = output_channel_axis(work.flat, tensor)
    if axis != -1:
        config["axis"] = axis
    if spec.kind == "standardize":
        config |= {"mean": [0.0] * channels, "variance": [1.0] * channels}
    owner = work.flat.nodes[work.owner(tensor)]
    if "trainable" in owner.config:
        config["trainable"] = bool(owner.config["trainable"])
    config["dtype"] = work.policy(tensor)
    return config


def epsilon_of(spec: NormSpec) -> float:
    """The epsilon of a kind, Keras' own where it isn't stated."""
    return float(dict(spec.args).get("epsilon", KINDS[spec.kind].defaults["epsilon"]))
