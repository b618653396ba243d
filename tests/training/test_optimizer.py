import keras
import numpy as np
import pytest
from keras import layers

from normwise.training.optimizer import decays, learning_rate_schedule, make_optimizer
from normwise.training.recipe import TrainingSettings

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
    optimizer = make_optimizer(settings, 10, model.trainable_variables)
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
