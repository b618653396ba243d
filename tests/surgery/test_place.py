"""Placing keeps what it promises on every model of the zoo, and reaches what the plan says."""

from itertools import cycle

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.errors import DataError, PlanError, PromiseError, SurgeryError
from normwise.graph.channels import channels_of
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.norms import NormPlan, infer_plan
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.contract import EVERYTHING, check_pass, norms_of
from tests.surgery.models import fit_once, inputs_of, outputs_of, runs_here, shaken, weights_of
from tests.zoo import ZOO, conv, image

KEEP, RETRAIN = EditSettings(), EditSettings(keep=False)
PLANS = (
    "batch@pre-activation",
    "batch@post-activation",
    "batch@input",
    "batch@after-merge",
    "batch@before-downsampling/raw-skip",
    "none",
)
CORE = ["nested_twice", "sequential_in_functional", "dict_in_and_out", "depthwise", "free_size"]


def placed(model, plan, settings=KEEP, **more):
    return place(model, NormPlan.parse(plan), settings, **more)


def plan_of(model):
    return str(infer_plan(read_graph(model)))


def assert_contract(model, plan, settings=KEEP, path=None):
    """What holds of every placing that keeps outputs; returns the rewrite."""
    rewrite = lambda source: placed(source, plan, settings)
    return check_pass(model, rewrite, path, trains=False)


EACH = PLANS if EVERYTHING else PLANS[:1]
ZOO_PLANS = [(name, PLANS[(i + k) % 6]) for i, name in enumerate(ZOO) for k in range(len(EACH))]


@pytest.mark.parametrize(("name", "plan"), ZOO_PLANS)
def test_the_contract_on(name, plan, tmp_path):
    if not runs_here(name):
        pytest.skip("this backend has no NCHW convolutions on a CPU")
    saves = name not in ("lambda_layer", "custom_without_config")
    try:
        assert_contract(shaken(ZOO[name]()), plan, path=tmp_path / "m.keras" if saves else None)
    except PlanError as error:
        assert "has no place" in str(error)


@pytest.mark.backends
@pytest.mark.parametrize("name", CORE)
def test_training_goes_on_in_the_copy_and_then_in_the_source(name):
    model = shaken(ZOO[name]())
    inputs, before = inputs_of(model), weights_of(model)
    done = placed(model, "batch@pre-activation" if name != "free_size" else "batch@after-merge")
    assert done.report.max_difference <= 1e-5
    # One of them as Keras does by default; tracing takes longer than the step.
    eagerly = name != CORE[0]
    fit_once(done.model, inputs, eagerly=eagerly)
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    fit_once(model, inputs, eagerly=eagerly)


NETWORKS = {
    "question": lambda plan: build("question", (None, None, 3), norm=plan, filters=2),
    "unet": lambda plan: build("unet", (None, None, 3), norm=plan, filters=2, depth=2),
}
TARGETS = (
    "none",
    "batch@pre-activation",
    "batch@post-activation",
    "batch@post-activation/raw-skip",
    "batch@skip",
    "batch@input+skip+after-merge",
    "group(groups=2)@encoder:pre-activation",
    "batch(epsilon=1e-05)@pre-activation",
    "standardize@input,batch@bottleneck:post-activation,rms@skip",
)


REACHED = {
    **NETWORKS,
    "unet": lambda plan: build("unet", (None, None, 3), norm=plan, filters=2, depth=1),
}


BEGINNINGS = ("none", "batch@post-activation/raw-skip", "batch@pre-activation")


@pytest.mark.parametrize(("plan", "network"), list(zip(TARGETS, cycle(REACHED), strict=False)))
def test_any_plan_is_reached_from_any_other_where_outputs_need_not_stay(network, plan):
    """From all beginnings with `make test-zoo`; else from two of them, others for each plan."""
    wanted, turn = NormPlan.parse(plan), TARGETS.index(plan)
    for number, start in enumerate(BEGINNINGS):
        if number == turn % 3 and not EVERYTHING:
            continue
        done = placed(REACHED[network](start), plan, RETRAIN)
        assert not done.report.skipped
        found = infer_plan(read_graph(done.model))
        assert found == wanted and not found.residue
        assert not placed(done.model, plan, RETRAIN).report.changed


def test_the_fewest_edits_are_made():
    model = NETWORKS["unet"]("batch@encoder:pre-activation")
    done = placed(model, "batch@encoder:pre-activation,batch(momentum=0.9)@skip", RETRAIN)
    assert {c.layer for c in done.report.changed} == {
        "encoder1_conv2_skip_norm",
        "encoder2_conv2_skip_norm",
    }
    done = placed(model, "batch@encoder:post-activation", RETRAIN)
    assert len(done.report.changed) == 4
    assert all(c.action.startswith("moved") for c in done.report.changed)


