"""Puts a normalization of another kind, or with other arguments, in the place of one.

Before: `old(x)`. After: `new(x)`. Within the batch family (plain, renormalized, synchronized) the
layer stays and its weights follow; another kind is a new layer in the old one's place, with the
settings of gamma and beta that both know and the plan doesn't state. It takes the statistics of
data as an inserted one does, and a bias that the old one cancelled and the new one needs is put
back before it.

Algebra: in inference all of the batch family compute `gamma * (x - mean) / sqrt(variance + e) +
beta`; another epsilon f is made up by gamma' = gamma * sqrt(variance + f) / sqrt(variance + e). A
group for each channel is instance normalization.

Conditions: where outputs must be kept, both are of the batch family, gamma and beta don't go, and
an epsilon that changes has a gamma to make up for it; or they differ in nothing that is computed.
All calls of a shared layer are swapped, so all of
them have to ask for it, and the layer stands in one model alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normwise.graph.channels import channels_of
from normwise.graph.graph import Node, thaw
from normwise.keras_format.weights import Weights
from normwise.norms.kinds import (
    KINDS,
    NormSpec,
    allows,
    cancels_bias,
    config_of,
    refuse_unfitting_groups,
    spec_of,
)
from normwise.surgery.bias import bias_again
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import (
    BATCH_FAMILY,
    IN_SEVERAL,
    Site,
    class_of,
    epsilon_of,
    layer_config,
    mask_lost,
)
from normwise.surgery.work import Step, Work


def check(work: Work, site: Site) -> str | None:
    """Why the normalization can't be swapped, None if it can."""
    want, norm = site.edit.want, site.edit.norm
    assert want is not None and norm is not None
    node = work.flat.nodes[norm]
    channels = channels_of(work.flat, norm)
    if channels is not None and not _keeps_groups(spec_of(node), want.spec):
        refuse_unfitting_groups(want.spec, channels, node.name)
    if node.layer in work.shared:
        return IN_SEVERAL
    if work.settings.keep:
        return _loss(work, node, want.spec, channels)
    return mask_lost(work, want.spec, norm)


def _keeps_groups(old: NormSpec | None, new: NormSpec) -> bool:
    """Whether the plan says nothing of the groups of a layer that has some."""
    return old is not None and old.kind == new.kind == "group" and "groups" not in dict(new.args)


def _loss(  # noqa: PLR0911 - one reason, one return
    work: Work, node: Node, wanted: NormSpec, channels: int | None
) -> str | None:
    """Why outputs can't be kept."""
    there = spec_of(node)
    if there is None:
        return f"{node.class_name} can't be swapped without changing the outputs"
    calls = work.flat.calls[node.layer]
    if there.kind in BATCH_FAMILY and any(map(work.levels.in_training, calls)):
        return "it is called in training mode, so it normalizes by each batch"
    old, new = ({**KINDS[s.kind].defaults, **dict(s.args)} for s in (there, wanted))
    if not (there.kind in BATCH_FAMILY and wanted.kind in BATCH_FAMILY):
        free = NormSpec(wanted.kind, tuple(a for a in wanted.args if a[0] == "groups"))
        gains = all(v or not old.get(k, True) for k, v in wanted.args if k in ("center", "scale"))
        same_epsilon = dict(wanted.args).get("epsilon", old.get("epsilon")) == old.get("epsilon")
        if allows(free, there, channels) and gains and same_epsilon:
            return None
        return f"{wanted} computes something else than {there}, which changes the outputs"
    stated = dict(wanted.args)
    for argument, lost in (("scale", "gamma"), ("center", "beta")):
        if stated.get(argument, True) is False and old[argument]:
            return f"without its {lost} the outputs would change"
    if "epsilon" in stated and new["epsilon"] != old["epsilon"] and not old["scale"]:
        return "without a gamma nothing makes up for another epsilon"
    return None


def rewrite(work: Work, site: Site) -> Change | str:
    """Swaps it."""
    want, norm, spot = site.edit.want, site.edit.norm, site.spot
    assert want is not None and norm is not None and spot is not None
    node = work.levels.node(spot)
    old, new = spec_of(work.flat.nodes[norm]), want.spec
    path = f"{site.path}{node.layer}"
    said = f"{old or node.class_name} swapped for {new}"
    if old is not None and _same_layer(old, new):
        settings = config_of(new)
        if old.kind in BATCH_FAMILY:
            settings = {"renorm": False, "synchronized": False, **settings}
            before = {**KINDS[old.kind].defaults, **dict(old.args)}
            work.rule(path, _same_function(before, {**before, **settings}))
        else:
            work.rule(path, _with_those_of(settings))
        work.configure(spot, settings)
        return Change(path, said)
    return _exchange(work, site, said)


