import keras
import numpy as np
import pytest

from normwise.training.losses import LOSSES, WeightedLoss

pytestmark = pytest.mark.backends

RNG = np.random.default_rng(0)
SHAPE = (2, 5, 4)


def loss(name, truth, predicted, weight):
    return float(
        keras.ops.convert_to_numpy(
            LOSSES[name](*map(keras.ops.convert_to_tensor, (truth, predicted, weight)))
        )
    )


def case(outputs):
    truth = RNG.integers(0, max(outputs, 2), SHAPE).astype(np.int32)
    logits = RNG.normal(size=(*SHAPE, outputs)).astype(np.float32) * 3
    return truth, logits, (RNG.random(SHAPE) > 0.3).astype(np.float32)


def probabilities(logits):
    """In float64 and pixel by pixel: nothing is shared with the code under test."""
    logits = logits.astype(np.float64)
    if logits.shape[-1] == 1:
        positive = 1 / (1 + np.exp(-logits[..., 0]))
        return np.stack([1 - positive, positive], -1)
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def reference_cross_entropy(truth, logits, weight):
    chance, total = probabilities(logits), 0.0
    for place in np.ndindex(truth.shape):
        total -= weight[place] * np.log(chance[place][truth[place]])
    return total / weight.sum()


def reference_dice(truth, logits, weight):
    chance, scores = probabilities(logits), []
    for index in [1] if logits.shape[-1] == 1 else range(logits.shape[-1]):
        own = (truth == index) * weight
        both = (own * chance[..., index]).sum()
        scores.append((2 * both + 1) / (own.sum() + (weight * chance[..., index]).sum() + 1))
    return 1 - np.mean(scores)


@pytest.mark.parametrize("outputs", [1, 3])
def test_segmentation_losses_match_numpy(outputs):
    truth, logits, weight = case(outputs)
    entropy = reference_cross_entropy(truth, logits, weight)
    overlap = reference_dice(truth, logits, weight)
    for name, wanted in (
        ("cross-entropy", entropy),
        ("dice", overlap),
        ("cross-entropy-dice", entropy + overlap),
    ):
        assert loss(name, truth, logits, weight) == pytest.approx(wanted, rel=1e-5)
        # The control: weights matter, so ignoring them must be seen.
        assert loss(name, truth, logits, np.ones_like(weight)) != pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "each"),
    [
        ("mean-squared", lambda e: e**2),
        ("mean-absolute", abs),
        ("huber", lambda e: np.where(abs(e) <= 1, e**2 / 2, abs(e) - 0.5)),
    ],
)
def test_regression_losses_match_numpy(name, each):
    truth = RNG.normal(size=(*SHAPE, 2)).astype(np.float32)
    predicted = RNG.normal(size=(*SHAPE, 2)).astype(np.float32) * 2
    weight = (RNG.random((*SHAPE, 2)) > 0.3).astype(np.float32)
    wanted = (each(predicted.astype(float) - truth) * weight).sum() / weight.sum()
    assert loss(name, truth, predicted, weight) == pytest.approx(wanted, rel=1e-5)
    assert loss(name, truth, predicted, 1 - weight) != pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_ignored_pixels_change_nothing(name, outputs):
    truth, predicted, weight = case(outputs)
    if name in ("mean-squared", "mean-absolute", "huber"):
        truth = RNG.normal(size=predicted.shape).astype(np.float32)
        weight = np.repeat(weight[..., None], outputs, -1)
        spoiled = np.where(weight > 0, truth, np.nan).astype(np.float32)
    else:
        spoiled = np.where(weight > 0, truth, 255)
    assert loss(name, spoiled, predicted, weight) == loss(
        name, truth * (weight > 0), predicted, weight
    )
    assert loss(name, spoiled, predicted, np.zeros_like(weight)) == 0.0


@pytest.mark.parametrize("outputs", [1, 3])
def test_huge_logits_stay_finite(outputs):
    truth, logits, weight = case(outputs)
    assert np.isfinite(loss("cross-entropy", truth, np.sign(logits) * 1e4, weight))
    wrong = np.full(logits.shape, -1e4, np.float32)
    if outputs == 1:
        assert loss("cross-entropy", np.ones_like(truth), wrong, weight) == pytest.approx(1e4)


def test_keras_divides_by_the_weights_and_not_by_the_pixels():
    truth, logits, weight = case(1)
    half = WeightedLoss("cross-entropy")(truth, logits, weight * 0.5)
    whole = WeightedLoss("cross-entropy")(truth, logits, weight)
    assert float(half) == pytest.approx(float(whole), rel=1e-6)
    assert float(WeightedLoss("dice")(truth, logits)) == pytest.approx(
        reference_dice(truth, logits, np.ones(SHAPE)), rel=1e-5
    )
