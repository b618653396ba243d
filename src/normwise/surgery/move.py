"""Moves a normalization that stands at another place of the same layers.

Before: `g(norm(f(x)))`. After: `norm(g(f(x)))`, or the other way round, or the same tensor with
other readers (the suffix `/raw-skip`, the position `skip`). The layer keeps its name and weights.

Algebra: none that keeps the outputs. A normalization doesn't commute with a nonlinearity, and
readers that saw the tensor normalized see it raw, or the other way round.

Conditions: outputs need not be kept; both places are in the same model.
"""

from __future__ import annotations

from normwise.graph.catalogue import activation_of
from normwise.graph.graph import Tensor
from normwise.surgery.edits import Want, Where
from normwise.surgery.levels import Cut, Spot
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import (
    BATCH_FAMILY,
    Site,
    epsilon_of,
    place_text,
    refused,
)
from normwise.surgery.work import Work


def check(work: Work, site: Site) -> str | None:
    """Why the normalization can't be moved, None if it can."""
    want, norm = site.edit.want, site.edit.norm
    assert want is not None and norm is not None
    reason = refused(work, want)
    if reason is not None or not work.settings.keep:
        return reason
    if _same_tensor(work, norm, want):
        return (
            f"standing {place_text(work, want)}, it would be read by others than now, which "
            "changes the outputs"
        )
    return (
        f"moving it so that it stands {place_text(work, want)}, across an activation or a merge, "
        "changes the outputs"
    )


def rewrite(work: Work, site: Site) -> Change | str:
    """Moves it."""
    want, norm, spot, cut = site.edit.want, site.edit.norm, site.spot, site.cut
    assert want is not None and norm is not None and spot is not None and cut is not None
    draft = work.levels.draft(spot.level)
    if want.where is Where.AFTER and not want.raw and _reads(work, spot, cut):
        made, source = Tensor(spot.index), draft.nodes[spot.index].inputs[0]
        draft.reroute(source, made, [r for r in draft.readers(source) if r != spot.index])
    elif want.where is Where.BEFORE_ACTIVATION:
        if activation_of(work.flat.nodes[want.tensor]) is not None:
            work.split(want.tensor)
        there = work.before_activation(want.tensor)
        work.move(spot, there, there.tensor)
    else:
        tensor = work.current(cut)
        if tensor is None:
            return "other edits part the readers of the tensor that it should normalize"
        on_itself = tensor == Tensor(spot.index)
        work.move(spot, cut, draft.nodes[spot.index].inputs[0] if on_itself else tensor)
    path = f"{site.path}{work.levels.node(spot).layer}"
    if want.spec.kind in BATCH_FAMILY:
        work.fresh[path] = epsilon_of(want.spec)
    return Change(path, f"moved, now {place_text(work, want)}")


def _reads(work: Work, spot: Spot, cut: Cut) -> bool:
    """Whether a normalization reads the tensor itself, not what a dropout makes of it."""
    return work.levels.node(spot).inputs[0] == cut.tensor


def _same_tensor(work: Work, norm: int, want: Want) -> bool:
    return want.where is not Where.BEFORE_ACTIVATION and (
        work.placement.skeleton(norm) == want.tensor
    )
