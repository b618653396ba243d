"""Plans are read back from what they build: the tests that this package stands on."""

from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.errors import PlanError
from normwise.graph.graph import Graph
from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.norms import NormPlan, infer_plan
from normwise.norms.plan import POSITIONS, Position
from normwise.workflows.plan_differences import plan_differences
from tests.norms.strategies import ALL_POSITIONS
from tests.norms.structure import structure
from tests.weightless import weightless

FREE = (None, None, 3)
VOLUME = (None, None, None, 3)
NETWORKS: dict[str, Callable[[NormPlan], Any]] = {
    "question": lambda plan: build("question", FREE, norm=plan, filters=2),
    "question-mended": lambda plan: build(
        "question", FREE, norm=plan, filters=2, decoder_activation="relu"
    ),
    "unet-1": lambda plan: build("unet", FREE, norm=plan, filters=2, depth=1),
    "unet-2": lambda plan: build("unet", FREE, norm=plan, filters=2, depth=2, upsampling="nearest"),
    "unet-3d": lambda plan: build("unet", VOLUME, norm=plan, filters=2, depth=1),
    "residual-2": lambda plan: build(
        "residual", FREE, norm=plan, filters=2, depth=2, blocks=[1, 2, 1], deep_supervision=True
    ),
    "residual-3d": lambda plan: build("residual", VOLUME, norm=plan, filters=2, depth=1, blocks=1),
    "attention-2": lambda plan: build(
        "attention", FREE, norm=plan, filters=4, depth=2, upsampling="nearest"
    ),
    "attention-3d": lambda plan: build(
        "attention", VOLUME, norm=plan, filters=4, depth=2, deep_supervision=True
    ),
    "nested-2": lambda plan: build("nested", FREE, norm=plan, filters=2, depth=2),
    "nested-3d": lambda plan: build(
        "nested", VOLUME, norm=plan, filters=2, depth=2, deep_supervision=True
    ),
}
KINDS = ("batch", "batch(momentum=0.9,epsilon=1e-5)", "rms", "group(groups=2)", "instance")


@cache
def graph_of(network: str, plan: str) -> Graph | None:
    """The graph that a plan builds, None where it can't hold."""
    try:
        with weightless():
            return read_graph(NETWORKS[network](NormPlan.parse(plan)))
    except PlanError:
        return None


def rank(plan: NormPlan) -> tuple[Any, ...]:
    """The tie rule, written down from DESIGN.md and not from the code."""
    positions = [position for clause in plan.clauses for position in clause.positions]
    return (
        len(plan.clauses) + len(positions),
        sum(p.raw_skip for p in positions),
        sum(p.region is not None for p in positions),
        sorted(POSITIONS.index(p.where) for p in positions),
    )


def read_back(network: str, plan: str, graph: Graph) -> NormPlan:
    """The inferred plan, after checking that it builds the same graph and is no longer."""
    found = infer_plan(graph)
    assert not found.residue, plan
    assert infer_plan(graph) == found, "not deterministic"
    again = graph_of(network, str(found))
    assert again is not None and structure(again) == structure(graph), (plan, str(found))
    assert rank(found) <= rank(NormPlan.parse(plan)), (plan, str(found))
    return found


# Every single position. -----------------------------------------------------------------------


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_every_single_position_is_read_back(network: str) -> None:
    held = 0
    # Volumes are wired as images are: each network of theirs takes another third of them.
    turn, each = (sorted(NETWORKS).index(network) % 3, 3) if network.endswith("3d") else (0, 1)
    for position in ALL_POSITIONS[turn::each]:
        plan = f"batch@{position}"
        graph = graph_of(network, plan)
        if graph is not None:
            held += 1
            found = read_back(network, plan, graph)
            # What is built follows the plan that it was built under, however it is read back.
            assert plan_differences(graph, NormPlan.parse(plan)) == ()
            assert plan_differences(graph, found) == ()
    assert held >= 15 // each


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "places",
    [
        "pre-activation",
        "encoder:post-activation/raw-skip",
        "before-downsampling",
        "skip+after-merge",
        "input+bottleneck:post-activation",
    ],
)
def test_every_kind_is_read_back(kind: str, places: str) -> None:
    plan = f"{kind}@{places}"
    graph = graph_of("unet-1", plan)
    if graph is None:
        assert kind == "group(groups=2)" and "input" in places  # three channels in two groups
        return
    found = read_back("unet-1", plan, graph)
    if not kind.startswith(("group", "instance")):
        assert {str(clause.spec) for clause in found.clauses} == {kind}


