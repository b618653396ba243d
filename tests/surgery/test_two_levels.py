"""Layers that stand in several models: edits at one of them would be edits at all."""

import keras
import pytest
from keras import layers

from normwise.errors import SurgeryError
from normwise.keras_format.saving import save_model
from normwise.norms import NormPlan
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.contract import check_pass, placed
from tests.surgery.models import inputs_of, shaken
from tests.zoo import conv, image


def inside(shared, norm, name):
    inputs = image(4)
    return keras.Model(inputs, layers.ReLU()(norm(shared(inputs))), name=name)


def shared_linear():
    """Two models with a convolution in common, and a norm of its own in each."""
    shared, inputs = conv(4, name="shared"), image(4)
    first, second = (inside(shared, layers.BatchNormalization(name="n"), n) for n in ("a", "b"))
    joined = layers.Add()([first(inputs), second(inputs)])
    return shaken(keras.Model(inputs, conv(2, name="head")(joined)))


def shared_norm():
    """A norm inside a model and outside of it."""
    norm, inputs = layers.BatchNormalization(name="n"), image(4)
    x = inside(conv(4, name="c"), norm, "inner")(inputs)
    return shaken(
        keras.Model(inputs, conv(2, name="head")(layers.ReLU()(norm(conv(4, name="d")(x)))))
    )


def shared_activation():
    """An activation with weights that two convolutions apply."""
    inputs, bend = image(4), layers.PReLU(name="bend")
    x = conv(4, activation=bend, name="b")(conv(4, activation=bend, name="a")(inputs))
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    inputs_of(model)  # its weights are made in the first call with numbers
    return model


def test_a_shared_layer_takes_no_norm_over():
    for rewrite, reason in ((placed("none"), "stands elsewhere in the model"), (fold, "shared")):
        done = check_pass(shared_linear(), rewrite, trains=False)
        assert not done.report.changed
        assert [skip.layer for skip in done.report.skipped] == ["a/n", "b/n"]
        assert all(reason in skip.reason for skip in done.report.skipped)


def test_biases_before_a_shared_norm_stay():
    plan = NormPlan.parse("batch@pre-activation")
    done = place(shared_norm(), plan, EditSettings(drop_bias=True))
    assert not done.report.changed and done.model.get_layer("d").use_bias


@pytest.mark.parametrize("build", [shared_linear, shared_norm, shared_activation])
def test_what_keras_could_not_load_again_is_not_written(build, tmp_path):
    model = build()
    with pytest.raises(SurgeryError, match="are one layer in two models"):
        save_model(model, tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "by_keras.keras")
    with pytest.raises(ValueError, match="could not be loaded"):
        keras.saving.load_model(tmp_path / "by_keras.keras")


def test_a_model_that_is_called_twice_is_written(tmp_path):
    inner, inputs = inside(conv(4), layers.BatchNormalization(), "inner"), image(4)
    save_model(keras.Model(inputs, inner(inner(inputs))), tmp_path / "m.keras")
    assert (tmp_path / "m.keras").exists()
