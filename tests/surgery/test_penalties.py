"""Reports name the layers whose penalties a rewrite changes, and no others."""

import math

import keras
import numpy as np
import pytest
from keras import constraints, layers, regularizers

from normwise.norms import NormPlan
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.contract import placed
from tests.surgery.models import inputs_of, shaken
from tests.zoo import conv, image

L2 = regularizers.L2(0.1)
EVERY = {"kernel_regularizer": L2, "bias_regularizer": L2, "activity_regularizer": L2}


def named(done):
    """What a report names: from layers to what is penalized."""
    notes = [note for note in done.report.notes if "model.losses" in note]
    if not notes:
        return {}
    (note,) = notes
    listed = note.partition(", of ")[2].partition(": what is kept")[0]
    parts = [part.rstrip(")").split(" (") for part in listed.split("), ")]
    return {layer: told.split(", ") for layer, told in parts}


def differing(model, copy):
    """The layers whose penalties differ, by what Keras counts once both have been called."""
    given, totals = inputs_of(model), []
    for one in (model, copy):
        one(given, training=False)
        totals.append({layer.name: float(sum(layer.losses)) for layer in one.layers})
    old, new = totals
    names = {**old, **new}
    return {n for n in names if not math.isclose(old.get(n, 0), new.get(n, 0), rel_tol=1e-4)}


def chain(*parts):
    inputs = x = image(4)
    for part in parts:
        x = part(x)
    return shaken(keras.Model(inputs, x))


def norm(**config):
    return layers.BatchNormalization(name="n", **config)


def back():
    between = layers.ActivityRegularization(l2=0.1, name="between")
    told = norm(gamma_regularizer=L2, beta_regularizer=L2, activity_regularizer=L2)
    behind = conv(4, name="b", **EVERY)
    return chain(conv(4, name="a", **EVERY), between, told, layers.ReLU(), behind)


def ahead():
    pool = layers.AveragePooling2D(2, name="pool", activity_regularizer=L2)
    first = conv(4, name="a", activation="relu", **EVERY)
    return chain(first, norm(), pool, conv(4, 1, name="b", **EVERY))


def frozen():
    return chain(conv(4, name="a", kernel_regularizer=L2, trainable=False), norm(trainable=False))


FOLDED = {
    back: {
        "a": ["kernel", "bias", "activity"],
        "between": ["activity"],
        "n": ["gamma", "beta", "activity"],
    },
    ahead: {"pool": ["activity"], "b": ["kernel", "bias"]},
    frozen: {},
}


@pytest.mark.parametrize("network", FOLDED, ids=lambda network: network.__name__)
def test_folding_names_the_penalties_that_it_changes(network):
    model = network()
    done = fold(model)
    assert len(done.report.changed) == 1
    found = named(done)
    assert {layer: sorted(told) for layer, told in found.items()} == {
        layer: sorted(told) for layer, told in FOLDED[network].items()
    }
    assert differing(model, done.model) == found.keys()


def swapped(model):
    return placed("batch(epsilon=0.5)@pre-activation")(model)


def without_bias(model):
    plan = NormPlan.parse("batch@pre-activation")
    return place(model, plan, EditSettings(drop_bias=True))


PLACED = {
    swapped: {"n": ["gamma"]},
    placed("none"): {"a": ["kernel", "bias"], "n": ["gamma"]},
    without_bias: {"a": ["bias"]},
    placed("batch@pre-activation+input"): {},
}


@pytest.mark.parametrize(("rewrite", "wanted"), PLACED.items(), ids=["swap", "fold", "bias", "no"])
def test_placing_names_the_penalties_that_it_changes(rewrite, wanted):
    told = {"kernel_regularizer": L2, "bias_regularizer": L2}
    first = conv(4, name="a", **told)
    model = chain(first, norm(gamma_regularizer=L2), layers.ReLU(), conv(1, name="head"))
    done = rewrite(model)
    assert done.report.changed and named(done) == wanted
    assert differing(model, done.model) == wanted.keys()


def test_a_penalty_that_goes_with_its_weights_is_the_same():
    bend = layers.PReLU(alpha_initializer="ones", alpha_regularizer=L2)
    model = chain(conv(4, name="a", activation=bend), conv(1, name="head"))
    inputs_of(model)  # its weights are made in the first call
    done = placed("batch@pre-activation")(model)
    assert "a_prelu" in {layer.name for layer in done.model.layers}
    assert not named(done)
    assert differing(model, done.model) == {"a", "a_prelu"}  # the one has what the other had


def constrained(report):
    return [note for note in report.notes if "constraint" in note]


@pytest.mark.parametrize("use_bias", [True, False])
def test_folding_names_the_constraints_that_a_training_would_apply(use_bias):
    told = {"depthwise_constraint": constraints.MaxNorm(1), "bias_constraint": "non_neg"}
    first = layers.DepthwiseConv2D(3, name="a", use_bias=use_bias, **told)
    behind = conv(4, name="b", kernel_constraint="unit_norm", trainable=False)
    ahead = layers.BatchNormalization(name="m", center=False)
    model = chain(first, norm(), layers.ReLU(), ahead, behind)
    ahead.moving_mean.assign([0, 0, 0, 0])
    report = fold(model).report
    assert len(report.changed) == 2
    kernel, bias = (
        f"a has a {name}_constraint, which a training step would apply to the folded {what}"
        for name, what in (("depthwise", "kernel"), ("bias", "bias"))
    )
    assert sorted(constrained(report)) == [bias, kernel]
    zeros, ones = np.zeros(4), np.ones(4)
    model.get_layer("n").set_weights([2 * ones, zeros, zeros, ones])  # it shifts nothing
    assert sorted(constrained(fold(model).report)) == [bias, kernel][0 if use_bias else 1 :]
    assert not constrained(fold(back()).report)
