"""`unfoldable-norm` names the very norms that `fold` leaves."""

import pytest

import normwise as nw
from normwise.keras_format import read_graph
from normwise.rules import BY_NAME, Context
from tests import zoo

OURS = [
    ("question", "batch@post-activation", 0),
    ("residual", "batch@post-activation", 6),
    ("attention", "batch@before-downsampling", 2),
    ("nested", "batch@after-merge", 0),
]
ZOO = [
    "residual_post",
    "residual_pre",
    "squeeze_excite",
    "depthwise",
    "shared_norm",
    "one_dimension",
]


def noted(model):
    findings = list(BY_NAME["unfoldable-norm"].check(Context(read_graph(model))))
    return set(findings[0].layers) if findings else set()


def left(model):
    return {skip.layer for skip in nw.fold(model).report.skipped}


@pytest.mark.parametrize(("network", "plan", "count"), OURS)
def test_in_our_networks(network, plan, count):
    depth = {} if network == "question" else {"depth": 2}
    model = nw.build(network, (64, 64, 3), norm=plan, filters=4, **depth)
    assert noted(model) == left(model)
    assert len(noted(model)) == count


@pytest.mark.parametrize("name", ZOO)
def test_in_hand_made_models(name):
    model = zoo.built(name)
    assert noted(model) == left(model)
