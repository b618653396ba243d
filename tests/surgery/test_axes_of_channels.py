"""What is measured for each channel, in images whose channels come first and last."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.keras_format import read_graph
from normwise.norms import NormPlan, infer_plan
from normwise.surgery import passes
from normwise.surgery.passes import channel_axis
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.models import shaken

FIRST, LAST = "channels_first", "channels_last"
MEANS, DEVIATIONS = np.array([10, -3, 0.5]), np.array([1, 5, 0.2])
PLAN, RETRAIN = NormPlan.parse("standardize@input"), EditSettings(keep=False)


def network(form, normalized):
    """Of layers that all backends compute with in both forms; as many columns as channels."""
    inputs = x = keras.Input((3, 5, 3) if form == FIRST else (5, 3, 3))
    if normalized:
        x = layers.BatchNormalization(axis=1 if form == FIRST else -1, name="old")(x)
    x = layers.SeparableConv2D(4, 2, activation="relu", data_format=form, name="conv")(x)
    x = layers.GlobalAveragePooling2D(data_format=form)(x)
    return shaken(keras.Model(inputs, layers.Dense(1, name="head")(x)))


def images(form):
    values = np.random.default_rng(5).normal(MEANS, DEVIATIONS, (6, 5, 3, 3)).astype("float32")
    return np.moveaxis(values, -1, 1) if form == FIRST else values


def standardized(form, normalized):
    """The model with a fixed normalization of its input, the report, and the new layer."""
    data = images(form)
    done = place(network(form, normalized), PLAN, RETRAIN, data=[data[:4], data[4:]])
    (change,) = done.report.changed
    return done, change, done.model.get_layer(change.layer)


def assert_of_each_channel(norm, form):
    """Mean and variance are those of the channels of `images`."""
    axes = (0, 2, 3) if form == FIRST else (0, 1, 2)
    mean, variance = (np.ravel(keras.ops.convert_to_numpy(v)) for v in (norm.mean, norm.variance))
    values = images(form).astype("float64")
    np.testing.assert_allclose(mean, values.mean(axes), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, values.var(axes), rtol=1e-4)


@pytest.mark.backends
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("form", [FIRST, LAST])
def test_a_fixed_normalization_takes_the_statistics_of_each_channel(form, normalized):
    """One that is put in, and one that takes the place of another."""
    done, change, norm = standardized(form, normalized)
    assert ("swapped" if normalized else "inserted") in change.action
    assert tuple(norm.axis) == ((1,) if form == FIRST else (-1,))
    assert_of_each_channel(norm, form)
    made = keras.ops.convert_to_numpy(norm(images(form)))
    axes = (0, 2, 3) if form == FIRST else (0, 1, 2)
    np.testing.assert_allclose(made.mean(axes), 0, atol=1e-4)
    np.testing.assert_allclose(made.std(axes), 1, rtol=1e-4)
    found = infer_plan(read_graph(done.model))
    assert found == PLAN and not found.residue
    again = place(done.model, PLAN, RETRAIN).report
    assert not again.changed and not again.skipped


def test_statistics_of_each_column_would_be_others(monkeypatch):
    """Negative control: as many columns as channels, so that nothing else would tell."""
    monkeypatch.setattr(passes, "channel_axis", lambda layer: -1)
    *_, norm = standardized(FIRST, normalized=False)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_of_each_channel(norm, FIRST)


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        (lambda: layers.BatchNormalization(axis=1), 1),
        (lambda: layers.Normalization(axis=1), 1),
        (lambda: layers.Normalization(axis=(-3,)), -3),
        (lambda: layers.Normalization(axis=None), -1),
        (lambda: layers.LayerNormalization(axis=1), 1),
        (lambda: layers.LayerNormalization(axis=(1, 2)), -1),
        (lambda: layers.Conv2D(2, 1, data_format=FIRST), 1),
        (lambda: layers.Conv2D(2, 1, data_format=LAST), -1),
        (layers.ReLU, -1),
    ],
)
def test_where_a_layer_has_its_channels(layer, axis):
    made = layer()
    made.build((None, 3, 4, 5))
    assert channel_axis(made) == axis


@pytest.mark.backends
def test_a_norm_of_a_dense_layer_is_over_what_it_makes():
    """Behind a layer whose channels come first, too."""
    inputs = keras.Input((3, 5, 4))
    x = layers.SeparableConv2D(6, 2, activation="relu", data_format=FIRST, name="conv")(inputs)
    x = layers.Dense(7, activation="relu", name="mix")(layers.Permute((2, 3, 1))(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = shaken(keras.Model(inputs, layers.Dense(1, name="head")(x)))
    done = place(model, NormPlan.parse("batch@pre-activation"), EditSettings(drop_bias=True))
    norms = [done.model.get_layer(name) for name in ("conv_norm", "mix_norm")]
    assert [(norm.axis, tuple(norm.gamma.shape)) for norm in norms] == [(1, (6,)), (-1, (7,))]
    assert not done.model.get_layer("mix").use_bias
    plain = place(shaken(done.model), NormPlan.parse("none")).report
    assert not plain.skipped and len(plain.changed) == 2