@pytest.mark.parametrize("between", [layers.Dropout(0.1), layers.Identity()])
def test_a_norm_behind_a_dropout_of_one_branch_moves_in_front_of_all(between):
    inputs = image(4)
    x = conv(4, activation="relu", name="c")(inputs)
    y = layers.BatchNormalization(name="norm")(between(x))
    y = conv(8, activation="relu", name="d")(layers.MaxPooling2D()(y))
    x = layers.Concatenate()([layers.UpSampling2D()(y), x])
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    plan = "batch@before-downsampling"
    done = check_pass(model, lambda source: placed(source, plan, RETRAIN), trains=False)
    assert [c.action for c in done.report.changed] == ["moved, now after c"]
    assert not done.report.skipped and plan_of(done.model) == plan
    graph = flatten(read_graph(done.model))
    assert graph.consumers[graph.index["c"]] == (graph.index["norm"],)


def test_what_would_change_the_outputs_is_skipped_with_its_reason():
    model = shaken(NETWORKS["unet"]("batch@pre-activation"))
    done = assert_contract(model, "batch@post-activation")
    assert not done.report.changed and len(done.report.skipped) == 10
    assert all("across an activation" in s.reason for s in done.report.skipped)
    done = assert_contract(model, "group(groups=2)@pre-activation")
    assert all("group(groups=2) computes something else" in s.reason for s in done.report.skipped)
    done = assert_contract(NETWORKS["unet"]("none"), "layer@pre-activation")
    assert all("can't start without changing" in s.reason for s in done.report.skipped)


def test_another_epsilon_and_kind_within_the_batch_family_keep_outputs():
    model = shaken(NETWORKS["unet"]("batch@pre-activation"))
    done = assert_contract(model, "batch-renorm(epsilon=1e-05)@pre-activation")
    assert not done.report.skipped
    assert plan_of(done.model) == "batch-renorm(epsilon=1e-5)@pre-activation"
    back = assert_contract(done.model, "batch(epsilon=0.01)@pre-activation")
    assert plan_of(back.model) == "batch(epsilon=0.01)@pre-activation"


