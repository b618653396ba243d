"""Models that turn rounding into other outputs are told apart from wrong copies."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import PromiseError
from normwise.keras_format import read_graph
from normwise.norms import NormPlan
from normwise.surgery.amplified import advice, amplified
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.verify import Verification
from tests.surgery.models import shaken, weights_of


def deep(gain, depth=40, width=32):
    """Each layer makes small differences `gain` times as large, as far as tanh lets it."""
    keras.utils.set_random_seed(0)
    deviation = gain / np.sqrt(width)
    x = inputs = keras.Input((width,))
    for number in range(depth):
        start = keras.initializers.RandomNormal(stddev=deviation, seed=number)
        x = layers.Dense(width, kernel_initializer=start)(x)
        x = layers.Activation("tanh")(layers.BatchNormalization()(x))
    return shaken(keras.Model(inputs, x))


def test_a_model_that_amplifies_rounding_is_told_so():
    model = deep(6.0)
    assert amplified(read_graph(model), model) > 0.1
    with pytest.raises(PromiseError, match=r"Nothing was changed\. The model itself amplifies"):
        fold(model)
    moved = r"Edits: 1\. The model itself amplifies rounding: its outputs change by \d"
    with pytest.raises(PromiseError, match=moved):
        place(model, NormPlan.parse("batch@pre-activation+input"))


def test_a_steady_model_is_no_excuse_for_a_wrong_copy(monkeypatch):
    model = deep(0.5, 4)
    graph, before = read_graph(model), weights_of(model)
    assert 0 < amplified(graph, model) < 1e-6 and advice(graph, model) == ""
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert fold(model).report.changed
    monkeypatch.setattr(
        "normwise.surgery.fold.compared", lambda *_: Verification(0.5, 1e-5, "dense_1")
    )
    with pytest.raises(PromiseError) as wrong:
        fold(model)
    assert str(wrong.value).endswith("Nothing was changed.")


def test_whole_numbers_have_no_last_digit():
    x = inputs = keras.Input((4,), dtype="int32")
    x = layers.BatchNormalization()(layers.Flatten()(layers.Embedding(9, 3)(x)))
    model = keras.Model(inputs, x)
    assert amplified(read_graph(model), model) == 0.0