@pytest.mark.parametrize("kind", ["batch-renorm", "layer", "sync-batch", "standardize"])
def test_the_other_kinds_are_read_back(kind: str) -> None:
    plan = f"{kind}@{'input' if kind == 'standardize' else 'pre-activation'}"
    graph = graph_of("unet-1", plan)
    assert graph is not None and str(read_back("unet-1", plan, graph)) == plan


# The tie rule, against all plans of up to two positions. --------------------------------------


def pairs(network: str) -> list[str]:
    """Every plan of one kind with at most two positions that can hold."""
    singles = [p for p in ALL_POSITIONS if graph_of(network, f"batch@{p}") is not None]
    texts = {"none": None, **{f"batch@{p}": None for p in singles}}
    for first, second in combinations(singles, 2):
        try:
            texts[str(NormPlan.parse(f"batch@{first}+{second}"))] = None
        except PlanError:
            continue
    return [text for text in texts if graph_of(network, text) is not None]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["unet-1"])
def test_of_all_plans_of_a_graph_the_tie_rule_picks_the_one_that_is_read(network: str) -> None:
    same: dict[Any, list[NormPlan]] = {}
    for text in pairs(network):
        graph = graph_of(network, text)
        assert graph is not None
        same.setdefault(structure(graph), []).append(NormPlan.parse(text))
    assert len(same) > 80 and any(len(plans) == 1 for plans in same.values())
    for plans in same.values():
        ranks = sorted(rank(plan) for plan in plans)
        best = [plan for plan in plans if rank(plan) == ranks[0]]
        assert len(best) == 1, best  # else the rule would not settle it
        for plan in plans:
            graph = graph_of(network, str(plan))
            assert graph is not None
            assert str(infer_plan(graph)) == str(best[0]), [str(p) for p in plans]


def test_the_examples_of_ties() -> None:
    for network, plan, read in (
        ("question", "batch@encoder:post-activation", "batch@before-downsampling"),
        (
            "question",
            "batch@encoder:post-activation/raw-skip",
            "batch@before-downsampling/raw-skip",
        ),
        ("question", "batch@encoder:before-downsampling", "batch@before-downsampling"),
        ("question", "batch@decoder:after-merge", "batch@after-merge"),
        ("unet-1", "batch@encoder:post-activation", "batch@encoder:post-activation"),
        ("unet-1", "batch@bottleneck:post-activation/raw-skip", "batch@bottleneck:post-activation"),
    ):
        graph = graph_of(network, plan)
        assert graph is not None and str(infer_plan(graph)) == read


# Any plan. ------------------------------------------------------------------------------------

_SPECS = st.sampled_from(
    [
        "batch",
        "batch",
        "batch(momentum=0.9)",
        "rms",
        "layer(center=false)",
        "batch-renorm",
        "instance",
        "group(groups=1)",
        "group(groups=2)",
    ]
)


@cache
def positions_of(network: str) -> list[Position]:
    """Those that the network has; a network for volumes has those of the one for images."""
    like = network.replace("3d", "2")
    return [p for p in ALL_POSITIONS if graph_of(like, f"batch@{p}") is not None]


@st.composite
def plans(draw: st.DrawFn, network: str) -> str:
    """Any kinds at positions that the network has; those that contradict others are left out."""
    known = positions_of(network)
    clauses: list[str] = []
    for position in draw(st.lists(st.sampled_from(known), min_size=1, max_size=8, unique=True)):
        clause = f"{draw(_SPECS)}@{position}"
        try:
            NormPlan.parse(",".join([*clauses, clause]))
        except PlanError:
            continue
        clauses.append(clause)
    return str(NormPlan.parse(",".join(clauses)))


