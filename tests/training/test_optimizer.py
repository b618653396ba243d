"""The optimizer: its learning rate, what decays, clipping, accumulated gradients."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.training.optimizer import decays, make_optimizer
from normwise.training.schedule import learning_rate_schedule
from normwise.training.training_settings import TrainingSettings

pytestmark = pytest.mark.backends


def rates(total, **settings):
    schedule = learning_rate_schedule(TrainingSettings(**settings), total)
    return [float(schedule(step)) for step in range(total + 1)]


def test_warmup_is_linear_and_the_rest_a_half_cosine():
    found = rates(100, learning_rate=0.1, warmup=0.2)
    assert found[0] == pytest.approx(0.1 / 21, rel=1e-5)
    assert np.diff(found[:21]) == pytest.approx(np.full(20, 0.1 * 20 / 21 / 20), rel=1e-4)
    assert found[20] == pytest.approx(0.1, rel=1e-5)
    assert found[60] == pytest.approx(0.05, rel=1e-5)
    assert found[100] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(total):
    assert rates(total, learning_rate=0.1, warmup=0.9)[0] > 0


def test_only_kernels_decay():
    inputs = layers.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.LayerNormalization(axis=[1, 2, 3])(x)
    model = keras.Model(inputs, layers.Conv2D(1, 1)(x))
    settings = TrainingSettings(weight_decay=0.5, learning_rate=0.1, warmup=0)
    optimizer = make_optimizer(settings, 10, model)
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    zero = [keras.ops.zeros(variable.shape) for variable in model.trainable_variables]
    optimizer.apply(zero, model.trainable_variables)
    names = set()
    for variable in model.trainable_variables:
        moved = not np.allclose(keras.ops.convert_to_numpy(variable), 1, rtol=0, atol=1e-7)
        assert moved == (variable.name == "kernel"), variable.path
        assert moved == decays(variable)
        names.add(variable.name)
    assert names == {"kernel", "bias", "gamma", "beta"}
    assert len(before) == 8


def gradients(model, scale):
    rng = np.random.default_rng(round(scale))
    return [scale * rng.normal(size=v.shape).astype("float32") for v in model.trainable_variables]


def stepped(settings, lists, start):
    inputs = layers.Input((4, 4, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 3)(layers.Conv2D(4, 3, padding="same")(inputs)))
    model.set_weights(start or model.get_weights())
    optimizer = make_optimizer(settings, 10, model)
    for grads in lists(model):
        tensors = [keras.ops.convert_to_tensor(gradient) for gradient in grads]
        optimizer.apply(tensors, model.trainable_variables)
    return [np.array(w) for w in model.get_weights()]


def test_all_gradients_together_are_clipped():
    def raw(model):
        return [gradients(model, scale) for scale in (1, 100, 3)]

    def clipped(model):
        whole = [np.sqrt(sum((g**2).sum() for g in grads)) for grads in raw(model)]
        assert min(whole) > 2
        return [[g * 2 / n for g in grads] for grads, n in zip(raw(model), whole, strict=True)]

    settings = {"learning_rate": 0.1, "warmup": 0, "weight_decay": 0}
    start = stepped(TrainingSettings(**settings), lambda model: [], None)
    found = stepped(TrainingSettings(clip_norm=2, **settings), raw, start)
    wanted = stepped(TrainingSettings(**settings), clipped, start)
    without = stepped(TrainingSettings(**settings), raw, start)
    for one, two, three in zip(found, wanted, without, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
        assert not np.allclose(one, three, rtol=1e-4, atol=1e-3)


def test_accumulated_gradients_are_one_update_by_their_mean():
    def four(model):
        return [gradients(model, scale) for scale in (1, 2, 3, 4)]

    def means(model):
        g = four(model)
        return [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in (g[:2], g[2:])]

    settings = {"learning_rate": 0.1, "warmup": 0, "weight_decay": 0.1, "schedule": "constant"}
    start = stepped(TrainingSettings(**settings), lambda model: [], None)
    halves = TrainingSettings(accumulate=2, **settings)
    found = stepped(halves, four, start)
    wanted = stepped(TrainingSettings(**settings), means, start)
    after_three = stepped(halves, lambda model: four(model)[:3], start)
    after_two = stepped(halves, lambda model: four(model)[:2], start)
    for one, two, three, half in zip(found, wanted, after_three, after_two, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
        assert np.array_equal(three, half)
        assert not np.allclose(one, three, rtol=1e-4, atol=1e-3)
