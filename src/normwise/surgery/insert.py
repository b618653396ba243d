"""Puts a normalization where none stands.

Before: `y = f(x)`, read by some layers. After: they read `norm(y)`. A fused activation
(`Conv2D(activation="relu")`) is made a layer of its own where the normalization stands before it.

Algebra: a batch normalization with moving_mean 0, moving_variance 1 - epsilon, gamma 1 and beta 0
is the identity in inference; with the population's mean m and variance v, gamma sqrt(v + epsilon)
and beta m it is so in training too, on that data. A fixed `Normalization` starts with mean 0 and
variance 1.

Conditions: where outputs must be kept, the kind has fixed statistics in inference; the tensor
holds floating point; its readers can be told apart from those that are to read it as it is.
"""

from __future__ import annotations

from normwise.graph.catalogue import activation_of
from normwise.graph.channels import channels_of
from normwise.norms.kinds import refuse_unfitting_groups
from normwise.surgery.edits import Where
from normwise.surgery.identity import identity
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import (
    BATCH_FAMILY,
    Site,
    class_of,
    epsilon_of,
    layer_config,
    name_of,
    place_text,
    refused,
)
from normwise.surgery.work import Work


def check(work: Work, site: Site) -> str | None:
    """Why the normalization can't be put there, None if it can."""
    want = site.edit.want
    assert want is not None and site.cut is not None
    node, channels = work.flat.nodes[want.tensor], channels_of(work.flat, want.tensor)
    if work.policy(want.tensor) is None:
        return f"{node.name} holds {node.outputs[0].dtype} values, which nothing normalizes"
    if channels is None:
        return f"the number of channels of {node.name} is not known"
    reason = refused(work, want)
    if reason is not None:
        return reason
    refuse_unfitting_groups(want.spec, channels, name_of(work, want))
    if work.settings.keep and want.spec.kind in BATCH_FAMILY and work.levels.trains(site.cut.level):
        return "the model around it is called in training mode, so it would normalize by each batch"
    if work.settings.keep and want.spec.kind not in BATCH_FAMILY | {"standardize"}:
        return (
            f"a new {want.spec.kind} normalization computes its statistics from each input, so it "
            "can't start without changing the outputs"
        )
    return None


def rewrite(work: Work, site: Site) -> Change | str:
    """Puts it there."""
    want = site.edit.want
    assert want is not None and site.cut is not None
    channels = channels_of(work.flat, want.tensor)
    assert channels is not None
    cut = site.cut
    if want.where is Where.BEFORE_ACTIVATION:
        if activation_of(work.flat.nodes[want.tensor]) is not None:
            work.split(want.tensor)
        cut = work.before_activation(want.tensor)
    if want.where is not Where.ON_SKIP:
        work.normalized_before.update(
            site.activation
            for site in work.placement.sites_by_node.get(want.tensor, ())
            if want.where is Where.BEFORE_ACTIVATION or site.activation != want.tensor
        )
    tensor = cut.tensor if want.where is Where.BEFORE_ACTIVATION else work.current(cut)
    if tensor is None:
        return "other edits part the readers of the tensor that it should normalize"
    name = work.levels.draft(cut.level).free_name(name_of(work, want))
    config = layer_config(work, want.spec, want.tensor, channels)
    path = work.insert(cut, tensor, name, class_of(want.spec), config)
    work.start(path, {}, config)
    if want.spec.kind in BATCH_FAMILY:
        work.fresh[path] = epsilon_of(want.spec)
        work.start(path, identity(channels, epsilon_of(want.spec)), config)
    elif want.spec.kind == "standardize":
        work.standardized.append(path)
    return Change(path, f"{class_of(want.spec)} inserted {place_text(work, want)}")