def _same_layer(old: NormSpec, new: NormSpec) -> bool:
    if old.kind in BATCH_FAMILY:
        return new.kind in BATCH_FAMILY
    return class_of(old) == class_of(new)


def _with_those_of(settings: Mapping[str, Any]) -> Step:
    """The weights without those that the new settings do away with; new ones start as Keras' do."""
    lost = {w for key, w in (("scale", "gamma"), ("center", "beta")) if settings.get(key) is False}

    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in values.items() if name not in lost}

    return step


def _same_function(before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    """The weights of a batch normalization with other arguments that does the same in inference."""

    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        mean, variance = values["moving_mean"], values["moving_variance"]
        found = {"moving_mean": mean, "moving_variance": variance}
        if after["scale"]:
            ratio = (variance + after["epsilon"]) / (variance + before["epsilon"])
            found["gamma"] = np.asarray(values.get("gamma", np.ones_like(mean)) * np.sqrt(ratio))
        if after["center"]:
            found["beta"] = values.get("beta", np.zeros_like(mean))
        if after.get("renorm"):
            deviation = np.sqrt(variance + after["epsilon"])
            found["moving_stddev"] = values.get("moving_stddev", deviation)
            found["renorm_mean"] = values.get("renorm_mean", mean)
            found["renorm_stddev"] = values.get("renorm_stddev", deviation)
        return found

    return step


def _exchange(work: Work, site: Site, said: str) -> Change | str:
    want, norm, spot = site.edit.want, site.edit.norm, site.spot
    assert want is not None and norm is not None and spot is not None
    channels = channels_of(work.flat, norm)
    if channels is None:
        return "the number of channels is not known"
    node, draft = work.levels.node(spot), work.levels.draft(spot.level)
    wanted = f"{work.label(work.owner(work.placement.skeleton(norm)))}_norm"
    name = node.layer if node.layer == wanted else draft.free_name(wanted)
    kept = _kept(node, want.spec)
    config = {**kept, **layer_config(work, want.spec, norm, channels)}
    config["trainable"] = bool(node.config.get("trainable", True))
    if node.config.get("activity_regularizer"):
        config["activity_regularizer"] = thaw(node.config["activity_regularizer"])
    for index in draft.graph.calls[node.layer]:
        draft.exchange(index, name, class_of(want.spec), config)
    path = f"{site.path}{name}"
    work.forget(f"{site.path}{node.layer}")
    work.start(path, {}, config)
    if want.spec.kind in BATCH_FAMILY:
        work.fresh[path] = epsilon_of(want.spec)
    elif want.spec.kind == "standardize":
        work.standardized.append(path)
    instead = "" if name == node.layer else f", in the place of {site.path}{node.layer}"
    lost = [key for key in _set(node) if key not in config]
    gone = f"; {class_of(want.spec)} takes no {', '.join(lost)}, which it had" if lost else ""
    restored = _restore_bias(work, norm, want.spec, channels)
    return Change(path, said + instead + gone + restored)


_USUAL: Mapping[str, Any] = {
    "center": True,
    "scale": True,
    "gamma_initializer": "Ones",
    "gamma_regularizer": None,
    "gamma_constraint": None,
    "beta_initializer": "Zeros",
    "beta_regularizer": None,
    "beta_constraint": None,
}
"""Settings of gamma and beta, with what they are if nobody states them."""
_WITH_GAMMA_AND_BETA = frozenset({"BatchNormalization", "GroupNormalization", "LayerNormalization"})


def _kept(node: Node, spec: NormSpec) -> dict[str, Any]:
    """Settings of gamma and beta that go on in a layer of another class."""
    if class_of(spec) not in _WITH_GAMMA_AND_BETA:
        return {}
    return {key: thaw(node.config[key]) for key in _USUAL if key in node.config}


def _set(node: Node) -> list[str]:
    """Which of them somebody has stated."""
    told = {key: node.config[key] for key in _USUAL if key in node.config}
    names = {k: v.get("class_name") if isinstance(v, Mapping) else v for k, v in told.items()}
    return [key for key, name in names.items() if name != _USUAL[key]]


def _restore_bias(work: Work, norm: int, spec: NormSpec, channels: int) -> str:
    """Gives the layers before a bias again where the new kind doesn't cancel it."""
    if cancels_bias(spec, channels):
        return ""
    flat = work.flat
    read = [flat.producers[call][0] for call in flat.calls[flat.nodes[norm].layer]]
    layers = {flat.nodes[index].layer: index for index in reversed(read)}
    return "".join(reversed([bias_again(work, before) for before in layers.values()]))
