"""Losses as Keras gets them, with the weights of pixels and classes."""

import keras
import numpy as np
import pytest

from normwise.training.losses.composition import WeightedLoss, loss_of
from normwise.training.training_settings import TrainingSettings

from .references import tversky


@pytest.mark.backends
def test_keras_divides_by_the_weights_and_not_by_the_pixels():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (2, 5, 4)).astype(np.int32)
    logits = rng.normal(size=(2, 5, 4, 1)).astype(np.float32)
    weight = (rng.random((2, 5, 4)) > 0.3).astype(np.float32)
    entropy = WeightedLoss(loss_of(TrainingSettings(loss="cross-entropy")))
    half, whole = entropy(truth, logits, weight * 0.5), entropy(truth, logits, weight)
    assert float(half) == pytest.approx(float(whole), rel=1e-6)
    dice = WeightedLoss(loss_of(TrainingSettings(loss="dice")))
    wanted = tversky(truth, logits, np.ones(truth.shape))
    assert float(keras.ops.convert_to_numpy(dice(truth, logits))) == pytest.approx(wanted, rel=1e-5)


def test_class_weights_must_be_resolved():
    with pytest.raises(ValueError, match="resolve the recipe"):
        loss_of(TrainingSettings(loss="dice", class_weights="balanced"))
