"""Each pass on networks of keras.applications: parts of two always, all with `make test-zoo`.

With all of them each pass is held to its whole contract (`tests.surgery.contract`), else one of
them is.
"""

import gc
import inspect

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
from tests.surgery.contract import (
    EVERYTHING,
    Before,
    assert_names_kept,
    assert_untouched,
    check_pass,
    norms_of,
)
from tests.surgery.models import each_weight, inputs_of, outputs_of, shaken

SMALL = {"MobileNetV2": "block_5_expand_relu", "VGG16": "block3_pool"}
"""With the layer where they end unless all are run: everything they have stands before it."""
ALL = [
    name
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
]
WANTED = sorted(ALL) if EVERYTHING else list(SMALL)
MINIMUM = {"NASNetLarge": 331, "NASNetMobile": 224, "InceptionV3": 75, "InceptionResNetV2": 75,
           "Xception": 71}  # fmt: skip
"""Sizes that a network is fixed to where it has a top, or below which it can't be built."""

CHAOTIC = (
    *(f"EfficientNetB{size}" for size in (4, 5, 6, 7)),
    *(f"EfficientNetV2{size}" for size in "SML"),
)
"""Networks that amplify rounding with random weights, some with all, some with a few of them: 1e-7
of their input changes half of their output. Their blocks end with small gammas here, as trained
ones do."""

SIZE = 64
RETRAIN = EditSettings(keep=False)


def network(name):
    keras.utils.set_random_seed(0)
    size = MINIMUM.get(name, SIZE)
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), include_top=False)
    if not EVERYTHING:
        model = keras.Model(model.input, model.get_layer(SMALL[name]).output)
    return varied(model, name)


def varied(model, name):
    """The network with other statistics, affine parameters and biases."""
    shaken(model)
    for path, norm in batch_norms(model).items():
        if name in CHAOTIC and path.endswith("project_bn"):
            norm.gamma.assign(0.2 * norm.gamma)
    return model


@pytest.fixture(autouse=True)
def _room_for_the_next():
    """Keras models refer to themselves, and large ones shouldn't wait for a collection."""
    yield
    keras.backend.clear_session()
    gc.collect()


def placed(plan, settings=None):
    wanted = plan if isinstance(plan, NormPlan) else NormPlan.parse(plan)
    return lambda model: place(model, wanted, settings)


def held(model, rewrite, path, *, whole=EVERYTHING, trains=False):
    """Runs a pass and holds it to its contract, or to what of that takes no other run.

    Args:
        model: The network.
        rewrite: The pass.
        path: Where the result is written meanwhile.
        whole: Whether to hold it to all.
        trains: Whether copy and source are trained then, which leaves neither as it was.
    """
    if whole:
        done = check_pass(model, rewrite, path, trains=trains)
        path.unlink()
    else:
        before = Before.of(model)
        done = rewrite(model)
        assert_untouched(model, before)
        assert_names_kept(model, done)
        if done.report.promise is not Promise.NOT_KEPT:
            assert (done.report.max_difference or 0) <= 1e-5  # None where nothing changes
            for a, b in zip(before.outputs, outputs_of(done.model, before.inputs), strict=True):
                np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
    gc.collect()  # models refer to themselves, and those that were read again are large, too
    return done


def assert_folded(model, done):
    """Each norm is gone or named with the reason."""
    left = set(batch_norms(done.model))
    assert left == {skip.layer for skip in done.report.skipped}
    assert {change.layer for change in done.report.changed} == set(batch_norms(model)) - left


@pytest.mark.parametrize("name", WANTED)
def test_every_pass_on(name, tmp_path):
    """One network for all passes: insert, swap, remove, move, fold and recalibrate."""
    model, path = network(name), tmp_path / "network.keras"
    names, plan = norms_of(model), infer_plan(read_graph(model))

    # Insert everywhere: a batch norm before each activation that has none.
    start = held(model, placed("batch@pre-activation", RETRAIN), path)
    assert not start.report.skipped
    copy = varied(start.model, name)
    del start
    assert not placed("batch@pre-activation")(copy).report.changed

    # Fold the network as it is, and insert a norm at the input, beside those that stand (any plan
    # describes these); the last of them trains it, too.
    takes_one = plan.input_kind is None
    assert_folded(model, held(model, fold, path, whole=True, trains=EVERYTHING and not takes_one))
    if takes_one:
        rewrite = placed(with_standardized_input(plan))
        done = held(model, rewrite, path, trains=EVERYTHING)
        assert not done.report.skipped and len(done.report.changed) == 1
        assert norms_of(done.model) == names | {done.report.changed[0].layer}
        del done
    del model

    # Swap: another kind of the same family, with the same function.
    # Without a gamma (Inception) nothing would make up for another epsilon.
    other = "(epsilon=0.01)" if all(norm.scale for norm in batch_norms(copy).values()) else ""
    done = held(copy, placed(f"batch-renorm{other}@pre-activation"), path)
    assert not done.report.skipped
    assert all("swapped" in change.action for change in done.report.changed)
    assert done.report.changed
    del done

    # Move: behind the activations; this changes the outputs.
    done = held(copy, placed("batch@post-activation", RETRAIN), path)
    assert any(change.action.startswith("moved") for change in done.report.changed)
    del done

    # Remove: what a layer before it can take over goes, the rest is named with its reason.
    done = held(copy, placed("none"), path)
    gone = {change.layer for change in done.report.changed}
    assert gone and norms_of(done.model) == norms_of(copy) - gone
    del done

    # Recalibrate.
    data = inputs_of(copy)
    done = held(copy, lambda model: recalibrate(model, [data]), path)
    assert {change.layer for change in done.report.changed} == set(batch_norms(copy))
    arrays = zip(each_weight(copy), each_weight(done.model), strict=True)
    for variable, (a, b) in zip(copy.variables, arrays, strict=True):
        assert variable.name.startswith("moving") or np.array_equal(a, b)
    del done

    # Fold the network with a norm at each activation, and train both.
    assert_folded(copy, held(copy, fold, path, trains=EVERYTHING))


def test_the_list_is_all_of_them():
    assert len(ALL) >= 30 and set(SMALL) <= set(ALL)
