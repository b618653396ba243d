"""What a finished model ends with: a sigmoid, a softmax, or the units of its targets."""

import keras
import numpy as np
import pytest

from normwise.training.output import (
    finished_model,
    predicted_classes,
    regression_output,
    segmentation_output,
)

from .stand_in import network

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)

pytestmark = pytest.mark.backends


def test_two_classes_are_one_sigmoid():
    output = segmentation_output(["land", "water"])
    linear = network(outputs=output.channels)
    found, logits = finished_model(linear, output).predict_on_batch(X), linear.predict_on_batch(X)
    assert found.shape == (2, 8, 8, 1)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(predicted_classes(found), output.decoded(logits))


def test_more_classes_are_a_softmax():
    output = segmentation_output(["a", "b", "c"])
    linear = network(outputs=output.channels)
    found, logits = finished_model(linear, output).predict_on_batch(X), linear.predict_on_batch(X)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(predicted_classes(found), output.decoded(logits))


def test_a_regression_ends_in_the_units_of_its_target():
    output = regression_output(["depth", "flat"], [1000.0, 3.0], [400.0, 0.0])
    linear = network(outputs=2)
    found, scaled = finished_model(linear, output).predict_on_batch(X), linear.predict_on_batch(X)
    np.testing.assert_allclose(found, scaled * [20, 1] + [1000, 3], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(output.decoded(scaled), found, rtol=1e-5, atol=1e-4)
    assert np.abs(found - scaled).max() > 100


def test_scaling_and_back():
    output = regression_output(["depth"], [1000.0], [400.0])
    target = np.array([[980.0], [1040.0]], np.float32)
    np.testing.assert_allclose(output.scaled(target), [[-1], [2]], rtol=1e-6, atol=0)
    np.testing.assert_allclose(output.decoded(output.scaled(target)), target, rtol=1e-6, atol=0)
    classes = np.array([0, 1, 255])
    assert segmentation_output(["a", "b"]).scaled(classes) is classes


def test_the_finished_model_shares_weights_and_was_never_compiled():
    linear = network()
    finished = finished_model(linear, segmentation_output(["a", "b"]))
    assert not finished.compiled
    assert linear.layers[1].kernel is finished.layers[1].kernel
    assert all(type(layer).__module__.startswith("keras") for layer in finished.layers)
    assert isinstance(finished, keras.Model)
