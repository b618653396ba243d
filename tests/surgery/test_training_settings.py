"""Regularizers, constraints and the like stay with what they are about."""

import keras
import numpy as np
import pytest
from keras import constraints, layers, regularizers

from normwise.norms import NormPlan
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.contract import check_pass, norms_of, placed
from tests.surgery.models import inputs_of, shaken
from tests.zoo import conv, image


def losses_of(model, inputs):
    model(inputs, training=False)
    return float(sum(model.losses))


def test_the_regularizer_of_an_activity_goes_with_the_activation(tmp_path):
    inputs = image(4)
    told = {
        "activity_regularizer": regularizers.L2(0.1),
        "kernel_regularizer": regularizers.L1(0.1),
        "kernel_constraint": constraints.MaxNorm(1.0),
    }
    shared = conv(4, activation="relu", name="a", **told)
    model = shaken(keras.Model(inputs, conv(1, name="head")(shared(shared(inputs)))))
    done = check_pass(model, placed("batch@pre-activation"), tmp_path / "m.keras", trains=False)
    assert len(norms_of(done.model)) == 2
    given = inputs_of(model)
    np.testing.assert_allclose(losses_of(done.model, given), losses_of(model, given), rtol=1e-5)
    a, relu = done.model.get_layer("a"), done.model.get_layer("a_relu")
    assert a.activity_regularizer is None and relu.activity_regularizer is not None
    assert a.kernel_regularizer is not None and a.kernel_constraint is not None


def one_norm(**told):
    inputs = image(4)
    x = layers.BatchNormalization(name="norm")(conv(4, name="a", **told)(inputs))
    return shaken(keras.Model(inputs, conv(1, name="head")(layers.ReLU()(x))))


SETTINGS = {
    "center": False,
    "gamma_initializer": "zeros",
    "gamma_regularizer": regularizers.L2(0.1),
    "gamma_constraint": constraints.NonNeg(),
}


def with_settings(**told):
    inputs = image(4)
    x = layers.BatchNormalization(name="norm", **told)(conv(4, name="a")(inputs))
    return shaken(keras.Model(inputs, conv(1, name="head")(layers.ReLU()(x))))


@pytest.mark.parametrize("plan", ["group(groups=2)@pre-activation", "layer@pre-activation"])
def test_another_kind_keeps_what_is_set_of_gamma_and_beta(plan, tmp_path):
    model = with_settings(**SETTINGS)
    done = check_pass(model, placed(plan, keep=False), tmp_path / "m.keras", trains=False)
    old, new = (m.get_layer(n).get_config() for m, n in ((model, "norm"), (done.model, "a_norm")))
    assert {key: new[key] for key in SETTINGS} == {key: old[key] for key in SETTINGS}
    assert not new["center"] and new["scale"] and new["beta_regularizer"] is None
    stated = placed(plan.replace("layer@", "layer(center=true)@"), keep=False)
    assert stated(model).model.get_layer("a_norm").center == plan.startswith("layer")


def test_what_another_kind_cannot_keep_of_gamma_and_beta_is_said():
    rewrite = placed("rms@pre-activation", keep=False)
    (change,) = check_pass(with_settings(**SETTINGS), rewrite, trains=False).report.changed
    assert f"RMSNormalization takes no {', '.join(SETTINGS)}, which it had" in change.action
    (change,) = check_pass(with_settings(), rewrite, trains=False).report.changed
    assert "takes no" not in change.action


def test_a_constrained_kernel_takes_a_norm_over_for_inference_only():
    """Its constraint would be applied to it in the first step of a training."""
    told = {"kernel_constraint": constraints.UnitNorm(axis=(0, 1, 2))}
    done = check_pass(one_norm(**told), placed("none"), trains=False)
    assert not done.report.changed and "kernel_constraint" in done.report.skipped[0].reason
    assert check_pass(one_norm(**told), fold, trains=False).report.changed
    assert check_pass(one_norm(), placed("none"), trains=False).report.changed


@pytest.mark.parametrize("regularizer", [None, regularizers.L2(0.1)])
def test_a_bias_that_a_regularizer_sees_is_not_dead(regularizer):
    model = one_norm(activity_regularizer=regularizer)
    done = place(model, NormPlan.parse("batch@pre-activation"), EditSettings(drop_bias=True))
    assert done.model.get_layer("a").use_bias == (regularizer is not None)


@pytest.mark.parametrize("factor", [None, 0.1])
def test_a_bias_that_a_penalty_between_it_and_its_norm_sees_stays(factor):
    inputs = image(4)
    between = layers.Identity() if factor is None else layers.ActivityRegularization(l2=factor)
    x = layers.BatchNormalization(name="norm")(between(conv(4, name="a")(inputs)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(layers.ReLU()(x))))
    done = place(model, NormPlan.parse("batch@pre-activation"), EditSettings(drop_bias=True))
    assert done.model.get_layer("a").use_bias == (factor is not None)
    given = inputs_of(model)
    np.testing.assert_allclose(losses_of(done.model, given), losses_of(model, given), rtol=1e-5)
    # The penalty of what it makes without the bias is another one.
    for one in (model, done.model):
        one.get_layer("a").activity_regularizer = regularizers.L2(0.1)
    before, after = losses_of(model, given), losses_of(done.model, given)
    assert (abs(after - before) > 0.01 * before) == (factor is None)


def test_a_regularizer_that_moved_away_keeps_no_bias():
    """The activity is that of the activation, and a norm stands between the bias and it now."""
    inputs = image(4)
    x = conv(4, activation="relu", activity_regularizer=regularizers.L2(0.1), name="a")(inputs)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    plan = NormPlan.parse("batch@pre-activation")
    assert not place(model, plan, EditSettings(drop_bias=True)).model.get_layer("a").use_bias


def regularized(where):
    """A penalty on what a convolution makes, on what its norm makes, or behind both."""
    told = {where: {"activity_regularizer": regularizers.L2(0.1)}}
    inputs = image(4)
    x = conv(4, name="a", **told.get("a", {}))(inputs)
    x = layers.BatchNormalization(name="norm", **told.get("norm", {}))(x)
    x = layers.ReLU(name="relu", **told.get("relu", {}))(x)
    return shaken(keras.Model(inputs, conv(1, name="head")(x)))


@pytest.mark.parametrize("where", ["a", "norm"])
def test_a_norm_on_which_a_penalty_depends_stays(where):
    model = regularized(where)
    done = check_pass(model, placed("none"), trains=False)
    assert not done.report.changed
    assert f"the activity of {where} is regularized" in done.report.skipped[0].reason
    # Taken out all the same, what the convolution makes is what the norm made: its penalty then is
    # the one of a regularized norm, and not that of a regularized convolution.
    blind, given = regularized("nothing"), inputs_of(model)
    blind.set_weights(model.get_weights())
    folded = placed("none")(blind).model
    folded.get_layer("a").activity_regularizer = regularizers.L2(0.1)
    before, after = losses_of(model, given), losses_of(folded, given)
    assert (abs(after - before) > 0.01 * before) == (where == "a")


def test_a_penalty_behind_a_norm_reads_the_same_without_it():
    model = regularized("relu")
    done = check_pass(model, placed("none"), trains=False)
    assert [c.layer for c in done.report.changed] == ["norm"]
    given = inputs_of(model)
    np.testing.assert_allclose(losses_of(done.model, given), losses_of(model, given), rtol=1e-4)
