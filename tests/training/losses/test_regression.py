"""Losses of regressions against NumPy: values, gradients, ignored pixels, huge outputs."""

import numpy as np
import pytest

from . import references
from .references import gradient, loss_function, of_errors, slope

pytestmark = pytest.mark.backends

SHAPES = [(2, 5, 4), (2, 3, 4, 3)]
LEVELS = (0.1, 0.5, 0.8)

VARIANTS = [
    ("mean-squared", {}, 1, of_errors(np.square)),
    ("mean-absolute", {}, 1, of_errors(np.abs)),
    ("huber", {}, 1, of_errors(lambda e: np.where(abs(e) <= 1, e**2 / 2, abs(e) - 0.5))),
    (
        "huber",
        {"loss_options": {"huber_delta": 0.4}},
        1,
        of_errors(lambda e: np.where(abs(e) <= 0.4, e**2 / 2, 0.4 * (abs(e) - 0.2))),
    ),
    ("log-cosh", {}, 1, of_errors(lambda e: np.log(np.cosh(e)))),
    (
        "0.3*mean-squared+mean-absolute",
        {},
        1,
        of_errors(lambda e: 0.3 * e**2 + abs(e)),
    ),
    (
        "quantile",
        {"loss_options": {"quantiles": LEVELS}},
        3,
        lambda *a: references.quantile(*a, LEVELS),
    ),
    ("gaussian", {}, 2, references.gaussian),
]
CASES = [
    pytest.param(shape, *variant, id=f"{variant[0]}-{index}-{len(shape) - 1}d")
    for shape in SHAPES
    for index, variant in enumerate(VARIANTS)
]


def case(shape, outputs, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(*shape, 2)).astype(np.float32)
    predicted = rng.normal(size=(*shape, 2 * outputs)).astype(np.float32) * 2
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], truth.shape).astype(np.float32)
    return truth, predicted, weight


def ignored_outputs(weight, outputs):
    return np.repeat(weight == 0, outputs, -1)


@pytest.mark.parametrize(("shape", "name", "settings", "outputs", "reference"), CASES)
def test_values_and_gradients_match_numpy(shape, name, settings, outputs, reference):
    truth, predicted, weight = case(shape, outputs)
    wanted = reference(truth, predicted, weight)
    loss = loss_function(name, **settings)
    assert loss(truth, predicted, weight) == pytest.approx(wanted, rel=2e-5)
    assert loss(truth, predicted, np.ones_like(weight)) != pytest.approx(wanted, rel=1e-3)
    found = gradient(name, truth, predicted, weight, **settings)
    for place in [(0,) * predicted.ndim, (*(1,) * (predicted.ndim - 1), 2 * outputs - 1)]:
        by_hand = slope(lambda given: reference(truth, given, weight), predicted, place)
        assert found[place] == pytest.approx(by_hand, rel=1e-3, abs=1e-7)
    ignored = ignored_outputs(weight, outputs)
    np.testing.assert_array_equal(found[ignored], 0)
    assert np.abs(found[~ignored]).max() > 1e-4


@pytest.mark.parametrize(("shape", "name", "settings", "outputs", "reference"), CASES)
def test_ignored_values_change_nothing(shape, name, settings, outputs, reference):
    truth, predicted, weight = case(shape, outputs)
    loss = loss_function(name, **settings)
    wanted = loss(truth, predicted, weight)
    spoiled, shaken = np.where(weight > 0, truth, np.nan), predicted.copy()
    shaken[ignored_outputs(weight, outputs)] = 9.0
    assert loss(spoiled, shaken, weight) == pytest.approx(wanted, rel=1e-6)
    assert np.isfinite(gradient(name, spoiled, shaken, weight, **settings)).all()
    assert loss(spoiled, predicted, np.zeros_like(weight)) == 0.0
    assert loss(truth + 1, shaken, weight) != pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "outputs"), [("log-cosh", 1), ("huber", 1), ("quantile", 3), ("gaussian", 2)]
)
def test_huge_outputs_stay_finite(name, outputs):
    truth, predicted, weight = case(SHAPES[0], outputs)
    huge = np.sign(predicted) * np.float32(1e4)
    assert np.isfinite(loss_function(name)(truth, huge, weight))
    assert np.isfinite(gradient(name, truth, huge, weight)).all()


def test_a_constant_finds_the_quantiles_of_the_truth():
    """What pinball loss is for: its minimum over constants is at the quantiles."""
    truth = np.random.default_rng(0).gamma(2.0, size=(1, 4001, 1)).astype(np.float32)
    weight, grid = np.ones_like(truth), np.linspace(0.1, 6, 60)
    for level in (0.1, 0.5, 0.9):
        loss = loss_function("quantile", loss_options={"quantiles": [level]})
        values = [loss(truth, np.full_like(truth, value), weight) for value in grid]
        best = grid[int(np.argmin(values))]
        assert best == pytest.approx(np.quantile(truth, level), abs=0.11)