def test_removing_folds_into_every_kind_of_linear_layer():
    inputs = image(4)
    x = layers.BatchNormalization(name="n1")(conv(6, use_bias=False, groups=2, name="a")(inputs))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="b")(layers.ReLU()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="n2")(x))
    x = layers.BatchNormalization(name="n3")(layers.SeparableConv2D(5, 3, name="c")(x))
    x = layers.Conv2DTranspose(3, 3, strides=2, name="d")(layers.ReLU()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="n4")(x))
    x = layers.BatchNormalization(name="n5")(layers.Dense(4, name="e")(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = shaken(keras.Model(inputs, layers.Dense(2, name="head")(x)))
    done = assert_contract(model, "none")
    assert not done.report.skipped and not norms_of(done.model)
    assert len(done.report.changed) == 5


def test_bias_is_dropped_on_demand_and_restored_when_a_swap_needs_it():
    model = shaken(NETWORKS["unet"]("none"))
    done = assert_contract(model, "batch@pre-activation", EditSettings(drop_bias=True))
    assert not done.model.get_layer("encoder1_conv1").use_bias
    assert done.model.get_layer("head").use_bias
    grouped = placed(done.model, "group(groups=2)@pre-activation", RETRAIN)
    # Two channels in two groups are instances: no bias is missing there.
    assert not grouped.model.get_layer("encoder1_conv1").use_bias
    assert grouped.model.get_layer("encoder2_conv1").use_bias
    assert any("has its bias again" in c.action for c in grouped.report.changed)


def without_biases(norm=layers.BatchNormalization):
    """Two convolutions that leave their offsets to the normalizations after them."""
    x = inputs = image(4)
    for name in "ab":
        x = norm(name=f"{name}_norm")(conv(4, use_bias=False, name=name)(x))
        x = layers.ReLU(name=f"{name}_relu")(x)
    return shaken(keras.Model(inputs, conv(1, name="head")(x)))


@pytest.mark.parametrize("plan", ["none", "batch@post-activation"])
def test_a_layer_whose_norm_is_gone_has_a_bias(plan):
    done = check_pass(without_biases(), lambda m: placed(m, plan, RETRAIN), trains=False)
    said = {change.layer: change.action for change in done.report.changed}
    for name in "ab":
        layer = done.model.get_layer(name)
        assert layer.use_bias and not keras.ops.convert_to_numpy(layer.bias).any()
        assert said[f"{name}_norm"].endswith(f"; {name} has its bias again")


def test_a_layer_gets_no_bias_that_a_norm_cancels_or_that_nothing_asked_for():
    inputs = image(4)
    x = conv(4, use_bias=False, name="a")(inputs)
    y = layers.MaxPooling2D()(layers.BatchNormalization(name="norm")(x))
    y = conv(8, activation="relu", name="b")(y)
    x = layers.Concatenate()([layers.UpSampling2D()(y), x])
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = placed(model, "batch@before-downsampling", RETRAIN)
    assert done.report.changed and not done.model.get_layer("a").use_bias
    raw = placed(done.model, "batch@before-downsampling/raw-skip", RETRAIN)
    assert raw.report.changed and raw.model.get_layer("a").use_bias
    done = placed(without_biases(layers.RMSNormalization), "none", RETRAIN)
    assert not norms_of(done.model) and not done.model.get_layer("a").use_bias


def test_layers_of_a_name_pattern():
    model = shaken(NETWORKS["unet"]("none"))
    done = placed(model, "batch@pre-activation", layers="decoder*")
    changed = [c.layer for c in done.report.changed]
    assert changed and all(name.startswith("decoder") for name in changed)
    with pytest.raises(SurgeryError, match=r"no layer .* matches the pattern 'dekoder\*'"):
        placed(model, "batch@pre-activation", layers="dekoder*")


def test_names_say_what_for_whom_and_do_not_collide():
    inputs = image(3)
    x = conv(4, activation="relu", name="first")(inputs)
    x = layers.Identity(name="first_norm")(x)
    model = keras.Model(inputs, conv(1, name="head")(x))
    done = placed(model, "batch@pre-activation")
    assert [layer.name for layer in done.model.layers][1:4] == [
        "first",
        "first_norm_2",
        "first_relu",
    ]


def doubled_tanh(x):
    return ops.tanh(2 * x)


def every_activation():
    inputs = image(4)
    x = ops.relu(conv(4, name="raw")(inputs))
    x = keras.activations.gelu(conv(4, name="function")(x))
    x = layers.PReLU(name="prelu")(conv(4, name="parametric")(x))
    x = conv(4, activation=layers.LeakyReLU(0.3), name="layer_inside")(x)
    x = conv(4, activation=layers.PReLU(alpha_initializer="ones"), name="weights_inside")(x)
    x = conv(4, activation=doubled_tanh, name="own")(x)
    x = layers.Activation("swish")(layers.Dense(4, name="dense")(x))
    x = layers.Conv2DTranspose(4, 3, activation="elu", padding="same", name="up")(x)
    return keras.Model(inputs, conv(1, name="head")(x))


def test_every_way_of_writing_an_activation():
    done = assert_contract(
        shaken(every_activation()), "batch@pre-activation", EditSettings(drop_bias=True)
    )
    assert not done.report.skipped and len(norms_of(done.model)) == 8
    assert plan_of(done.model) == "batch@pre-activation"


@pytest.mark.parametrize("rank", [1, 3])
def test_other_numbers_of_dimensions(rank):
    kind = {1: layers.Conv1D, 3: layers.Conv3D}[rank]
    inputs = keras.Input((8,) * rank + (2,))
    x = kind(4, 3, activation="relu", padding="same")(inputs)
    x = kind(4, 3, strides=2, activation="relu", padding="same")(x)
    model = keras.Model(inputs, kind(1, 1)(x))
    assert len(norms_of(assert_contract(shaken(model), "batch@pre-activation").model)) == 2


def test_a_lambda_stays_where_it_is():
    inputs = image(4)
    x = conv(4, activation=lambda t: ops.tanh(2 * t), name="own")(inputs)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    assert not assert_contract(model, "batch@post-activation").report.skipped
    done = assert_contract(model, "batch@pre-activation")
    assert "is a lambda" in done.report.skipped[0].reason


def test_a_parted_activation_is_named_in_the_report():
    inner_in, inputs = image(4), image(4)
    shared = conv(4, activation="relu", name="c")
    inner = keras.Model(inner_in, shared(shared(inner_in)), name="inner")
    model = shaken(keras.Model(inputs, conv(1, name="head")(inner(inputs))))
    done = assert_contract(model, "batch@pre-activation")
    assert [(change.layer, change.action) for change in done.report.changed] == [
        ("inner/c_relu", "activation of inner/c parted from it"),
        ("inner/c_norm", "BatchNormalization inserted between inner/c and its activation relu"),
        ("inner/c_norm_2", "BatchNormalization inserted between inner/c:1 and its activation relu"),
    ]


def scaled(factor):
    def bend(x):
        return ops.tanh(factor * x)

    return bend


@pytest.mark.backends
@pytest.mark.parametrize("position", ["pre", "post"])
def test_functions_of_one_name_stay_what_they_are(position):
    inputs = image(4)
    functions = {"a": ops.gelu, "b": scaled(1), "c": scaled(3)}
    x = inputs
    for name, function in functions.items():
        x = conv(4, activation=function, name=name)(x)
    x = conv(4, activation=layers.Activation(scaled(5)), name="d")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = assert_contract(model, f"batch@{position}-activation")
    assert not done.report.skipped and len(norms_of(done.model)) == 4
    for name, function in functions.items():
        of = f"{name}_{function.__name__}" if position == "pre" else name
        assert done.model.get_layer(of).activation is function


class ReLU(layers.Layer):
    """A user's own, which does something else than that of Keras."""

    def call(self, x):
        return ops.tanh(x)


@pytest.mark.parametrize("own", [ReLU, lambda: layers.Dense(4), lambda: layers.Activation(ReLU())])
def test_an_activation_of_another_class_stays_where_it_is(own):
    inputs = image(4)
    x = conv(4, activation=own(), name="own")(inputs)
    x = conv(4, activation="relu", name="usual")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = assert_contract(model, "batch@pre-activation")
    assert norms_of(done.model) == {"usual_norm"}
    (skip,) = done.report.skipped
    assert skip.layer == "own_norm" and "only Keras' own activations are parted" in skip.reason
    assert not assert_contract(model, "batch@post-activation").report.skipped


def test_an_activation_layer_around_an_activation_is_looked_into():
    inputs = image(4)
    x = conv(4, activation=layers.Activation("elu"), name="name")(inputs)
    x = conv(4, activation=layers.Activation(doubled_tanh), name="function")(x)
    bend = layers.PReLU(alpha_initializer="ones")
    x = conv(4, activation=layers.Activation(bend), name="weights")(x)
    x = conv(4, activation=layers.Activation(lambda t: ops.tanh(2 * t)), name="own")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = assert_contract(model, "batch@pre-activation")
    assert norms_of(done.model) == {"name_norm", "function_norm", "weights_norm"}
    (skip,) = done.report.skipped
    assert skip.layer == "own_norm" and "is a lambda" in skip.reason
    assert done.model.get_layer("weights_prelu").get_weights()[0].mean() == 1


@pytest.mark.parametrize(("scale", "center"), [(False, True), (True, False)])
def test_removing_a_normalization_without_gamma_or_beta(scale, center):
    inputs = image(4)
    norm = layers.BatchNormalization(scale=scale, center=center, name="n")
    x = layers.ReLU()(norm(conv(4, name="a")(inputs)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    assert not norms_of(assert_contract(model, "none").model)


@pytest.mark.parametrize("initializer", ["zeros", "ones"])
def test_taking_out_a_norm_that_never_trained_adds_nothing(initializer):
    """It shifts nothing, but does with the statistics by which the removal is proved."""
    inputs = image(4)
    linear = conv(4, use_bias=False, bias_initializer=initializer, name="a")
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(linear(inputs)))
    done = assert_contract(keras.Model(inputs, conv(1, name="head")(x)), "none")
    assert [change.layer for change in done.report.changed] == ["norm"]
    assert not keras.ops.convert_to_numpy(done.model.get_layer("a").bias).any()


def test_a_layer_called_twice_gets_a_normalization_at_each_call():
    left, right = image(name="left"), image(name="right")
    shared = conv(4, activation="relu", name="shared")
    x = layers.Concatenate()([shared(left), shared(right)])
    model = shaken(keras.Model([left, right], conv(1, name="head")(x)))
    done = assert_contract(model, "batch@pre-activation", EditSettings(drop_bias=True))
    assert norms_of(done.model) == {"shared_norm", "shared_norm_2"}
    assert done.model.get_layer("shared").kernel.shape == (3, 3, 3, 4)
    assert not done.model.get_layer("shared").use_bias


def test_a_nested_model_called_in_two_regions_is_one_set_of_layers():
    model = shaken(ZOO["nested_twice"]())
    done = placed(model, "none")
    assert {c.layer for c in done.report.changed} == {"block/norm"}
    done = placed(model, "batch@encoder:pre-activation")
    assert done.report.skipped and "is called 2 times" in done.report.skipped[0].reason


def test_skips_leave_a_nested_encoder_by_its_outputs():
    inner_in = keras.Input((None, None, 3))
    a = conv(4, activation="relu", name="a")(inner_in)
    b = conv(4, activation="relu", name="b")(layers.MaxPooling2D()(a))
    encoder = keras.Model(inner_in, [b, a], name="encoder")
    inputs = image()
    deep, skip = encoder(inputs)
    x = layers.Concatenate(name="join")([layers.UpSampling2D()(deep), skip])
    model = shaken(keras.Model(inputs, conv(1, name="head")(conv(4, activation="relu")(x))))
    for plan in ("batch@skip", "batch@post-activation/raw-skip", "batch@pre-activation"):
        done = assert_contract(model, plan)
        assert not done.report.skipped and plan_of(done.model) == plan
    done = placed(model, "batch@skip")
    # Where the encoder hands out the tensor for the skip, and nowhere else.
    assert norms_of(done.model) == {"encoder/a_skip_norm"}


def test_masks_and_keyword_tensors_pass_through_new_normalizations():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(inputs)
    x = layers.Dense(4, activation="relu", name="d")(x)
    x = layers.MultiHeadAttention(2, 2, name="attend")(query=x, value=x, key=x)
    x = layers.LSTM(3)(x)
    model = shaken(keras.Model(inputs, layers.Dense(1)(x)))
    done = assert_contract(model, "batch@pre-activation")
    assert norms_of(done.model) == {"d_norm"}
    given = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8]], "int32")
    np.testing.assert_allclose(
        outputs_of(done.model, given)[0], outputs_of(model, given)[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("form", ["functional", "sequential"])
def test_no_kind_that_loses_a_mask_is_put_where_one_is(form, swapped):
    def network(mask):
        parts = [layers.Embedding(9, 4, mask_zero=mask), layers.Dense(4, name="d")]
        parts += [layers.LayerNormalization(name="norm")] if swapped else []
        parts += [layers.ReLU(), layers.LSTM(3), layers.Dense(1, name="head")]
        inputs = keras.Input((6,), dtype="int32")
        model = keras.Sequential([inputs, *parts])
        return model if form == "sequential" else keras.Model(inputs, model.outputs[0])

    done = placed(network(True), "rms@pre-activation", RETRAIN)
    (skip,) = done.report.skipped
    assert not done.report.changed and "carries a mask" in skip.reason
    assert placed(network(True), "layer(epsilon=0.1)@pre-activation", RETRAIN).report.changed
    done = placed(network(False), "rms@pre-activation", RETRAIN)
    assert done.report.changed and not done.report.skipped


def test_new_layers_take_the_policy_and_the_flag_of_their_neighbour():
    inputs = image(4)
    x = conv(4, activation="relu", dtype="mixed_bfloat16", name="half", trainable=False)(inputs)
    model = keras.Model(inputs, layers.Conv2D(1, 1, dtype="float32", name="head")(x))
    done = placed(model, "batch@pre-activation")
    norm = done.model.get_layer("half_norm")
    assert norm.compute_dtype == "bfloat16" and norm.variable_dtype == "float32"
    assert norm.trainable is False and done.model.get_layer("half_relu").compute_dtype == "bfloat16"


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("frozen", ["inner", "outer"])
def test_new_layers_of_what_has_no_flag_take_that_of_their_model(frozen, trained):
    inner_in = image(4, name="start")
    inner = keras.Model(inner_in, layers.ReLU()(inner_in + conv(4)(inner_in)), name="inner")
    inputs = image(4, name="image")
    model = keras.Model(inputs, conv(1, name="head")(inner(inputs)))
    (inner if frozen == "inner" else model).trainable = trained
    done = placed(model, "batch@input+after-merge")
    flags = {layer.name: layer.trainable for layer in done.model._flatten_layers()}
    (sum_norm,) = norms_of(done.model) - {"image_norm"}
    assert flags["image_norm"] == (trained or frozen == "inner")
    assert flags[sum_norm.removeprefix("inner/")] == trained


def test_whole_numbers_are_not_normalized():
    model = ZOO["integer_input"]()
    done = placed(model, "batch@input")
    assert "holds int32 values" in done.report.skipped[0].reason


class Both(layers.Layer):
    """A layer of a user's own, of which nothing is known but what Keras found out."""

    def call(self, x, y=None):
        return x if y is None else x + y


@pytest.mark.parametrize("settings", [KEEP, RETRAIN])
def test_a_norm_that_makes_floats_of_whole_numbers_is_not_taken_out(settings):
    inputs = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.BatchNormalization(name="norm")(inputs)
    model = shaken(keras.Model(inputs, conv(1)(layers.ReLU()(conv(4, name="a")(x)))))
    done = placed(model, "none", settings)
    assert not done.report.changed
    assert "floating-point numbers of uint8 values" in done.report.skipped[0].reason


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("none", "it is called in training mode, so it normalizes by each batch"),
        ("batch(epsilon=0.5)@pre-activation", "it is called in training mode"),
        ("batch@pre-activation+post-activation", "the model around it is called in training mode"),
    ],
)
def test_models_that_are_called_in_training_mode_keep_their_norms_and_get_none(plan, reason):
    inner_in, inputs = image(4), image(4)
    x = layers.BatchNormalization(name="norm")(conv(4, name="a")(inner_in))
    inner = keras.Model(inner_in, layers.ReLU(name="relu")(x), name="inner")
    for training in (True, None):
        x = inner(inputs, training=True) if training else inner(inputs)
        done = placed(shaken(keras.Model(inputs, conv(1, name="head")(x))), plan)
        assert bool(done.report.changed) != bool(training)
        assert [reason in skip.reason for skip in done.report.skipped] == [True] * bool(training)


