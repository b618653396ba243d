"""Faults injected into healthy networks are found, and nothing else is warned of.

A small part of what `make check-quality` measures.
"""

from dataclasses import replace
from functools import partial

import pytest

from normwise.rules import BY_NAME, RULES, Context, Severity, check
from normwise.rules.rule import Rule, Spot
from tests.rules.injection import measure
from tests.rules.injection.designs import DESIGNS, classifier
from tests.rules.injection.fault import USUAL
from tests.rules.injection.hosts import DRAWN
from tests.rules.injection.measure import FAULTS, base_findings, trials

SMALL = (
    "keras-unet-collection, unet_2d",
    "keras-unet-collection, att_unet_2d",
    "ResNet of the Broad Institute",
    "a SegNet with relus in its decoder",
    "text classifier",
)
UNET = SMALL[0]
BY_DESIGN = ("a residual U-Net", "a dense U-Net", "a conformer")
"""Those of the designs that have the most batch norms."""
ON_DATA = {
    "train-eval-gap",
    "tile-mismatch",
    "batch-dependence",
    "merge-scale",
    "outlier-sample",
    "sorted-batches",
    "domain-shift",
}
"""Rules that judge what was measured on data: a graph holds nothing to inject for them."""


@pytest.fixture(scope="module")
def graphs():
    drawn = {**DRAWN, **DESIGNS}
    return {name: drawn[name]() for name in (*SMALL, *BY_DESIGN)}


@pytest.fixture(scope="module")
def done(graphs):
    return [
        trial for name, graph in graphs.items() for trial in trials(name, graph, places=1, seed=1)
    ]


def test_the_networks_are_healthy(graphs):
    assert all(base_findings(graph) == () for graph in graphs.values())


@pytest.mark.parametrize("draw", DESIGNS.values(), ids=DESIGNS)
def test_designs_that_look_wrong_are_healthy(draw):
    assert base_findings(draw()) == ()


def test_norms_that_replicas_share_bear_a_sample_on_each():
    def warned(synchronized):
        training = replace(USUAL, replicas=USUAL.batch_size)
        report = check(Context(classifier(synchronized), training=training))
        return {finding.name for finding in report.at_least(Severity.WARNING)}

    assert warned(True) == set()
    assert {"single-element-statistics", "tiny-batch"} <= warned(False)


def test_every_injected_fault_is_found(done):
    assert [(t.host, t.rule, t.what, t.layers) for t in done if not t.found] == []
    assert {t.rule for t in done} == {rule.name for rule in RULES} - ON_DATA


def test_nothing_else_is_warned_of(done):
    assert [(t.host, t.rule, t.false) for t in done if t.false] == []


def test_every_rule_has_a_fault():
    assert {fault.rule for fault in FAULTS} == set(BY_NAME) - ON_DATA
    assert all(set(fault.consequences) <= set(BY_NAME) for fault in FAULTS)


def test_the_same_seed_chooses_the_same_places(graphs):
    graph = graphs[UNET]
    once, again = (list(trials(UNET, graph, FAULTS[:8], 2, seed=5)) for _ in range(2))
    other = list(trials(UNET, graph, FAULTS[:8], 2, seed=6))
    assert once == again and [t.layers for t in other] != [t.layers for t in once]


def test_a_rule_that_sees_nothing_would_be_noticed(graphs, monkeypatch):
    kept = [rule for rule in RULES if rule.name != "wrong-axis"]
    monkeypatch.setattr(measure, "check", partial(check, rules=kept))
    of_axis = [fault for fault in FAULTS if fault.rule == "wrong-axis"]
    assert [t.found for t in trials(UNET, graphs[UNET], of_axis)] == [""] * 3


def test_a_rule_that_cries_wolf_would_be_noticed(graphs, monkeypatch):
    def wolf(context):
        yield Spot((context.nodes[0].layer,), "A wolf.")

    loud = Rule("NW999", "wolf", Severity.WARNING, RULES[0].document, wolf, "Run.", False, (), ())
    monkeypatch.setattr(measure, "check", partial(check, rules=[*RULES, loud]))
    of_axis = [fault for fault in FAULTS if fault.rule == "wrong-axis"]
    assert all(t.false for t in trials(UNET, graphs[UNET], of_axis))
