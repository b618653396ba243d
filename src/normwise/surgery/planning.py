"""Plans the edits that bring a graph to a norm plan and makes them in a draft: all without Keras.

One round is not always enough. A normalization that no plan describes is left alone; once others
around it are gone, a plan may describe it, and then it is one that wasn't asked for. So what the
edits lead to is planned again, until a round has nothing to do. A second run on the result begins
with that same round, so it changes nothing. An edit that a later round asks for again led nowhere,
and each run would make one more: then all is planned anew without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

from normwise.errors import PlanError, SurgeryError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.norms.plan import NormPlan
from normwise.surgery import insert, move, remove, swap
from normwise.surgery.bias import drop_biases, restore_bias
from normwise.surgery.edits import Edit, How, Want, Where, edit_owners, edits_of, wants_of
from normwise.surgery.outputs import keep_output_names
from normwise.surgery.rewrite import Change, Skip
from normwise.surgery.sites import IN_ANOTHER, Site, name_of, place_text, site_of
from normwise.surgery.work import Work

PASSES: Mapping[How, ModuleType] = {
    How.SWAP: swap,
    How.INSERT: insert,
    How.MOVE: move,
    How.REMOVE: remove,
}
"""The pass that makes each sort of edit; each has `check` and `rewrite`."""

Subject = tuple[str, str, int]
"""What an edit is about, in every round the same: a normalization, or a place and its layer."""

Asked = tuple[How, tuple[Subject, ...]]
"""An edit in terms of what it is about."""

_MORE_ROUNDS = 10
"""Beyond one round for each node, more edits lead nowhere."""


@dataclass(frozen=True)
class Planned:
    """Edits that were made in drafts.

    Attributes:
        work: The work on what came out, on which nothing was left to do.
        edited: The graph that came out.
        changed: What was done, round after round.
        skipped: What was left out, and not made up for by a later round.
    """

    work: Work
    edited: Graph
    changed: tuple[Change, ...]
    skipped: tuple[Skip, ...]


@dataclass
class _Round:
    """What was done in one round, what was left out, and what had been done before in vain."""

    changed: dict[Change, None] = field(default_factory=dict)
    skipped: dict[Subject, Skip] = field(default_factory=dict)
    made: dict[Asked, None] = field(default_factory=dict)
    gone: dict[Change, int] = field(default_factory=dict)
    """Normalizations that were taken out or moved, by what the report says of them."""
    in_vain: dict[Asked, None] = field(default_factory=dict)


def edited_graph(work: Work, plan: NormPlan, layers: str | None = None) -> Planned:
    """The graph that follows a plan, and what was done to it.

    Args:
        work: The model on the bench.
        plan: What should hold.
        layers: A pattern such as `"decoder_*"`: only edits for layers of such names are made.

    Raises:
        PlanError: The plan can't hold in this network.
        SurgeryError: No layer has a name of that pattern; or the edits don't come to an end.
    """
    _refuse_missing_layers(work, layers)
    hopeless: dict[Asked, None] = {}
    while True:
        planned = _planned(work, _Wish(plan, layers, hopeless))
        if isinstance(planned, Planned):
            return planned
        if planned.keys() <= hopeless.keys():
            raise SurgeryError(_endless(work, plan))
        hopeless = {**hopeless, **planned}
        work = Work(work.graph, work.settings, work.shared)


@dataclass(frozen=True)
class _Wish:
    """What should hold, for layers of which names, and edits that don't lead there."""

    plan: NormPlan
    layers: str | None
    hopeless: Mapping[Asked, None]


def _planned(work: Work, wish: _Wish) -> Planned | Mapping[Asked, None]:
    """Round after round until nothing is left to do, or the edits that were made in vain."""
    rounds, problem = [_round(work, wish, {})], None
    most = len(work.flat.nodes) + _MORE_ROUNDS
    while rounds[-1].changed:
        if len(rounds) > most:
            raise SurgeryError(_endless(work, wish.plan))
        made = {asked: None for one in rounds for asked in one.made}
        following = work.following()
        try:
            rounds.append(_round(following, wish, made))
        except PlanError as error:  # a place that it names is gone by what was edited for it
            problem = Skip(following.graph.name, str(error))
            break
        if rounds[-1].in_vain:
            return rounds[-1].in_vain
        work = following
    skipped = _skipped(rounds, work)
    changed = tuple(change for one in rounds for change in one.changed)
    return Planned(work, work.freeze(), changed, (*skipped, *([problem] if problem else [])))


def _endless(work: Work, plan: NormPlan) -> str:
    return (
        f"plan '{plan}': however often model {work.graph.name!r} is edited for it, there is still "
        "something to edit. Name fewer positions, or fewer layers."
    )


