"""Which of a layer's arrays are what of a batch normalization."""

from array import array

import pytest

from normwise.errors import WeightsTooLargeError
from normwise.rules.context.batch_norm_weights import MOST_CHANNELS, BatchNormWeights

GAMMA, BETA, MEAN, VARIANCE = (memoryview(array("f", [n, n + 0.5])) for n in (1, 2, 3, 4))
ALL = (GAMMA, BETA, MEAN, VARIANCE)


def listed(weights):
    each = (weights.gamma, weights.beta, weights.mean, weights.variance)
    return [None if values is None else list(values) for values in each]


@pytest.mark.parametrize(
    ("arrays", "config", "expected"),
    [
        (ALL, {}, [[1, 1.5], [2, 2.5], [3, 3.5], [4, 4.5]]),
        (ALL[1:], {"scale": False}, [None, [2, 2.5], [3, 3.5], [4, 4.5]]),
        ((GAMMA, MEAN, VARIANCE), {"center": False}, [[1, 1.5], None, [3, 3.5], [4, 4.5]]),
        (ALL[2:], {"scale": False, "center": False}, [None, None, [3, 3.5], [4, 4.5]]),
    ],
)
def test_their_order_follows_from_the_settings(arrays, config, expected):
    assert listed(BatchNormWeights.of(arrays, config)) == expected


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        (),
        ALL[1:],
        (*ALL[:3], VARIANCE[:1]),
        tuple(memoryview(bytes(16)).cast("f", (2, 2)) for _ in ALL),
        tuple(values[:0] for values in ALL),
    ],
    ids=["none", "empty", "too-few", "other-shapes", "two-axes", "no-channels"],
)
def test_arrays_that_do_not_fit_are_left_alone(arrays):
    assert BatchNormWeights.of(arrays, {}) is None


def test_a_norm_may_be_too_wide_to_look_at():
    wide = memoryview(bytes(4 * (MOST_CHANNELS + 1))).cast("f")
    with pytest.raises(WeightsTooLargeError, match="524,289 channels"):
        BatchNormWeights.of((wide,) * 4, {})


def test_what_keras_starts_with_is_known():
    start = BatchNormWeights(None, None, [0.0, 0.0], [1.0, 1.0])
    assert start.has_initial_statistics
    assert not BatchNormWeights(None, None, [0.0, 0.1], [1.0, 1.0]).has_initial_statistics
