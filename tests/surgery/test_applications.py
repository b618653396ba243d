"""Placing on the networks of keras.applications: small ones always, all with `make test-zoo`."""

import inspect
import os

import keras
import pytest

from normwise.keras_format import read_graph
from normwise.norms import NormPlan, infer_plan
from normwise.surgery.place import place
from normwise.surgery.work import Settings
from tests.surgery.models import shaken

SMALL = ["MobileNetV2", "VGG16"]
ALL = [
    name
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
]
WANTED = sorted(ALL) if os.environ.get("NORMWISE_ZOO") == "all" else SMALL
MINIMUM = {"NASNetLarge": 331, "NASNetMobile": 224}
"""Sizes that a network is fixed to where it has a top."""


def network(name):
    size = MINIMUM.get(name, 96)
    build = getattr(keras.applications, name)
    return shaken(build(weights=None, input_shape=(size, size, 3), include_top=False))


@pytest.mark.parametrize("name", WANTED)
def test_an_input_norm_is_placed_beside_those_of(name):
    model = network(name)
    plan = infer_plan(read_graph(model))
    more = [] if plan.input_kind else ["batch(momentum=0.5)@input"]
    wanted = ",".join([p for p in (str(plan), *more) if p != "none"]) or "none"
    done = place(model, NormPlan.parse(wanted))
    assert not done.report.skipped and len(done.report.changed) == len(more)
    assert done.report.max_difference <= 1e-5


@pytest.mark.parametrize("name", WANTED)
def test_every_activation_gets_a_norm_where_outputs_need_not_stay(name):
    model = network(name)
    done = place(model, NormPlan.parse("batch@pre-activation"), Settings(keep=False))
    assert not done.report.skipped
    assert not place(done.model, NormPlan.parse("batch@pre-activation")).report.changed


def test_the_list_is_all_of_them():
    assert len(ALL) >= 30 and set(SMALL) <= set(ALL)
