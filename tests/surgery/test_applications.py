"""Each pass on networks of keras.applications: parts of two always, all with `make test-zoo`."""

import gc
import inspect
import os

import keras
import numpy as np
import pytest

from normwise.keras_format import read_graph
from normwise.norms import NormPlan
from normwise.norms.inference import infer_plan
from normwise.norms.plan import with_standardized_input
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.rewrite import Promise
from normwise.surgery.statistics import batch_norms
from normwise.surgery.work import EditSettings
from tests.surgery.contract import Before, assert_names_kept, assert_untouched, norms_of
from tests.surgery.models import outputs_of, shaken, weights_of

SMALL = {"MobileNetV2": "block_5_expand_relu", "VGG16": "block3_pool"}
"""With the layer where they end unless all are run: everything they have stands before it."""
ALL = [
    name
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
]
EVERYTHING = os.environ.get("NORMWISE_ZOO") == "all"
WANTED = sorted(ALL) if EVERYTHING else list(SMALL)
MINIMUM = {"NASNetLarge": 331, "NASNetMobile": 224, "InceptionV3": 75, "InceptionResNetV2": 75,
           "Xception": 71}  # fmt: skip
"""Sizes that a network is fixed to where it has a top, or below which it can't be built."""

SIZE = 64
RETRAIN = EditSettings(keep=False)


def network(name):
    size = MINIMUM.get(name, SIZE)
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), include_top=False)
    if not EVERYTHING:
        model = keras.Model(model.input, model.get_layer(SMALL[name]).output)
    return shaken(model)


@pytest.fixture(autouse=True)
def _room_for_the_next():
    """Keras models refer to themselves, and large ones shouldn't wait for a collection."""
    yield
    keras.backend.clear_session()
    gc.collect()


def placed(model, plan, settings=None):
    return place(model, NormPlan.parse(plan), settings)


def checked(model, before, done):
    """What holds of every pass on every network, beside what it changed."""
    assert_untouched(model, before)
    assert_names_kept(model, done)
    if done.report.promise is not Promise.NOT_KEPT:
        assert done.report.max_difference <= 1e-5
        for a, b in zip(before.outputs, outputs_of(done.model, before.inputs), strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
    return done


@pytest.mark.parametrize("name", WANTED)
def test_every_pass_on(name):
    """One network for all passes: insert, swap, remove, move, fold and recalibrate."""
    model = network(name)
    before = Before.of(model)
    names = norms_of(model)

    # Insert: a norm at the input, beside those that stand (any plan describes these).
    plan = infer_plan(read_graph(model))
    if plan.input_kind is None:
        done = checked(model, before, place(model, with_standardized_input(plan)))
        assert not done.report.skipped and len(done.report.changed) == 1
        assert norms_of(done.model) == names | {done.report.changed[0].layer}
        del done

    # Insert everywhere: a batch norm before each activation that has none.
    start = placed(model, "batch@pre-activation", RETRAIN)
    assert_untouched(model, before)
    assert not start.report.skipped
    copy = shaken(start.model)
    del start
    state = Before.of(copy)
    assert not placed(copy, "batch@pre-activation").report.changed

    # Swap: another kind of the same family, with the same function.
    done = checked(copy, state, placed(copy, "batch-renorm(epsilon=0.01)@pre-activation"))
    assert not done.report.skipped
    assert all("swapped" in change.action for change in done.report.changed)
    assert done.report.changed

    # Move: behind the activations; this changes the outputs.
    done = placed(copy, "batch@post-activation", RETRAIN)
    assert_untouched(copy, state)
    assert any(change.action.startswith("moved") for change in done.report.changed)
    del done

    # Remove: what a layer before it can take over goes, the rest is named with its reason.
    done = checked(copy, state, placed(copy, "none"))
    gone = {change.layer for change in done.report.changed}
    assert gone and norms_of(done.model) == norms_of(copy) - gone
    del done

    # Fold, in the network as it is and with a norm at each activation.
    for folded in (model, copy):
        done = checked(folded, before if folded is model else state, fold(folded))
        left = set(batch_norms(done.model))
        assert left == {skip.layer for skip in done.report.skipped}
        assert {change.layer for change in done.report.changed} == set(batch_norms(folded)) - left
        del done

    # Recalibrate.
    done = checked(copy, state, recalibrate(copy, [state.inputs]))
    assert {change.layer for change in done.report.changed} == set(batch_norms(copy))
    statistics = [v.name.startswith("moving") for v in copy.variables]
    for moved, a, b in zip(statistics, state.weights, weights_of(done.model), strict=True):
        assert moved or np.array_equal(a, b)


def test_the_list_is_all_of_them():
    assert len(ALL) >= 30 and set(SMALL) <= set(ALL)