def _skipped(rounds: Sequence[_Round], work: Work) -> tuple[Skip, ...]:
    """What stays as it is although it was asked for, in any of the rounds."""
    found: dict[Subject, Skip] = {}
    for one in rounds:
        for _, subjects in one.made:
            for subject in subjects:
                found.pop(subject, None)
        found.update(one.skipped)
    return tuple(skip for subject, skip in found.items() if _stands(work, subject))


def _stands(work: Work, subject: Subject) -> bool:
    """Whether a normalization is still there; places always are."""
    kind, name, _ = subject
    return kind != _NORM or name in work.flat.index or name in work.names.values()


def _round(work: Work, wish: _Wish, made: Mapping[Asked, None]) -> _Round:
    """Plans once and makes the edits.

    Args:
        work: The graph as it is by now.
        wish: What should hold.
        made: The edits of earlier rounds.
    """
    done = _Round()
    edits = edits_of(work.placement, wish.plan, _chosen(work, wish.layers), work.residue)
    work.leaving = frozenset(
        edit.norm for edit in edits if edit.how is How.REMOVE and edit.norm is not None
    )
    possible = [_possible(work, edit) for edit in _without_halves(work, edits, done)]
    done.in_vain = {
        asked: None
        for edit in possible
        if (asked := _asked(work, edit)) in made and _hopeless(work, edit, wish) is None
    }
    if done.in_vain:
        return done
    for site in _sites(work, possible, done):
        _make(work, site, wish, done)
    changes = _with_biases(work, done)
    if work.settings.drop_bias:
        changes += drop_biases(work, _chosen_wants(work, wish))
    changes += keep_output_names(work)
    done.changed = dict.fromkeys(changes)
    return done


def _with_biases(work: Work, done: _Round) -> list[Change]:
    """The changes; layers whose norms are gone have a bias where outputs needn't be kept."""
    if work.settings.keep or not done.gone:
        return list(done.changed)
    edited, found, told = flatten(work.freeze()), [], set[str]()
    for change in done.changed:
        said = restore_bias(work, done.gone[change], edited) if change in done.gone else ""
        found.append(replace(change, action=change.action + ("" if said in told else said)))
        told.add(said)
    return found


def _chosen_wants(work: Work, wish: _Wish) -> list[Want]:
    """The places that the plan wants normalized and that are for layers of the wished names."""
    chosen = _chosen(work, wish.layers)
    return [
        want
        for want in wants_of(work.placement, wish.plan)
        if chosen(edit_owners(work.placement, Edit(How.INSERT, want)) | want.stands)
    ]


def _refuse_missing_layers(work: Work, pattern: str | None) -> None:
    nodes = work.flat.nodes
    if pattern is None or any(_matches(node.layer, pattern) for node in nodes):
        return
    raise SurgeryError(
        f"no layer of model {work.graph.name!r} matches the pattern {pattern!r}; its layers "
        f"are {', '.join(dict.fromkeys(node.layer for node in nodes[:20]))}..."
    )


def _chosen(work: Work, pattern: str | None) -> Callable[[frozenset[int]], bool]:
    """Whether an edit is for a layer of that name."""
    if pattern is None:
        return lambda owners: True
    hits = {i for i, node in enumerate(work.flat.nodes) if _matches(node.layer, pattern)}
    return lambda owners: bool(owners & hits)


def _matches(layer: str, pattern: str) -> bool:
    return fnmatchcase(layer, pattern) or fnmatchcase(layer.rpartition("/")[2], pattern)


# What edits are about -----------------------------------------------------------------------

_NORM = "normalization"


def _norm_of(work: Work, edit: Edit) -> Subject | None:
    return None if edit.norm is None else (_NORM, work.flat.nodes[edit.norm].name, 0)


def _place_of(work: Work, edit: Edit) -> Subject | None:
    """The place that an edit fills; an activation that was parted from a layer is the layer's."""
    if edit.want is None:
        return None
    node = work.flat.nodes[edit.want.tensor]
    return (edit.want.where, work.split_off.get(node.layer, node.layer), node.call)


def _asked(work: Work, edit: Edit) -> Asked:
    both = (_norm_of(work, edit), _place_of(work, edit))
    return edit.how, tuple(subject for subject in both if subject is not None)


def _skip(work: Work, edit: Edit, reason: str, done: _Round) -> None:
    _, subjects = _asked(work, edit)
    done.skipped[subjects[0]] = Skip(_subject(work, edit), reason)


def _subject(work: Work, edit: Edit) -> str:
    """The layer that an edit is about."""
    if edit.norm is not None:
        return work.flat.nodes[edit.norm].layer
    assert edit.want is not None
    return name_of(work, edit.want)


