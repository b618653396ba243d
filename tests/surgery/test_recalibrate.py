"""Recalibration of whole models: what changes, what doesn't, and what is said about it."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import NormwiseError
from normwise.surgery.population import MeasureSettings
from normwise.surgery.recalibrate import offset_of, recalibrate
from normwise.surgery.rewrite import Promise
from normwise.surgery.statistics import Population, batch_norms
from tests.surgery.models import outputs_of, random_encoder, weights_of
from tests.surgery.randomize import randomize

RNG = np.random.default_rng(21)
STATE = ("moving_mean", "moving_variance")


def network():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="first")(x))
    x = layers.Conv2D(5, 3, name="deep")(x)
    return randomize(keras.Model(inputs, layers.BatchNormalization(name="second")(x)))


def images(shift=0.0, gain=1.0):
    return (RNG.normal(size=(10, 8, 8, 3)) * gain + shift).astype(np.float32)


@pytest.mark.backends
@pytest.mark.parametrize("fast", [False, True])
def test_only_moving_statistics_change_and_only_in_the_copy(fast, tmp_path):
    model, data = network(), images()
    before = weights_of(model)
    done = recalibrate(model, [data[:4], data[4:]], MeasureSettings(fast=fast))
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for variable, copied in zip(model.variables, done.model.variables, strict=True):
        same = np.array_equal(*(keras.ops.convert_to_numpy(v) for v in (variable, copied)))
        assert same == (variable.path.rsplit("/", 1)[-1] not in STATE), variable.path
    assert done.report.promise is Promise.NOT_KEPT
    assert [change.layer for change in done.report.changed] == ["first", "second"]
    passes = "1 pass" if fast else "2 passes"
    assert done.report.notes == (f"{passes} over 10 samples",)
    done.model.save(tmp_path / "copy.keras")
    loaded = keras.saving.load_model(tmp_path / "copy.keras")
    for a, b in zip(outputs_of(done.model, data), outputs_of(loaded, data), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_run_changes_nothing_more():
    model, data = network(), images()
    once = recalibrate(model, [data]).model
    twice = recalibrate(once, [data])
    for a, b in zip(weights_of(once), weights_of(twice.model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for norm in batch_norms(once).values():
        statistics = [keras.ops.convert_to_numpy(v) for v in norm.weights[2:4]]
        assert offset_of(norm, Population(*statistics, 1)).mean == 0
    assert all("off by up to" in change.action for change in twice.report.changed)


def test_images_of_another_sensor_end_in_the_same_outputs():
    """Another gain and offset of the sensor disappear behind the first norm."""
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="first", epsilon=1e-9)(layers.Conv2D(4, 1)(inputs))
    model = randomize(keras.Model(inputs, layers.Conv2D(2, 1)(layers.ReLU()(x))))
    old = images()
    new = (3 * old + 100).astype(np.float32)
    home = recalibrate(model, [old]).model
    away = recalibrate(home, [new]).model
    wanted, adapted, raw = (outputs_of(m, d)[0] for m, d in ((home, old), (away, new), (home, new)))
    np.testing.assert_allclose(adapted, wanted, rtol=1e-2, atol=1e-3)
    assert not np.allclose(raw, wanted, rtol=1e-2, atol=1e-3)


def test_how_far_the_statistics_were_off():
    norm = layers.BatchNormalization(epsilon=0.0)
    norm.build((None, 2))
    norm.set_weights([np.ones(2), np.zeros(2), np.array([1.0, 5.0]), np.array([4.0, 1.0])])
    found = Population(np.array([3.0, 5.0]), np.array([1.0, 4.0]), 10)
    offset = offset_of(norm, found)
    assert (offset.mean, offset.narrower, offset.wider) == (2.0, 0.5, 2.0)
    assert str(offset) == (
        "the old mean was off by up to 2 standard deviations, the old standard deviation was "
        "0.5 to 2 times the new one"
    )


def test_frozen_norms_stay_unless_asked():
    model, data = network(), images()
    model.get_layer("second").trainable = False
    done = recalibrate(model, [data])
    assert [skip.layer for skip in done.report.skipped] == ["second"]
    assert "frozen" in done.report.skipped[0].reason
    for old, new in zip(
        model.get_layer("second").get_weights(),
        done.model.get_layer("second").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)
    asked = recalibrate(model, [data], frozen=True)
    assert [change.layer for change in asked.report.changed] == ["first", "second"]
    assert not asked.model.get_layer("second").trainable


def test_a_model_without_norms_is_said_to_have_none():
    inputs = keras.Input((8, 8, 3))
    done = recalibrate(keras.Model(inputs, layers.ReLU()(inputs)), [images()])
    assert done.report.notes == ("the model has no batch normalization",)


def test_a_norm_that_had_not_settled_is_said(monkeypatch):
    inputs = keras.Input((8, 8, 3))
    shared = layers.BatchNormalization(name="shared")
    model = randomize(keras.Model(inputs, shared(layers.ReLU()(shared(inputs)))))
    monkeypatch.setattr("normwise.surgery.passes.LOOPS", 1)
    done = recalibrate(model, [images()])
    assert "had not settled" in done.report.changed[0].action


def test_a_random_layer_stays_at_its_seed_in_source_and_copy():
    model = random_encoder()
    before = weights_of(model)
    done = recalibrate(model, [images()[..., :2]])
    assert [change.layer for change in done.report.changed] == ["first", "second"]
    for variable, old, new in zip(model.variables, before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new, err_msg=variable.path)
    for variable, old, new in zip(model.variables, before, weights_of(done.model), strict=True):
        assert np.array_equal(old, new) == (variable.name not in STATE), variable.path


def test_statistics_for_which_a_norm_has_no_room_are_refused():
    inputs = keras.Input((8, 8, 3))
    norm = layers.BatchNormalization(name="narrow", dtype="float16")
    model = keras.Model(inputs, norm(inputs))
    before = weights_of(model)
    with pytest.raises(NormwiseError, match=r"'narrow' keeps its statistics in float16.*scale its"):
        recalibrate(model, [images(gain=1000)])
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert recalibrate(model, [images(gain=100)]).report.changed


class OwnBlock(layers.Layer):
    """Makes its layers itself, so that Keras numbers them anew in a copy."""

    def __init__(self, **config):
        super().__init__(**config)
        self.norm = layers.BatchNormalization()

    def build(self, shape):
        self.norm.build(shape)

    def call(self, x):
        return self.norm(x)


def test_norms_inside_a_layer_that_names_them_anew():
    layers.BatchNormalization()
    inputs = keras.Input((8, 8, 3))
    model = randomize(keras.Model(inputs, layers.ReLU()(OwnBlock(name="block")(inputs))))
    (path,) = batch_norms(model)
    done = recalibrate(model, [images(5.0)])
    assert [change.layer for change in done.report.changed] == [path]
    (norm,) = batch_norms(done.model).values()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), 5, atol=0.3)


@keras.saving.register_keras_serializable("tests")
class Clipped(layers.BatchNormalization):
    """A user's own, which may do anything with its statistics."""


@pytest.mark.parametrize("beside", [True, False])
def test_norms_of_classes_made_from_batch_normalization_are_named_and_stay(beside):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="usual")(x) if beside else x
    x = layers.ReLU()(Clipped(name="own")(x))
    model = randomize(keras.Model(inputs, layers.Conv2D(1, 1)(x)))
    done = recalibrate(model, [images()])
    assert [change.layer for change in done.report.changed] == (["usual"] if beside else [])
    (skip,) = done.report.skipped
    assert skip.layer == "own" and "Clipped is made from BatchNormalization" in skip.reason
    assert [note.startswith("the model has no") for note in done.report.notes] == [not beside]
    for old, new in zip(*(m.get_layer("own").weights for m in (model, done.model)), strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (old, new)))
