"""Edits that mend normalizations themselves: taken out, set otherwise, started anew, split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normwise.graph.graph import Node
from normwise.keras_format.weights import Weights
from normwise.norms.kinds import NormSpec, spec_of
from normwise.norms.mends import Configure, RemoveNorm, Restart, SetArguments, SplitNorm
from normwise.surgery import remove, swap
from normwise.surgery.bias import add_bias
from normwise.surgery.edits import Edit, How, Want, Where
from normwise.surgery.mend_edges import OVERTAKEN
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import Site
from normwise.surgery.work import Step, Work, batch_weights

KEPT = ("axis", "epsilon", "center", "scale", "dtype", "trainable", "activity_regularizer")
"""Settings that a normalization of another class takes over."""


def remove_norm(work: Work, mend: RemoveNorm) -> Change | str:
    """Takes a normalization out; where outputs needn't stay, its layer gets a bias instead."""
    index = work.flat.index[mend.norm]
    site = _site(work, index, Edit(How.REMOVE, None, index))
    if site.spot is None or site.spot.index not in work.levels.draft(site.spot.level).nodes:
        return OVERTAKEN
    reason = remove.check(work, site)
    if reason is not None:
        return reason
    made = remove.rewrite(work, site)
    if work.settings.keep or isinstance(made, str):
        return made
    before = work.flat.producers[index][0]
    has_bias = isinstance(add_bias(work, before), str)
    also = "" if has_bias else f"; {work.flat.nodes[before].name} has a bias instead"
    return Change(made.layer, made.action + also)


def set_arguments(work: Work, mend: SetArguments) -> Change | str:
    """Other arguments with the same function in inference; see `surgery.swap`."""
    index = work.flat.calls[mend.norm][0]
    there = spec_of(work.flat.nodes[index])
    if there is None:
        return "no plan has a name for its settings"
    stated = dict(there.args) | dict(mend.arguments)
    want = Want(
        Where.AFTER,
        work.flat.producers[index][0],
        NormSpec(there.kind, tuple(stated.items())),
    )
    site = _site(work, index, Edit(How.SWAP, want, index))
    reason = swap.check(work, site)
    return swap.rewrite(work, site) if reason is None else reason


def configure(work: Work, mend: Configure) -> Change | str:
    """Other settings that say nothing of what is computed in inference."""
    spot = work.levels.spot(work.flat.calls[mend.layer][0])
    work.configure(spot, dict(mend.settings))
    said = ", ".join(f"{name}={value!r}" for name, value in mend.settings)
    return Change(mend.layer, f"set to {said}")


def restart(work: Work, mend: Restart) -> Change | str:
    """Other settings, or another class, with weights that start anew."""
    calls = work.flat.calls[mend.norm]
    node, settings = work.flat.nodes[calls[0]], dict(mend.settings)
    spot = work.levels.spot(calls[0])
    said = ", ".join(f"{name}={value}" for name, value in mend.settings)
    if node.class_name == mend.class_name:
        values = _initial(work, calls[0], {**node.config, **settings})
        if values is None:
            return "the number of its channels is not known"
        work.configure(spot, settings)
        work.rule(mend.norm, _always(values), new=True)
        return Change(mend.norm, f"starts anew with {said}")
    config = {name: node.config[name] for name in KEPT if name in node.config} | settings
    draft = work.levels.draft(spot.level)
    for call in draft.graph.calls[work.levels.node(spot).layer]:
        draft.exchange(call, work.levels.node(spot).layer, mend.class_name, config)
    work.rule(mend.norm, _always({}), new=True)
    return Change(mend.norm, f"{node.class_name} exchanged for {mend.class_name}({said})")


def split(work: Work, mend: SplitNorm) -> Change | str:
    """One normalization for each call, each with a copy of the shared one's weights."""
    spots = [work.levels.spot(call) for call in work.flat.calls[mend.norm]]
    level = spots[0].level
    if any(spot.level != level for spot in spots):
        return "it stands in a model that is called several times, whose layers are the same"
    draft, path = work.levels.draft(level), work.levels.path(level)
    nodes = [draft.nodes[spot.index] for spot in spots]
    given = [value for node in nodes for value in (*node.args[1:], *node.kwargs.values())]
    if any(value is not None for value in given):
        return "it is called with more than one argument"
    made = []
    for spot, node in zip(spots[1:], nodes[1:], strict=True):
        name = draft.free_name(node.layer)
        draft.exchange(spot.index, name, node.class_name, {**node.config, "name": name}, call=0)
        work.rule(f"{path}{name}", _copy_of(mend.norm), new=True)
        work.copies[f"{path}{name}"] = mend.norm
        made.append(name)
    return Change(mend.norm, f"split: {', '.join(made)} for its other calls, with its weights")


def _site(work: Work, index: int, edit: Edit) -> Site:
    spot = work.levels.spot(index)
    return Site(edit, spot, None, work.levels.path(spot.level))


def _initial(work: Work, index: int, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a normalization of a single axis starts with, by the names of its weights."""
    node = work.flat.nodes[index]
    shape = work.flat.spec(node.inputs[0]).shape
    width = None if shape is None else shape[config["axis"]]
    if width is None:
        return None
    return {name: np.full(width, _start(name), "float32") for name in _weights(node, config)}


def _weights(node: Node, config: Mapping[str, Any]) -> frozenset[str]:
    names = batch_weights(config)
    if node.class_name in {"BatchNormalization", "SyncBatchNormalization"}:
        return names
    if node.class_name == "RMSNormalization":
        return frozenset({"scale"})
    return names & {"gamma", "beta"}


def _start(name: str) -> float:
    return 0.0 if name in {"beta", "moving_mean", "renorm_mean"} else 1.0


def _always(values: Mapping[str, Any]) -> Step:
    def step(source: Weights, own: dict[str, Any]) -> Mapping[str, Any]:
        return values

    return step


def _copy_of(path: str) -> Step:
    def step(source: Weights, own: dict[str, Any]) -> Mapping[str, Any]:
        return source.of(path)

    return step
