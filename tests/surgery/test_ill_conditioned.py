"""Norms whose fold loses too many digits stay, and the others are folded all the same."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import PromiseError
from normwise.surgery import fold as folding
from normwise.surgery import fold_plan
from normwise.surgery.fold import fold
from tests.surgery.models import inputs_of, outputs_of, shaken, weights_of
from tests.zoo import conv, image


def chain(*parts):
    inputs = x = image(4)
    for part in parts:
        x = part(x)
    return shaken(keras.Model(inputs, x))


def norm(name, **config):
    return layers.BatchNormalization(name=name, **config)


def far_from_zero(mean=1e5, **config):
    """The first norm subtracts what is large beside the rest, which a bias has added."""
    model = chain(conv(4, name="a"), norm("far", **config), layers.ReLU(),
                  conv(4, name="b"), norm("near", **config), layers.ReLU())  # fmt: skip
    model.get_layer("a").bias.assign(np.full(4, mean))
    model.get_layer("far").moving_mean.assign(np.full(4, mean))
    return model


@pytest.mark.backends
def test_a_norm_far_from_zero_stays_and_the_others_are_folded():
    model = far_from_zero()
    before = weights_of(model)
    done = fold(model)
    assert [change.layer for change in done.report.changed] == ["near"]
    (skip,) = done.report.skipped
    assert skip.layer == "far" and "standard deviations from 0" in skip.reason
    assert done.report.max_difference <= 1e-5
    inputs = inputs_of(model)
    for a, b in zip(outputs_of(model, inputs), outputs_of(done.model, inputs), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_channels_that_hardly_vary_are_not_blamed_for_the_statistics_of_the_proof():
    model = far_from_zero(epsilon=1e-5)
    near = model.get_layer("near")
    near.moving_mean.assign(np.zeros(4))
    near.moving_variance.assign(np.full(4, 1e-12))
    near.beta.assign(np.full(4, 0.1))
    assert [change.layer for change in fold(model).report.changed] == ["near"]


def test_the_real_statistics_are_blamed_first():
    """Of those that are made up for the proof the second norm is far from 0 as well."""
    model = far_from_zero()
    near = model.get_layer("near")
    for variable, value in ((near.moving_mean, 90), (near.moving_variance, 1), (near.beta, 90)):
        variable.assign(np.full(4, value))
    assert [change.layer for change in fold(model).report.changed] == ["near"]


def test_one_at_the_edge_stays_where_roundings_alone_would_break_the_promise():
    """An identity of a mean of 5000: rounded, it adds to what it reads."""
    model = far_from_zero(mean=0.0)
    for weight, value in zip(("gamma", "beta"), (np.sqrt(3000 + 1e-3), 5000), strict=True):
        getattr(model.get_layer("far"), weight).assign(np.full(4, value))
    model.get_layer("far").moving_mean.assign(np.full(4, 5000))
    model.get_layer("far").moving_variance.assign(np.full(4, 3000))
    done = fold(model)
    assert [change.layer for change in done.report.changed] == ["near"]
    (skip,) = done.report.skipped
    assert skip.layer == "far" and "91.3 standard deviations from 0" in skip.reason
    assert done.report.max_difference <= 1e-5


def test_one_that_is_not_so_far_is_folded():
    assert len(fold(far_from_zero(mean=3.0)).report.changed) == 2


def test_where_nothing_is_to_blame_the_promise_is_not_kept(monkeypatch):
    """A wrong fold is none of too few digits, and ends as it did."""
    monkeypatch.setattr(fold_plan, "folded_after", lambda kind, weights, *_: weights)
    with pytest.raises(PromiseError, match="Nothing was changed"):
        fold(far_from_zero(mean=3.0))
    tried, own = [], folding._folded
    monkeypatch.setattr(
        folding, "_folded", lambda *given: tried.append(dict(given[3])) or own(*given)
    )
    with pytest.raises(PromiseError, match="Nothing was changed"):
        fold(far_from_zero())
    each = 1 + len(folding.STRENGTHS)
    assert [list(stays) for stays in tried] == [[]] * each + [["far"]] * each


def test_a_kernel_of_numbers_that_a_type_lacks_stays_as_it_is():
    half = keras.DTypePolicy("mixed_float16")
    first = conv(4, name="a", use_bias=False, dtype=half)
    second = conv(4, 1, name="b", use_bias=False, dtype=half)
    narrow = norm("narrow", center=False, epsilon=1e-12, dtype=half)
    model = chain(first, norm("usual", dtype=half), layers.ReLU(dtype=half), second, narrow,
                  layers.ReLU(dtype=half))  # fmt: skip
    # The second convolution reads and makes small numbers, and its norm makes them large again.
    model.get_layer("usual").gamma.assign(np.full(4, 1e-3))
    model.get_layer("usual").beta.assign(np.zeros(4))
    second.kernel.assign(np.eye(4).reshape(1, 1, 4, 4))
    narrow.set_weights([np.ones(4), np.zeros(4), np.full(4, 1e-10)])
    done = fold(model)
    assert [change.layer for change in done.report.changed] == ["usual"]
    assert done.report.skipped[0].reason == (
        "folded into b, it would need numbers that float16 doesn't have"
    )