# Which of them can be made ------------------------------------------------------------------


def _without_halves(work: Work, edits: Sequence[Edit], done: _Round) -> list[Edit]:
    """The edits without swaps that only some calls of a normalization ask for."""
    asking: dict[str, list[Edit]] = {}
    for edit in edits:
        if edit.how is How.SWAP and edit.norm is not None:
            asking.setdefault(work.flat.nodes[edit.norm].layer, []).append(edit)
    halves: set[int] = set()
    for layer, swaps in asking.items():
        calls = set(work.flat.calls[layer]) - (set() if work.settings.keep else work.leaving)
        specs = {edit.want.spec for edit in swaps if edit.want is not None}
        if len(specs) > 1 or calls - {edit.norm for edit in swaps}:
            halves |= {id(edit) for edit in swaps}
            _skip(work, swaps[0], _partly(layer, len(calls), len(swaps), len(specs)), done)
    return [edit for edit in edits if id(edit) not in halves]


def _partly(layer: str, calls: int, asking: int, kinds: int) -> str:
    if kinds > 1:
        return f"it is called {calls} times, and these should be of {kinds} kinds"
    return (
        f"it is called {calls} times, and only {asking} of these should be so; it is the same "
        "layer in all of them"
    )


def _possible(work: Work, edit: Edit) -> Edit:
    """The edit that is made for one: no normalization moves from one model into another."""
    if edit.how is not How.MOVE or work.settings.keep or site_of(work, edit) != IN_ANOTHER:
        return edit
    # A new one stands there instead; the next round takes this one out.
    return Edit(How.INSERT, edit.want)


def _hopeless(work: Work, edit: Edit, wish: _Wish) -> str | None:
    """Why an edit isn't made that doesn't lead to what is wanted, None if it may."""
    if edit.want is None or _asked(work, edit) not in wish.hopeless:
        return None
    place = place_text(work, edit.want)
    return f"what the plan wants {place} doesn't come to stand there, whatever is edited"


def _sites(work: Work, edits: Sequence[Edit], done: _Round) -> list[Site]:
    """Where edits are made, each once, splits before what stands behind them."""
    groups: dict[Any, list[Site]] = {}
    for edit in edits:
        site = site_of(work, edit)
        if isinstance(site, str):
            _skip(work, edit, site, done)
        else:
            groups.setdefault(site.key, []).append(site)
    chosen = []
    for sites in groups.values():
        first = sites[0]
        level = (first.spot or first.cut).level  # type: ignore[union-attr]
        if len(sites) == work.levels.calls(level):
            chosen.append(first)
        else:
            name = first.path.rstrip("/")
            reason = f"model {name!r} is called {work.levels.calls(level)} times, and only "
            reason += f"{len(sites)} of these should be so; its layers are the same in all of them"
            _skip(work, first.edit, reason, done)
    return sorted(_each_layer_once(work, chosen), key=_order)


def _each_layer_once(work: Work, sites: Collection[Site]) -> list[Site]:
    """One site for all calls of a normalization that is swapped: that changes all of them."""
    swapped: set[str] = set()
    found = []
    for site in sites:
        if site.edit.how is How.SWAP and site.spot is not None:
            layer = work.levels.layer_path(site.spot)
            if layer in swapped:
                continue
            swapped.add(layer)
        found.append(site)
    return found


def _order(site: Site) -> tuple[int, int, int]:
    edit = site.edit
    rank = [How.SWAP, How.INSERT, How.MOVE, How.REMOVE].index(edit.how)
    where = list(Where).index(edit.want.where) if edit.want is not None else 0
    return (max(rank, 1) if rank < 3 else rank, where, rank)


def _make(work: Work, site: Site, wish: _Wish, done: _Round) -> None:
    chosen = PASSES[site.edit.how]
    # What a second run would say first, too: it doesn't know yet what is hopeless.
    reason = chosen.check(work, site) or _hopeless(work, site.edit, wish)
    parted = len(work.partings)
    made = chosen.rewrite(work, site) if reason is None else reason
    done.changed.update(dict.fromkeys(work.partings[parted:]))
    if isinstance(made, Change):
        nodes = work.flat.nodes
        of = frozenset(nodes[index].layer for index in edit_owners(work.placement, site.edit))
        done.changed[replace(made, of=of)] = None
        if site.edit.how in (How.MOVE, How.REMOVE) and site.edit.norm is not None:
            done.gone[made] = site.edit.norm
        done.made[_asked(work, site.edit)] = None
    else:
        _skip(work, site.edit, str(made), done)
