"""What reaches Keras is what was cut, and an epoch ends with its last step."""

import keras
import numpy as np
import pytest

from normwise.training.feeding import fed


def batches(steps):
    """Images, labels of two heads and weights, told apart by their values."""
    for step in range(steps):
        image = np.full((2, 4, 4, 3), step, np.float32)
        label = np.full((2, 4, 4), step, np.int32)
        yield image, (label, label[:, ::2, ::2]), image[..., :1]


@pytest.mark.backends
def test_every_batch_arrives_once_and_in_order():
    found = [keras.tree.map_structure(np.asarray, batch) for batch in fed(batches(5))]
    for got, made in zip(found, batches(5), strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, tuple(got), made)
    assert found[0][1][0].dtype == np.int32


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
def test_nothing_tunes_itself_so_that_the_end_of_an_epoch_has_nothing_to_wait_for():
    assert fed(batches(3)).options().autotune.enabled is False


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow needs a set")
def test_elsewhere_the_generator_goes_on_as_it_is():
    ready = batches(3)
    assert fed(ready) is ready
