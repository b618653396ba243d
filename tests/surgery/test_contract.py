"""Each pass on each hand-made model, held to one contract; and that the contract can fail."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import PlanError
from normwise.surgery.rewrite import Change
from tests.surgery import contract
from tests.surgery.contract import EVERYTHING, check_pass, inserted, norms_of, passes_at, placed
from tests.surgery.models import inputs_of, runs_here, shaken
from tests.zoo import NOT_SAVED, ZOO, conv, image

NOT_WRITTEN = NOT_SAVED | {"lambda_layer"}
"""Members that Keras can't write, or not read again without being told that they are safe."""

NO_PLACE = frozenset({"all_norms", "integer_input", "pass_through", "resizing"})
"""Members of which some edit of each plan is left out; they get the passes as they are."""


def chosen(name, passes):
    """All passes with `make test-zoo`; else two of them, others for each member.

    With each, whether copy and source are trained: then one of the two.
    """
    turn = list(ZOO).index(name)
    some = [
        (what, rewrite)
        for place, (what, rewrite) in enumerate(passes.items())
        if EVERYTHING or (place - 2 * turn) % len(passes) < 2
    ]
    return [
        (what, rewrite, EVERYTHING or place == turn % 2)
        for place, (what, rewrite) in enumerate(some)
    ]


@pytest.mark.parametrize("name", [name for name in ZOO if runs_here(name)])
def test_every_pass_on(name, tmp_path):
    path = None if name in NOT_WRITTEN else tmp_path / "model.keras"
    model = shaken(ZOO[name]())
    found = inserted(model)
    assert (found is None) == (name in NO_PLACE)
    position = "input" if found is None else found[1]
    # The passes behind it train its layers, too.
    done = check_pass(model, placed(f"batch@{position}"), path, trains=EVERYTHING)
    start = shaken(done.model)
    for what, rewrite, trains in chosen(name, passes_at(position, inputs_of(start, seed=7))):
        try:
            check_pass(start, rewrite, path, trains=trains)
        except PlanError as error:
            assert what == "move" and "has no place" in str(error)


def small():
    inputs = image(4)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(conv(4, name="a")(inputs)))
    return shaken(keras.Model(inputs, conv(1, name="head")(x)))


def twisted(change):
    """A pass with something wrong in it."""

    def rewrite(model):
        done = placed("batch@pre-activation+post-activation")(model)
        return change(model, done) or done

    return rewrite


def changed_source(model, done):
    model.get_layer("a").bias.assign_add(np.full(4, 1e-3, "float32"))


def changed_weight(model, done):
    done.model.get_layer("head").bias.assign(done.model.get_layer("head").bias + 1e-7)


def changed_output(model, done):
    done.model.get_layer("a_post_norm").beta.assign(np.full(4, 0.01, "float32"))


def other_name(model, done):
    done.model.output_names = ["other"]


def silent(model, done):
    return replace(done, report=replace(done.report, changed=()))


def boasting(model, done):
    more = (*done.report.changed, Change("head", "scaled"))
    return replace(done, report=replace(done.report, changed=more))


def test_the_contract_holds_for_what_is_twisted_below():
    assert norms_of(check_pass(small(), twisted(lambda model, done: None)).model) == {
        "norm",
        "a_post_norm",
    }


@pytest.mark.parametrize(
    "change",
    [changed_source, changed_weight, changed_output, other_name, silent, boasting],
    ids=lambda change: change.__name__,
)
def test_the_contract_sees(change):
    with pytest.raises(AssertionError):
        check_pass(small(), twisted(change))


def test_the_contract_sees_a_pass_that_never_ends():
    plans = iter(["batch@pre-activation+post-activation", "batch@pre-activation"])
    with pytest.raises(AssertionError):
        check_pass(small(), lambda model: placed(next(plans), keep=False)(model))  # noqa: PLW0108 - another plan each time


def test_the_contract_sees_a_shared_buffer(monkeypatch):
    def trains_both(model, inputs, **more):
        model.get_layer("a").bias.assign([5.0, 5.0, 5.0, 5.0])
        copies[0].get_layer("a").bias.assign([5.0, 5.0, 5.0, 5.0])

    copies = []

    def rewrite(model):
        copies.append(model)
        return placed("batch@pre-activation+post-activation")(model)

    monkeypatch.setattr(contract, "fit_once", trains_both)
    with pytest.raises(AssertionError):
        check_pass(small(), rewrite)