def test_norms_that_are_the_same_in_training_are_swapped_in_models_called_in_training_mode():
    inner_in, inputs = image(4), image(4)
    norm = layers.GroupNormalization(4, center=False, name="norm")
    x = norm(conv(4, name="a")(inner_in))
    inner = keras.Model(inner_in, layers.ReLU(name="relu")(x), name="inner")
    x = inner(inputs, training=True)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = placed(model, "instance(center=true)@pre-activation")
    (change,) = done.report.changed
    assert change.action.endswith("swapped for instance(center=true)")


def test_an_input_that_may_be_left_out_gets_no_norm_and_shapes_inside_nested_models_are_known():
    ins = lambda: [image(4, name="first"), keras.Input((16, 16, 4), name="second", optional=True)]
    inner_in = ins()
    x = conv(4, activation="relu", name="c")(Both(name="both")(*inner_in))
    inner = keras.Model(inner_in, layers.ReLU(name="r")(Both(name="again")(x)), name="inner")
    inputs = ins()
    model = shaken(keras.Model(inputs, conv(1, name="head")(inner(inputs))))
    done = assert_contract(model, "batch@input+pre-activation")
    assert norms_of(done.model) == {"first_norm", "inner/c_norm"}
    assert [s.layer for s in done.report.skipped] == ["second_norm"]
    assert "second may be left out" in done.report.skipped[0].reason
    assert channels_of(flatten(read_graph(model)), -2) == 4  # what `again` makes


