"""Outputs are called the same before and after an edit, also in a file."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.keras_format import read_graph
from normwise.norms import NormPlan, infer_plan
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.models import fit_once, inputs_of, outputs_of, shaken
from tests.zoo import block, conv, image

RETRAIN = EditSettings(keep=False)


def placed(model, plan, settings=None, **more):
    return place(model, NormPlan.parse(plan), settings, **more)


def reloaded(model, tmp_path):
    model.save(tmp_path / "m.keras")
    return keras.saving.load_model(tmp_path / "m.keras")


def assert_names(model, done, tmp_path, same=True):
    loaded = reloaded(done.model, tmp_path)
    assert done.model.output_names == loaded.output_names == model.output_names
    keras.tree.assert_same_structure(loaded.output, model.output)
    if same:
        inputs = inputs_of(model)
        for a, b in zip(outputs_of(model, inputs), outputs_of(loaded, inputs), strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
    return loaded


def two_heads(as_dictionary=False):
    inputs = image(4)
    x = conv(4, activation="relu", name="a")(inputs)
    ends = {
        "mask": conv(1, activation="sigmoid", name="mask")(x),
        "depth": conv(1, name="depth")(x),
    }
    return shaken(keras.Model(inputs, ends if as_dictionary else list(ends.values())))


@pytest.mark.backends
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_norm_before_a_fused_output(as_dictionary, tmp_path):
    model = two_heads(as_dictionary)
    done = placed(model, "batch@head:pre-activation")
    layers_of_it = {"mask_norm", "mask_sigmoid", "mask_linear", "mask"}
    assert {c.layer for c in done.report.changed} == layers_of_it
    assert not [note for note in done.report.notes if "is called" in note]
    assert_names(model, done, tmp_path)
    for name in ("kernel", "bias"):
        old, new = (getattr(m.get_layer(n), name)
                    for m, n in ((model, "mask"), (done.model, "mask_linear")))  # fmt: skip
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(v) for v in (old, new)))
    assert done.model.get_layer("mask_linear").activation is keras.activations.linear
    again = placed(done.model, "batch@head:pre-activation")
    assert not again.report.changed and again.model.output_names == model.output_names


def test_losses_by_the_names_of_outputs_go_on_in_the_loaded_model(tmp_path):
    model = two_heads()
    loaded = reloaded(placed(model, "batch@head:pre-activation").model, tmp_path)
    loaded.compile(loss={"mask": "binary_crossentropy", "depth": "mse"})
    inputs = inputs_of(model)
    mask, depth = outputs_of(model, inputs)
    loaded.fit(inputs, {"mask": mask, "depth": depth}, verbose=0)


def test_outputs_that_stay_where_they_are_are_left_alone(tmp_path):
    model = two_heads()
    done = placed(model, "batch@encoder:pre-activation")
    assert {c.layer for c in done.report.changed} == {"a_norm", "a_relu"}
    assert_names(model, done, tmp_path)


def ending(*parts, channels=4):
    """A feature extractor: it ends in a norm or an activation, and has no head."""
    inputs = x = image(channels)
    for part in parts:
        x = part(x)
    return shaken(keras.Model(inputs, x))


def test_a_norm_behind_the_last_activation(tmp_path):
    norm = layers.BatchNormalization(name="norm")
    model = ending(conv(4, name="a"), norm, layers.ReLU(name="out"))
    done = placed(model, "batch@pre-activation+post-activation")
    assert {"out_raw", "out"} <= {layer.name for layer in done.model.layers}
    assert_names(model, done, tmp_path)
    assert str(infer_plan(read_graph(done.model))) == "batch@pre-activation+post-activation"


def test_a_norm_behind_a_raw_op(tmp_path):
    inputs = image(4)
    x = layers.BatchNormalization(name="norm")(conv(4, name="a")(inputs))
    model = shaken(keras.Model(inputs, ops.relu(x)))
    done = placed(model, "batch@pre-activation+post-activation")
    assert done.report.changed
    assert_names(model, done, tmp_path)


def test_a_norm_that_is_taken_out_leaves_its_name(tmp_path):
    for settings in (EditSettings(), RETRAIN):
        model = ending_with_norm()
        done = placed(model, "none", settings)
        assert (done.report.skipped != ()) == settings.keep  # nothing before it can take it over
        assert_names(model, done, tmp_path, same=settings.keep)
    assert read_graph(done.model).node("answer").class_name == "Identity"


def ending_with_norm():
    """A feature extractor whose last layer is a norm, which nothing before it can take over."""
    keras.backend.clear_session()
    inputs = image(4)
    x = layers.ReLU(name="relu")(conv(4, name="a")(inputs))
    return keras.Model(inputs, layers.BatchNormalization(name="answer")(x))


def test_a_norm_of_another_kind_and_one_that_moves(tmp_path):
    model = ending_with_norm()
    swapped = placed(model, "group(groups=2)@post-activation", RETRAIN)
    assert_names(model, swapped, tmp_path, same=False)
    moved = placed(ending_with_norm(), "batch@pre-activation", RETRAIN)
    assert_names(model, moved, tmp_path, same=False)
    assert moved.model.get_layer("answer_raw").moving_mean is not None
    data = [np.random.default_rng(0).normal(size=(2, 16, 16, 4)).astype("float32")]
    measured = placed(ending_with_norm(), "batch@pre-activation", RETRAIN, data=data)
    mean = keras.ops.convert_to_numpy(measured.model.get_layer("answer_raw").moving_mean)
    assert np.abs(mean).max() > 0


def test_two_outputs_of_one_layer(tmp_path):
    inputs = image(4)
    shared = conv(4, activation="relu", name="shared")
    model = shaken(keras.Model(inputs, [shared(inputs), shared(shared(inputs))]))
    done = placed(model, "batch@pre-activation")
    assert done.report.changed
    assert_names(model, done, tmp_path)


def test_an_output_that_is_an_input_too_and_one_inside_a_nested_model(tmp_path):
    inputs = image(4, name="used")
    model = shaken(keras.Model(inputs, [inputs, conv(2, name="end")(inputs)]))
    done = placed(model, "batch@input")
    # The inputs go by this name, too, so it can't be given away.
    assert [n for n in done.report.notes if n.startswith("output 'used' is called 'used_norm'")]
    assert [i.name for i in done.model.inputs] == ["used"]
    outside = image(4)
    nested = shaken(keras.Model(outside, block(name="inner")(outside)))
    done = placed(nested, "batch@pre-activation+post-activation")
    assert done.report.changed
    assert_names(nested, done, tmp_path)


@pytest.mark.parametrize("settings", [EditSettings(), RETRAIN])
def test_a_layer_that_stands_in_a_nested_model_too_keeps_its_name(settings):
    inner_in, inputs = image(4), image(4)
    shared = conv(4, activation="relu", name="shared")
    inner = keras.Model(inner_in, shared(inner_in), name="inner")
    model = shaken(keras.Model(inputs, shared(inner(inputs))))
    done = placed(model, "batch@head:post-activation", settings)
    assert [change.layer for change in done.report.changed] == ["shared_norm"]
    assert done.model.output_names == model.output_names == ["shared"]
    assert done.model.get_layer("shared") is done.model.get_layer("inner").get_layer("shared")
    assert [n for n in done.report.notes if n.startswith("output 'shared' is called 'shared_norm'")]


def test_half_precision_and_training(tmp_path):
    inputs = image(4)
    x = conv(4, activation="relu", name="out", dtype="mixed_bfloat16")(inputs)
    model = shaken(keras.Model(inputs, x))
    done = placed(model, "batch@head:pre-activation", RETRAIN)
    assert done.model.outputs[0].dtype == "bfloat16"
    assert done.model.output_names == ["out"]
    fit_once(done.model, inputs_of(model))
