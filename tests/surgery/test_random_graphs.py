"""Random networks with branches, merges, sharing and nesting under random plans."""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.errors import PlanError
from normwise.keras_format import read_graph
from normwise.norms import NormPlan, infer_plan
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.contract import norms_of
from tests.surgery.models import inputs_of, outputs_of, shaken, weights_of
from tests.surgery.random_networks import STEP, STRUCTURES, network

MORE = int(os.environ.get("NORMWISE_EXAMPLES", "1"))
"""How many times as many examples as usual."""

PLACES = ("pre-activation", "post-activation", "post-activation/raw-skip", "before-downsampling",
          "skip", "after-merge", "input")  # fmt: skip
OTHERS = ("batch-renorm", "group(groups=2)", "instance", "layer", "rms")
"""Kinds beside `batch`, which is half of all cases."""

STEPS = st.lists(STEP, min_size=2, max_size=9)
STRUCTURE = st.sampled_from(STRUCTURES)
KIND = st.one_of(st.just("batch"), st.sampled_from(OTHERS))
PLAN = st.builds("{}@{}".format, KIND, st.sampled_from(PLACES)) | st.just("none")


def assert_kept(outputs, found):
    for a, b in zip(outputs, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * max(np.abs(a).max(), 1e-6))


def assert_untouched(model, before):
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_second_run_changes_nothing(done, plan, settings):
    """Nor does it leave out anything that the first didn't leave out."""
    try:
        again = place(done.model, plan, settings).report
    except PlanError as error:
        assert str(error) in {skip.reason for skip in done.report.skipped}
        return
    assert not again.changed
    left = {skip.layer for skip in done.report.skipped}
    assert {skip.layer for skip in again.skipped} <= left


@settings(max_examples=8 * MORE, deadline=None)
@given(STEPS, STRUCTURE, PLAN, st.booleans(), st.booleans())
def test_promises_hold(steps, structure, text, keep, drop_bias):
    model, plan = shaken(network(steps, structure)), NormPlan.parse(text)
    inputs, before = inputs_of(model), weights_of(model)
    outputs = outputs_of(model, inputs)
    try:
        done = place(model, plan, EditSettings(keep, drop_bias))
    except PlanError as error:
        assert "has no place" in str(error)
        return
    assert_untouched(model, before)
    found = outputs_of(done.model, inputs)
    if keep:
        assert done.report.max_difference <= 1e-5
        assert_kept(outputs, found)
    assert_second_run_changes_nothing(done, plan, EditSettings(keep, drop_bias))
    if not done.report.skipped:
        reached = infer_plan(read_graph(done.model))
        # Two plans can mean the same places; then the one read back asks for no edit either.
        other = place(done.model, reached, EditSettings(keep)).report
        assert not other.changed and not other.skipped


@settings(max_examples=8 * MORE, deadline=None)
@given(STEPS, STRUCTURE)
def test_folds_keep_the_outputs(steps, structure):
    model = shaken(network(steps, structure))
    inputs, before = inputs_of(model), weights_of(model)
    done = fold(model)
    assert_untouched(model, before)
    assert_kept(outputs_of(model, inputs), outputs_of(done.model, inputs))
    assert norms_of(done.model) == {skip.layer for skip in done.report.skipped}
    again = fold(done.model).report
    assert not again.changed and len(again.skipped) == len(done.report.skipped)