@pytest.mark.parametrize(
    ("norm", "kind"),
    [
        (layers.LayerNormalization, "layer"),
        (lambda **told: layers.GroupNormalization(2, **told), "group"),
        (lambda **told: layers.GroupNormalization(-1, **told), "instance"),
    ],
)
def test_a_norm_loses_its_gamma_or_beta_and_gets_it_again(norm, kind):
    inputs = image(4)
    x = layers.ReLU()(norm(name="norm")(conv(4, name="a")(inputs)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    for argument, left in (("center", "gamma"), ("scale", "beta")):
        plan = f"{kind}({argument}=false)@pre-activation"
        done = check_pass(model, lambda m, p=plan: placed(m, p, RETRAIN), trains=False)
        (kept,) = done.model.get_layer("norm").weights
        assert kept.name == left
        (theirs,) = [v for v in model.get_layer("norm").weights if v.name == left]
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (kept, theirs)))
        back = placed(done.model, f"{kind}({argument}=true)@pre-activation", RETRAIN)
        new = back.model.get_layer("norm")
        assert len(new.weights) == 2 and getattr(new, "groups", 2) in (2, 4)  # as they were


def test_the_report_of_another_kind_names_the_norm_that_is_gone():
    inputs = image(4)
    x = layers.ReLU()(layers.BatchNormalization(name="old")(conv(4, name="a")(inputs)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = check_pass(model, lambda m: placed(m, "layer@pre-activation", RETRAIN), trains=False)
    assert [c.action for c in done.report.changed] == [
        "batch swapped for layer, in the place of old"
    ]


def test_residue_is_left_alone_and_named():
    inputs = image(4)
    x = layers.BatchNormalization(name="odd")(conv(4, name="linear")(inputs))
    x = conv(4, activation="relu", name="b")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = assert_contract(model, "batch@pre-activation")
    assert "odd" in norms_of(done.model) and any("odd is outside" in n for n in done.report.notes)


def test_the_head_is_left_alone_unless_named():
    inputs = image(4)
    x = conv(4, activation="relu", name="a")(inputs)
    model = shaken(keras.Model(inputs, conv(2, activation="sigmoid", name="head")(x)))
    assert norms_of(placed(model, "batch@pre-activation").model) == {"a_norm"}
    assert norms_of(placed(model, "batch@head:pre-activation").model) == {"head_norm"}


@pytest.mark.parametrize("settings", [KEEP, RETRAIN])
@pytest.mark.parametrize("plan", ["batch@pre-activation", "none"])
def test_the_normalizations_of_a_head_stay_unless_it_is_named(plan, settings):
    inputs = image(4)
    x = layers.ReLU()(layers.BatchNormalization(name="a_bn")(conv(4, name="a")(inputs)))
    x = layers.BatchNormalization(name="head_bn")(conv(2, name="head")(x))
    model = shaken(keras.Model(inputs, layers.Activation("sigmoid", name="mask")(x)))
    done = placed(model, plan, settings)
    assert norms_of(done.model) - {"a_bn"} == {"head_bn"} and not done.report.skipped
    assert [n for n in done.report.notes if n.startswith("head_bn is in the head")]
    moved = placed(model, "batch@head:post-activation", RETRAIN)
    assert norms_of(moved.model) == {"head_bn"}
    assert not [n for n in moved.report.notes if "in the head" in n]


@pytest.mark.parametrize("settings", [KEEP, RETRAIN])
@pytest.mark.parametrize("plan", ["batch@pre-activation", "none"])
def test_the_fixed_scaling_of_an_input_stays_unless_the_input_is_named(plan, settings):
    inputs = image(3)
    x = layers.Normalization(mean=[128.0] * 3, variance=[1600.0] * 3, name="scale")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="a_norm")(conv(4, name="a")(x)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = assert_contract(model, plan, settings)
    assert norms_of(done.model) == ({"scale"} if plan == "none" else {"scale", "a_norm"})
    assert not done.report.skipped
    assert done.report.notes[0].startswith("scale scales the input, which the plan doesn't name")
    assert plan_of(done.model).startswith("standardize@input")
    # Named, it is what the plan says, and no note tells of it.
    for named in ("standardize@input", "batch@input"):
        done = assert_contract(model, named, RETRAIN)
        assert plan_of(done.model) == named
        assert not [note for note in done.report.notes if "scales the input" in note]


def test_a_kind_that_the_backend_lacks(monkeypatch):
    model = ZOO["prelu"]()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(PlanError, match="needs the TensorFlow backend, got jax"):
        placed(model, "batch@input,sync-batch@pre-activation")


def test_a_plan_that_cannot_hold():
    with pytest.raises(PlanError, match="it has no place 'skip'"):
        placed(ZOO["prelu"](), "batch@skip")
    with pytest.raises(PlanError, match=r"4 channels, which 3 groups don't divide.*1, 2, 4"):
        placed(ZOO["prelu"](), "group(groups=3)@pre-activation", RETRAIN)
    with pytest.raises(PlanError, match="mean the same place after enc"):
        unet = NETWORKS["unet"]("none")
        unet = keras.Model(unet.input, unet.output)
        placed(unet, "batch@post-activation,group(groups=2)@before-downsampling", RETRAIN)


def test_a_broken_promise_is_an_error_that_names_the_layer(monkeypatch):
    from normwise.surgery import insert

    wrong = lambda channels, epsilon: {
        "gamma": np.full(channels, 1.01, "float32"),
        "beta": np.zeros(channels, "float32"),
        "moving_mean": np.zeros(channels, "float32"),
        "moving_variance": np.full(channels, 1 - epsilon, "float32"),
    }
    monkeypatch.setattr(insert, "identity", wrong)
    with pytest.raises(PromiseError, match=r"first at layer 'conv1_relu'|first at layer"):
        placed(NETWORKS["question"]("none"), "batch@pre-activation")


def batches(count=3, size=16, channels=3, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.normal(2, 3, (4, size, size, channels)).astype("float32") for _ in range(count)]


def test_calibrated_normalizations_start_unchanged_in_training_too():
    model = shaken(ZOO["free_size"]())
    data = [np.concatenate(batches())]
    done = placed(model, "batch@after-merge+input", EditSettings(drop_bias=True), data=data)
    found = keras.ops.convert_to_numpy(done.model(data[0], training=True))
    plain = keras.ops.convert_to_numpy(model(data[0], training=False))
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-4 * np.abs(plain).max())
    bare = placed(model, "batch@after-merge+input").model
    moved = keras.ops.convert_to_numpy(bare(data[0], training=True))
    assert np.abs(moved - plain).max() > 0.1 * np.abs(plain).max()  # what calibration is for


def unscaled(count=2):
    rng = np.random.default_rng(7)
    return [rng.normal(5000, 1000, (4, 16, 16, 3)).astype("float32") for _ in range(count)]


def of_raw_values():
    inputs = image(3)
    x = conv(8, activation="relu", name="b")(conv(8, activation="relu", name="a")(inputs))
    return shaken(keras.Model(inputs, conv(2, name="head")(x)))


@pytest.mark.parametrize("once", [False, True])
def test_statistics_of_unscaled_data_keep_the_outputs(once):
    data = iter(unscaled()) if once else unscaled()
    done = placed(of_raw_values(), "batch@pre-activation", data=data)
    assert done.report.changed and 0 < done.report.max_difference <= 1e-5
    assert np.abs(keras.ops.convert_to_numpy(done.model.get_layer("a_norm").moving_mean)).max() > 50


def test_wrong_starts_from_data_are_seen(monkeypatch):
    from normwise.surgery import calibrate

    own = calibrate.calibrated
    wrong = lambda *given: {**own(*given), "gamma": own(*given)["gamma"] * np.float32(1.001)}
    monkeypatch.setattr(calibrate, "calibrated", wrong)
    with pytest.raises(PromiseError, match="the outputs on their first batch differ"):
        placed(of_raw_values(), "batch@pre-activation", data=unscaled())


def test_calibration_counts_a_dropped_bias():
    inputs = image(3)
    model = shaken(
        keras.Model(inputs, conv(1, name="h")(conv(4, activation="relu", name="a")(inputs)))
    )
    model.get_layer("a").bias.assign([3.0, -2.0, 1.0, 0.5])
    data = [np.concatenate(batches())]
    done = placed(model, "batch@pre-activation", EditSettings(drop_bias=True), data=data)
    assert not done.model.get_layer("a").use_bias
    found = keras.ops.convert_to_numpy(done.model(data[0], training=True))
    plain = keras.ops.convert_to_numpy(model(data[0], training=False))
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-4 * np.abs(plain).max())