@pytest.mark.parametrize("network", ["question-mended", "unet-2"])
@settings(max_examples=20)
@given(st.data())
def test_any_plan_that_holds_is_read_back(network: str, data: st.DataObject) -> None:
    plan = data.draw(plans(network))
    graph = graph_of(network, plan)
    if graph is not None:
        read_back(network, plan, graph)


@pytest.mark.parametrize(
    "network", ["residual-2", "attention-2", "nested-2", "residual-3d", "attention-3d", "nested-3d"]
)
@settings(max_examples=6)
@given(st.data())
def test_any_plan_of_every_network_is_read_back(network: str, data: st.DataObject) -> None:
    plan = data.draw(plans(network))
    graph = graph_of(network, plan)
    if graph is not None:
        read_back(network, plan, graph)


@pytest.mark.parametrize(
    "plan",
    [
        "batch@input+encoder:pre-activation+bottleneck:post-activation+skip+after-merge",
        "rms@input+decoder:pre-activation+bottleneck:post-activation+before-downsampling+skip"
        "+after-merge",
        "batch@input+pre-activation+post-activation/raw-skip+skip+after-merge",
    ],
)
def test_long_plans_are_read_back(plan: str) -> None:
    canonical = str(NormPlan.parse(plan))
    graph = graph_of("unet-1", canonical)
    assert graph is not None and str(read_back("unet-1", canonical, graph)) == canonical


def test_one_group_clause_is_not_split_where_some_norms_have_a_group_each() -> None:
    """With two channels a level, `group(groups=2)` is an instance norm there, but no other plan."""
    plan = "group(groups=2)@post-activation"
    graph = graph_of("unet-1", plan)
    assert graph is not None and str(infer_plan(graph)) == plan


def test_an_instance_clause_is_not_split_where_a_group_clause_could_take_some_of_it() -> None:
    """With two channels a level `instance` is `group(groups=2)`; the shortest plan tells."""
    plan = "group(groups=2)@bottleneck:pre-activation,instance@post-activation"
    graph = graph_of("unet-1", plan)
    assert graph is not None and str(infer_plan(graph)) == plan


# Files. ---------------------------------------------------------------------------------------


@pytest.mark.backends
@pytest.mark.parametrize(
    ("network", "plan"),
    [
        ("question", "batch@before-downsampling/raw-skip"),
        ("question-mended", "instance@pre-activation,rms@after-merge"),
        ("unet-1", "batch(momentum=0.9)@pre-activation+skip"),
        ("unet-2", "standardize@input,group(groups=2)@before-downsampling+after-merge"),
        ("unet-2", "none"),
    ],
)
def test_plans_survive_saving(network: str, plan: str, tmp_path: Path) -> None:
    import keras

    model = NETWORKS[network](NormPlan.parse(plan))
    path = tmp_path / "model.keras"
    model.save(path)
    live, loaded = read_graph(model), read_graph(keras.saving.load_model(path))
    filed = read_graph(path)
    assert str(infer_plan(live)) == str(infer_plan(filed)) == str(infer_plan(loaded)) == plan
    assert structure(live) == structure(filed) == structure(loaded)


# Negative controls. ---------------------------------------------------------------------------


def test_structures_tell_builds_apart() -> None:
    graphs = [graph_of("unet-1", plan) for plan in pairs("unet-1")[:20]]
    assert len({structure(g) for g in graphs if g is not None}) > 10
    other = read_graph(build("unet", FREE, norm="none", filters=2, depth=1, activation="elu"))
    plain = graph_of("unet-1", "none")
    assert plain is not None and structure(other) != structure(plain)
    again = read_graph(build("unet", FREE, norm="none", filters=2, depth=1))
    assert structure(again) == structure(plain)
