"""Losses of classes against NumPy: values, gradients, ignored pixels, huge logits."""

import numpy as np
import pytest

from . import references
from .references import gradient, loss_function, slope

pytestmark = pytest.mark.backends

SHAPES = [(2, 5, 4), (2, 3, 4, 3)]


def case(outputs, shape, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, max(outputs, 2), shape).astype(np.int32)
    logits = rng.normal(size=(*shape, outputs)).astype(np.float32) * 3
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], shape).astype(np.float32)
    return truth, logits, weight


def weights_for(outputs):
    return [0.3, 2.0, 1.1][: max(outputs, 2)]


def variants(outputs):
    """Name, settings and the reference of each loss."""
    own = weights_for(outputs)
    entropy, overlap = references.cross_entropy, references.tversky
    return [
        ("cross-entropy", {}, entropy),
        ("cross-entropy", {"class_weights": own}, lambda *a: entropy(*a, class_weights=own)),
        (
            "cross-entropy",
            {"loss_options": {"label_smoothing": 0.2}},
            lambda *a: entropy(*a, smoothing=0.2),
        ),
        ("focal", {}, lambda *a: entropy(*a, gamma=2.0)),
        (
            "focal",
            {"loss_options": {"focal_gamma": 0.5}, "class_weights": own},
            lambda *a: entropy(*a, gamma=0.5, class_weights=own),
        ),
        ("dice", {}, overlap),
        ("dice", {"class_weights": own}, lambda *a: overlap(*a, class_weights=own)),
        ("tversky", {}, lambda *a: overlap(*a, alpha=0.3, beta=0.7)),
        (
            "0.5*focal+dice",
            {},
            lambda *a: 0.5 * entropy(*a, gamma=2.0) + overlap(*a),
        ),
    ]


CASES = [
    pytest.param(outputs, shape, *variant, id=f"{variant[0]}-{index}-{outputs}-{len(shape) - 1}d")
    for shape in SHAPES
    for outputs in (1, 3)
    for index, variant in enumerate(variants(outputs))
]


@pytest.mark.parametrize(("outputs", "shape", "name", "settings", "reference"), CASES)
def test_values_and_gradients_match_numpy(outputs, shape, name, settings, reference):
    truth, logits, weight = case(outputs, shape)
    wanted = reference(truth, logits, weight)
    loss = loss_function(name, **settings)
    assert loss(truth, logits, weight) == pytest.approx(wanted, rel=2e-5)
    # The control: weights matter, so ignoring them must be seen.
    assert loss(truth, logits, np.ones_like(weight)) != pytest.approx(wanted, rel=1e-3)
    found = gradient(name, truth, logits, weight, **settings)
    for place in [(0,) * logits.ndim, (*(1,) * (logits.ndim - 1), outputs - 1)]:
        by_hand = slope(lambda given: reference(truth, given, weight), logits, place)
        assert found[place] == pytest.approx(by_hand, rel=1e-3, abs=1e-7)
    np.testing.assert_array_equal(found[weight == 0], 0)
    assert np.abs(found[weight > 0]).max() > 1e-4


@pytest.mark.parametrize(("outputs", "shape", "name", "settings", "reference"), CASES)
def test_ignored_pixels_change_nothing(outputs, shape, name, settings, reference):
    truth, logits, weight = case(outputs, shape)
    loss = loss_function(name, **settings)
    spoiled, shaken = np.where(weight > 0, truth, 255), logits.copy()
    shaken[weight == 0] = 50.0
    assert loss(spoiled, shaken, weight) == pytest.approx(loss(truth, logits, weight), rel=1e-6)
    assert loss(spoiled, logits, weight) == loss(truth * (weight > 0), logits, weight)
    assert loss(spoiled, logits, np.zeros_like(weight)) == 0.0
    shaken[weight > 0] += 1.0 if outputs == 1 else np.arange(outputs, dtype=np.float32)
    assert loss(spoiled, shaken, weight) != pytest.approx(loss(truth, logits, weight), rel=1e-3)


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice", "tversky"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_huge_logits_stay_finite(name, outputs):
    truth, logits, weight = case(outputs, SHAPES[0])
    for size in (1e3, 1e4):
        huge = np.sign(logits) * np.float32(size)
        assert np.isfinite(loss_function(name)(truth, huge, weight))
        assert np.isfinite(gradient(name, truth, huge, weight)).all()
        options = {"loss_options": {"focal_gamma": 0.5}} if name == "focal" else {}
        assert np.isfinite(gradient(name, truth, huge, weight, **options)).all()
    if outputs == 1 and name in ("cross-entropy", "focal"):
        wrong = np.full(logits.shape, -1e4, np.float32)
        assert loss_function(name)(np.ones_like(truth), wrong, weight) == pytest.approx(1e4)


def test_a_head_of_zeros_learns():
    """At a logit of exactly 0 some stable forms lose half of their gradient."""
    truth, weight = np.array([[1, 0]], np.int32), np.ones((1, 2), np.float32)
    found = gradient("cross-entropy", truth, np.zeros((1, 2, 1), np.float32), weight)
    np.testing.assert_allclose(found[0, :, 0], [-0.25, 0.25], rtol=1e-6, atol=0)


def test_kin():
    truth, logits, weight = case(3, SHAPES[0])
    values = {
        "dice": loss_function("dice"),
        "tversky": loss_function(
            "tversky", loss_options={"tversky_alpha": 0.5, "tversky_beta": 0.5}
        ),
        "focal": loss_function("focal", loss_options={"focal_gamma": 0.0}),
        "entropy": loss_function("cross-entropy"),
    }
    found = {name: loss(truth, logits, weight) for name, loss in values.items()}
    assert found["dice"] == pytest.approx(found["tversky"], rel=1e-6)
    assert found["focal"] == pytest.approx(found["entropy"], rel=1e-6)
    assert found["dice"] != pytest.approx(found["entropy"], rel=1e-2)