def test_retraining_with_data_starts_from_the_statistics_of_what_each_layer_reads():
    model = shaken(NETWORKS["unet"]("none"))
    done = placed(model, "standardize@input,batch@pre-activation", RETRAIN, data=batches())
    stacked = np.concatenate(batches())
    norm = done.model.get_layer("input_norm")
    np.testing.assert_allclose(np.ravel(norm.mean), stacked.mean((0, 1, 2)), rtol=1e-4)
    probe = keras.Model(done.model.input, done.model.get_layer("decoder1_conv2_norm").output)
    out = np.asarray(keras.ops.convert_to_numpy(probe(stacked, training=False)))
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=0.05)


def test_data_that_can_be_read_only_once_need_no_mode_that_place_lacks():
    with pytest.raises(DataError, match=r"can be iterated again\.$"):
        placed(of_raw_values(), "batch@pre-activation", RETRAIN, data=iter(unscaled()))


def test_a_fixed_normalization_in_the_place_of_another_takes_the_statistics_of_data_too():
    model = shaken(REACHED["unet"]("batch@input"))
    plan, stacked = "standardize@input", np.concatenate(batches())
    done = placed(model, plan, RETRAIN, data=batches())
    (change,) = done.report.changed
    assert "batch swapped for standardize" in change.action and plan_of(done.model) == plan
    norm = done.model.get_layer(change.layer)
    np.testing.assert_allclose(np.ravel(norm.mean), stacked.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(np.ravel(norm.variance), stacked.var((0, 1, 2)), rtol=1e-4)
    assert not [note for note in done.report.notes if "scales nothing" in note]
    bare = placed(model, plan, RETRAIN)  # what there is without data, and the report says so
    left = bare.model.get_layer(change.layer)
    assert not np.ravel(left.mean).any() and (np.ravel(left.variance) == 1).all()
    assert np.abs(stacked.mean((0, 1, 2))).min() > 1
    assert [n for n in bare.report.notes if n.startswith(f"{change.layer} has mean 0")]


def test_a_batch_norm_in_the_place_of_a_fixed_one_takes_the_statistics_of_data():
    model = shaken(REACHED["unet"]("standardize@input"))
    done = placed(model, "batch@input", RETRAIN, data=batches())
    (change,) = done.report.changed
    mean = done.model.get_layer(change.layer).moving_mean
    found = np.ravel(keras.ops.convert_to_numpy(mean))
    np.testing.assert_allclose(found, np.concatenate(batches()).mean((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("changed", ["quantized", "adapted by LoRA"])
def test_a_kernel_that_is_not_all_of_a_layer_takes_no_norm_over(changed):
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    x = layers.BatchNormalization(name="norm")(dense(inputs))
    model = shaken(keras.Model(inputs, layers.Dense(2, name="head")(layers.ReLU()(x))))
    dense.quantize("int8") if changed == "quantized" else dense.enable_lora(2)
    try:
        done = placed(model, "none")
    except SurgeryError as error:  # Keras makes no copy of it from its configuration
        assert "dense" in str(error) and "LoRA" in str(error)
        return
    assert not done.report.changed
    assert "quantized or adapted by LoRA" in done.report.skipped[0].reason


def recurrent():
    """A recurrent layer that carries its state from batch to batch, and a random one."""
    inputs = keras.Input(batch_shape=(2, 5, 3))
    series = layers.LSTM(2, stateful=True, return_sequences=True, name="series")
    both = layers.Bidirectional(series, name="both")
    x = layers.GRU(4, stateful=True, return_sequences=True, name="gru")(both(inputs))
    x = layers.Dense(4, name="dense")(layers.Dropout(0.5)(x))
    return shaken(keras.Model(inputs, layers.Dense(1, name="head")(layers.ReLU()(x))))


def states_of(model):
    gru = np.asarray(keras.ops.convert_to_numpy(model.get_layer("gru").states[0]))
    arrays = zip(model.variables, weights_of(model), strict=True)
    return [gru, *(array for variable, array in arrays if "seed" in variable.path)]


@pytest.mark.backends
@pytest.mark.parametrize("keep", [True, False])
def test_states_of_recurrent_layers_stay(keep):
    model, data = recurrent(), np.random.default_rng(3).normal(size=(2, 5, 3)).astype("float32")
    model(data)
    before = states_of(model)
    assert before[0].any() and len(before) > 1
    plans = {True: "batch@pre-activation", False: "batch@post-activation"}
    done = placed(model, plans[keep], EditSettings(keep=keep), data=[data])
    assert done.report.changed
    for wanted, source, copy in zip(before, states_of(model), states_of(done.model), strict=True):
        np.testing.assert_array_equal(source, wanted)
        np.testing.assert_array_equal(copy, wanted)


def test_what_stands_where_the_plan_wants_it_is_not_named_as_outside_of_it():
    inputs = image(4)
    x = conv(4, activation="relu", name="a")(inputs)
    x = conv(4, activation=lambda values: 2.0 * ops.relu(values), name="b")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = placed(model, "batch@pre-activation")
    assert norms_of(done.model) == {"a_norm"} and done.report.skipped
    assert not [note for note in done.report.notes if "a_norm" in note]
