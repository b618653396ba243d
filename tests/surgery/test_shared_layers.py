"""Layers that are called several times, or stand in several models, stay one layer."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import SurgeryError
from normwise.keras_format import read_graph
from normwise.keras_format.paths import layers_by_path, shared_paths
from normwise.norms import NormPlan
from normwise.norms.mends import (
    AddActivation,
    AddBias,
    DropActivation,
    RemoveNorm,
    Restart,
    SetArguments,
    SplitNorm,
    configure,
)
from normwise.rules.sketches import Sketch
from normwise.surgery.mend import bench, finish
from normwise.surgery.place import place
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import IN_SEVERAL
from normwise.surgery.work import EditSettings
from tests.surgery.contract import check_pass, norms_of, placed
from tests.surgery.models import inputs_of, outputs_of, shaken
from tests.surgery.reference import population
from tests.zoo import conv, image

RETRAIN = EditSettings(keep=False)


def twice(norm=None, linear=None, activation=None, head="head"):
    """Two steps of convolution, norm and activation, of which any may be one layer in both."""
    inputs = x = image(4)
    for name in "ab":
        x = (linear or conv(4, name=name))(x)
        x = norm(x) if norm is not None else x
        x = (activation or layers.ReLU())(x)
    return shaken(keras.Model(inputs, conv(1, name=head)(x)))


def calls_of(model, name):
    return len(read_graph(model).calls[name])


@pytest.mark.parametrize("plan", ["batch@pre-activation", "batch@post-activation"])
@pytest.mark.parametrize("chosen", [None, "a"])
def test_a_parametric_activation_of_several_calls_stays_one_layer(plan, chosen):
    model = twice(activation=layers.PReLU(alpha_initializer="uniform", name="prelu"))
    done = check_pass(
        model, lambda source: place(source, NormPlan.parse(plan), layers=chosen), trains=False
    )
    assert len(norms_of(done.model)) == (2 if chosen is None else 1) and not done.report.skipped
    assert calls_of(done.model, "prelu") == 2
    assert sum(isinstance(layer, layers.PReLU) for layer in done.model.layers) == 1
    for old, new in zip(*(m.get_layer("prelu").get_weights() for m in (model, done.model)),
                        strict=True):  # fmt: skip
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("called", [False, True])
def test_an_activation_with_weights_that_two_layers_apply_is_parted_from_none(called):
    inputs, bend = image(4), layers.PReLU(alpha_initializer="uniform", name="bend")
    x = conv(4, activation=bend, name="b")(conv(4, activation=bend, name="a")(inputs))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    if called:
        inputs_of(model)  # its weights are made in the first call with numbers
    for keep in (True, False):
        between = placed("batch@pre-activation", keep=keep)(model)
        assert not between.report.changed
        assert [(skip.layer, skip.reason) for skip in between.report.skipped] == [
            (
                f"{name}_norm",
                f"the activation of {name} is a layer that stands elsewhere in the model too, and "
                "would be another one here",
            )
            for name in "ab"
        ]
    behind = check_pass(model, placed("batch@post-activation"), trains=False)
    assert len(norms_of(behind.model)) == 2 and not behind.report.skipped
    for done in (between, behind):
        a, b = (done.model.get_layer(name).activation for name in "ab")
        assert a is b and a is not bend
        np.testing.assert_array_equal(a.get_weights()[0], bend.get_weights()[0])


def in_two_models(shared, norm=None, behind=None):
    """A layer inside of a model and outside of it."""
    inner_in, inputs = image(4), image(4)
    y = (behind or layers.ReLU())(norm(shared(inner_in)) if norm else shared(inner_in))
    inner = keras.Model(inner_in, y, name="inner")
    x = shared(inner(inputs))
    x = layers.ReLU()(layers.BatchNormalization(name="own")(x) if norm else x)
    return shaken(keras.Model(inputs, conv(2, name="head")(x)))


@pytest.mark.parametrize("activation", ["relu", "prelu"])
@pytest.mark.parametrize("chosen", [None, "inner/*"])
def test_an_activation_is_parted_in_all_models_or_in_none(activation, chosen):
    told = layers.PReLU(alpha_initializer="uniform") if activation == "prelu" else activation
    model = in_two_models(conv(4, activation=told, name="shared"), behind=layers.Identity())
    plan = NormPlan.parse("batch@pre-activation")
    done = check_pass(model, lambda source: place(source, plan, layers=chosen), trains=False)
    assert not done.report.changed and done.report.skipped
    assert all("stands in several models" in skip.reason for skip in done.report.skipped)
    # Behind it there is a place in each of the models.
    behind = check_pass(model, placed("batch@post-activation"), trains=False)
    assert len(behind.report.changed) == 2 and not behind.report.skipped


def test_a_norm_of_several_calls_is_swapped_once():
    """Gamma makes up for another epsilon: once, not once for each call."""
    model = twice(norm=layers.BatchNormalization(name="norm"))
    done = check_pass(model, placed("batch(epsilon=0.5)@pre-activation"), trains=False)
    assert [c.layer for c in done.report.changed] == ["norm"]
    assert done.model.get_layer("norm").epsilon == 0.5 and calls_of(done.model, "norm") == 2


def test_a_norm_of_several_calls_is_exchanged_once():
    model = twice(norm=layers.BatchNormalization(name="norm"))
    rewrite = placed("group(groups=2)@pre-activation", keep=False)
    done = check_pass(model, rewrite, trains=False)
    assert [c.layer for c in done.report.changed] == ["a_norm"]
    assert norms_of(done.model) == {"a_norm"} and calls_of(done.model, "a_norm") == 2


def test_all_layers_before_an_exchanged_norm_have_their_biases_again():
    inputs, norm = image(4), layers.BatchNormalization(name="norm")
    x = layers.ReLU()(norm(conv(4, name="a", use_bias=False)(inputs)))
    x = layers.ReLU()(norm(conv(4, name="b", use_bias=False)(x)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    rewrite = placed("group(groups=2)@pre-activation", keep=False)
    done = check_pass(model, rewrite, trains=False)
    assert done.model.get_layer("a").use_bias and done.model.get_layer("b").use_bias
    assert done.report.changed[0].action.endswith("; a has its bias again; b has its bias again")


@pytest.mark.parametrize("keep", [True, False])
def test_a_norm_is_not_swapped_where_only_some_calls_ask_for_it(keep):
    kind = "batch(epsilon=0.5)" if keep else "group(groups=2)"
    model = twice(norm=layers.BatchNormalization(name="norm"))
    plan, told = NormPlan.parse(f"{kind}@pre-activation"), EditSettings(keep)
    done = check_pass(model, lambda source: place(source, plan, told, layers="a"), trains=False)
    assert not done.report.changed
    assert "called 2 times, and only 1" in done.report.skipped[0].reason


def test_two_kinds_for_one_layer_are_refused():
    norm = layers.BatchNormalization(name="norm")
    inputs = image(4)
    x = layers.ReLU()(norm(conv(4, name="a")(inputs)))
    x = layers.ReLU()(norm(conv(4, name="b")(layers.MaxPooling2D()(x))))
    x = layers.ReLU()(conv(4, name="c")(layers.UpSampling2D()(x)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    text = "group(groups=2)@encoder:pre-activation,layer@bottleneck:pre-activation"
    done = check_pass(model, placed(text, keep=False), trains=False)
    assert not done.report.changed and "of 2 kinds" in done.report.skipped[0].reason
    # Of one kind for both it is swapped.
    one = "group(groups=2)@encoder:pre-activation+bottleneck:pre-activation"
    assert check_pass(model, placed(one, keep=False), trains=False).report.changed


def test_a_norm_and_its_layer_of_several_calls_are_folded_once():
    shared, norm = conv(4, name="shared"), layers.BatchNormalization(name="norm")
    done = check_pass(twice(norm, shared), placed("none"), trains=False)
    assert done.report.changed == (
        Change("norm", "BatchNormalization removed, folded into shared"),
    )
    assert not norms_of(done.model) and calls_of(done.model, "shared") == 2


def test_a_norm_that_stays_at_one_call_is_folded_at_none():
    shared, norm = conv(4, name="shared"), layers.BatchNormalization(name="norm")
    inputs = image(4)
    x = layers.ReLU()(norm(shared(inputs)))
    y = layers.ReLU()(norm(shared(layers.MaxPooling2D()(x))))
    x = layers.Concatenate()([layers.UpSampling2D()(y), x])
    model = shaken(keras.Model(inputs, conv(1, name="head")(conv(4, name="d")(x))))
    done = check_pass(model, placed("batch@encoder:pre-activation"), trains=False)
    assert not done.report.changed
    assert "called 2 times and stays at 1" in done.report.skipped[0].reason
    # Where the outputs needn't stay, one call goes and the other one stays.
    done = placed("batch@encoder:pre-activation", keep=False)(model)
    assert done.report.changed == (Change("norm", "BatchNormalization removed from call 2 of 2"),)
    assert calls_of(done.model, "norm") == 1


@pytest.mark.parametrize("keep", [True, False])
def test_a_norm_in_two_models_is_not_swapped(keep):
    norm = layers.BatchNormalization(name="n")
    inner_in, inputs = image(4), image(4)
    inner = keras.Model(inner_in, layers.ReLU()(norm(conv(4, name="c")(inner_in))), name="inner")
    x = layers.ReLU()(norm(conv(4, name="d")(inner(inputs))))
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    kind = "batch(epsilon=0.5)" if keep else "group(groups=2)"
    done = check_pass(model, placed(f"{kind}@pre-activation", keep=keep), trains=False)
    assert not done.report.changed
    assert {skip.reason for skip in done.report.skipped} == {IN_SEVERAL}


def test_a_moved_norm_of_two_models_is_calibrated():
    """It goes by the first of its paths in what is measured."""
    norm = layers.BatchNormalization(name="n")
    inner_in, inputs = image(4), image(4)
    inner = keras.Model(inner_in, layers.ReLU()(norm(conv(4, name="c")(inner_in))), name="inner")
    x = layers.ReLU()(norm(conv(4, name="d")(inner(inputs))))
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    data = [np.random.default_rng(1).normal(size=(4, 16, 16, 4)).astype("float32")]
    done = place(model, NormPlan.parse("batch@post-activation"), RETRAIN, data=data)
    assert [c.layer for c in done.report.changed] == ["inner/n", "n"]
    assert done.model.get_layer("n") is done.model.get_layer("inner").get_layer("n")
    # It reads its own results, and holds the statistics of all that both of its calls read then.
    inner, n, x = done.model.get_layer("inner"), done.model.get_layer("n"), data[0]
    read = [keras.ops.relu(inner.get_layer("c")(x))]
    read.append(keras.ops.relu(done.model.get_layer("d")(n(read[0], training=False))))
    mean, variance = population(np.concatenate([keras.ops.convert_to_numpy(y) for y in read]))
    held = [keras.ops.convert_to_numpy(v) for v in n.weights[2:4]]
    np.testing.assert_allclose(held[0], mean, atol=1e-3 * np.sqrt(variance).max())
    np.testing.assert_allclose(held[1], variance, rtol=1e-2)


def test_a_layer_in_two_models_gets_no_bias_in_one_of_them():
    shared = conv(4, use_bias=False, name="shared")
    model = in_two_models(shared, norm=layers.BatchNormalization(name="inside"))
    done = check_pass(model, placed("group(groups=2)@pre-activation", keep=False), trains=False)
    assert len(done.report.changed) == 2
    assert all(f"gets none: {IN_SEVERAL}" in change.action for change in done.report.changed)
    assert not done.model.get_layer("shared").use_bias


def settings_in_two_models():
    norm = layers.BatchNormalization(name="n")
    inner_in, inputs = image(4), image(4)
    shared = conv(4, use_bias=False, activation="relu", name="shared")
    inner = keras.Model(inner_in, norm(shared(inner_in)), name="inner")
    return shaken(keras.Model(inputs, conv(2, name="head")(norm(shared(inner(inputs))))))


@pytest.mark.parametrize(
    "mend",
    [
        SetArguments("n", (("momentum", 0.5),)),
        Restart("n", "BatchNormalization", (("momentum", 0.5),)),
        SplitNorm("n"),
        configure("n", {"trainable": False}),
        DropActivation("shared"),
        AddBias("shared"),
    ],
    ids=lambda mend: type(mend).__name__,
)
def test_what_changes_a_layer_in_two_models_is_refused_before_anything_is_built(mend):
    model = settings_in_two_models()
    shared = shared_paths(layers_by_path(model))
    assert bench(read_graph(model), [mend], False, shared).done[mend] == IN_SEVERAL
    # Were it not asked for, the copy would be refused as a whole, and all other edits with it.
    blind = bench(read_graph(model), [mend], False)
    assert isinstance(blind.done[mend], Change)
    if not isinstance(mend, SplitNorm):
        with pytest.raises(SurgeryError, match="only one of the two would change"):
            finish(blind, model)


def test_an_activation_behind_one_of_several_calls_is_a_layer_of_its_own():
    inputs = image(4)
    shared = conv(4, name="shared")
    model = shaken(keras.Model(inputs, conv(1, name="head")(shared(shared(inputs)))))
    mend = AddActivation("shared", "elu")
    done = finish(bench(read_graph(model), [mend], False), model)
    assert [c.layer for c in done.report.changed] == ["shared_elu"]
    given = inputs_of(model)
    layer = model.get_layer("shared")
    wanted = model.get_layer("head")(layer(keras.ops.elu(layer(given))))
    np.testing.assert_allclose(
        outputs_of(done.model, given)[0], keras.ops.convert_to_numpy(wanted), rtol=1e-5, atol=1e-6
    )


def test_a_norm_that_is_to_go_from_one_of_its_calls_is_not_folded():
    net = Sketch()
    x = net.relu(net.norm(net.conv(4, net.input(8, 8, 4), name="shared"), name="n"))
    x = net.relu(net.again("n", net.again("shared", x)))
    graph = net.graph(net.conv(1, x))
    one, both = [RemoveNorm("n")], [RemoveNorm("n"), RemoveNorm("n:1")]
    assert "stays at 1" in bench(graph, one, True).done[one[0]]
    done = bench(graph, both, True)
    assert set(done.done.values()) == {
        Change("n", "BatchNormalization removed, folded into shared")
    }
    assert not any(node.class_name == "BatchNormalization" for node in done.edited.nodes)
    assert isinstance(bench(graph, one, False).done[one[0]], Change)
