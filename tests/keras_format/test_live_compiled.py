"""What live models are compiled with; tests/workflows/test_check_training.py has the optimizers."""

from functools import partial

import keras
import pytest

from normwise.keras_format.compiled import Compiled
from normwise.keras_format.live_compiled import compiled_live, is_optimizer, loss_name


def own_loss(truth, made):
    return keras.ops.mean(truth - made)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        (keras.losses.MeanSquaredError(), "MeanSquaredError"),
        (keras.losses.mean_squared_error, "mean_squared_error"),
        (own_loss, "own_loss"),
        (partial(own_loss), "partial"),
        (None, None),
        (["mse", "mae"], None),
        ({"head": "mse"}, None),
    ],
)
def test_the_name_of_a_loss(loss, name):
    assert loss_name(loss) == name
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert compiled_live(model) == Compiled()
    if loss is None or name is not None:
        model.compile(loss=loss)
        assert compiled_live(model).loss == name


def test_what_is_an_optimizer():
    adam = keras.optimizers.Adam()
    assert is_optimizer(adam) and is_optimizer(keras.optimizers.LossScaleOptimizer(adam))
    assert not any(map(is_optimizer, (None, "adam", {"weight_decay": 1}, keras.optimizers.Adam)))
