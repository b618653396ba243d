"""What is told of a training: counts, optimizers, settings of data that aren't there."""

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.errors import CheckError
from normwise.keras_format.reading import read_graph


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    return read_graph(keras.Model(inputs, layers.Conv2D(1, 1)(x)))


def names(graph, **told):
    return {finding.name for finding in nw.check(graph, **told).findings}


def excluding(**what):
    optimizer = keras.optimizers.AdamW(weight_decay=0.01)
    optimizer.exclude_from_weight_decay(**what)
    return optimizer


@pytest.mark.parametrize(
    ("optimizer", "decayed"),
    [
        (lambda: {"weight_decay": 0.01}, True),
        (lambda: keras.optimizers.AdamW(weight_decay=0.01), True),
        (keras.optimizers.SGD, False),
        (lambda: excluding(var_names=["gamma", "beta"]), False),
        (lambda: excluding(var_names=["kernel"]), True),
        (lambda: excluding(var_list=[keras.Variable(1.0)]), False),
        (lambda: None, False),
    ],
)
def test_an_optimizer_tells_its_weight_decay(graph, optimizer, decayed):
    assert ("decayed-affine" in names(graph, optimizer=optimizer())) is decayed


@pytest.mark.parametrize("optimizer", ["adamw", 3, keras.optimizers.AdamW])
def test_what_is_no_optimizer_is_refused(graph, optimizer):
    with pytest.raises(CheckError, match="expected its settings"):
        nw.check(graph, optimizer=optimizer)


def test_counts_of_numpy_are_counts(graph):
    assert "tiny-batch" in names(graph, batch_size=np.int64(2))
    for count in (True, 2.0, "2", 0, np.int64(-1)):
        with pytest.raises(CheckError, match=r"batch_size is .*expected a whole number"):
            nw.check(graph, batch_size=count)


@pytest.mark.parametrize(
    "settings", [{"new_data": False}, {"limit": 3}, {"nodata": 0.0}, {"bands": [0]}, {"tile": 8}]
)
def test_settings_of_data_need_data(graph, settings):
    (name,) = settings
    with pytest.raises(CheckError, match=f"got {name} without data"):
        nw.check(graph, **settings)
