"""Metrics against sets of pixels and formulas, and which of two values is better."""

import json
import math
from typing import get_args

import numpy as np
import pytest

from normwise.training.distribution import SINGLE, Distribution
from normwise.training.metrics import default_metric, is_better, metric_names
from normwise.training.regression_metrics import RegressionMetrics
from normwise.training.segmentation_metrics import SegmentationMetrics
from normwise.training.training_settings import MetricName

RNG = np.random.default_rng(0)


def sets_of(truth, predicted, index):
    return set(np.flatnonzero(truth == index)), set(np.flatnonzero(predicted == index))


def test_segmentation_matches_sets_of_pixels():
    truth, predicted = RNG.integers(0, 3, (2, 4, 30, 20))
    weight = RNG.random(truth.shape) > 0.2
    seen = SegmentationMetrics(["a", "b", "c"])
    for image in range(4):
        seen.update(
            np.where(weight[image], truth[image], 255), predicted[image], weight[image], str(image)
        )
    result, valid = seen.result(), weight.ravel()
    true, guess = truth.ravel()[valid], predicted.ravel()[valid]
    for index, name in enumerate("abc"):
        t, p = sets_of(true, guess, index)
        wanted = {
            "iou": len(t & p) / len(t | p),
            "dice": 2 * len(t & p) / (len(t) + len(p)),
            "precision": len(t & p) / len(p),
            "recall": len(t & p) / len(t),
            "accuracy": 1 - len(t ^ p) / len(true),
        }
        assert dict(result.per_class[name]) == pytest.approx(wanted, rel=1e-12)
    assert result.values["accuracy"] == pytest.approx((true == guess).mean(), rel=1e-12)
    assert result.values["mean_iou"] == pytest.approx(
        np.mean([result.per_class[name]["iou"] for name in "abc"]), rel=1e-12
    )
    assert result.pixels == valid.sum()
    assert sum(map(sum, result.confusion)) == valid.sum()
    unweighted = SegmentationMetrics(["a", "b", "c"])
    unweighted.update(truth, predicted)
    assert unweighted.result().values["accuracy"] != result.values["accuracy"]


def test_accuracy_of_a_class_is_one_against_the_rest():
    truth, predicted = RNG.integers(0, 4, (2, 5000))
    seen = SegmentationMetrics(["a", "b", "c", "nowhere", "d"])
    # The fourth class is nowhere: its accuracy would be 1 and lift the mean.
    truth, predicted = (np.where(ids == 3, 4, ids) for ids in (truth, predicted))
    seen.update(truth, predicted)
    result = seen.result()
    wanted = {
        name: ((truth == index) == (predicted == index)).mean()
        for name, index in {"a": 0, "b": 1, "c": 2, "d": 4}.items()
    }
    found = {name: result.per_class[name]["accuracy"] for name in wanted}
    assert found == pytest.approx(wanted, rel=1e-12)
    assert math.isnan(result.per_class["nowhere"]["accuracy"])
    mean = np.mean(list(wanted.values()))
    assert result.values["mean_accuracy"] == pytest.approx(mean, rel=1e-12)
    assert result.table()[-1][5] == f"{mean:.4g}"
    assert result.values["accuracy"] == pytest.approx((truth == predicted).mean(), rel=1e-12)
    # The controls: neither the overall accuracy nor the recall is this number.
    assert abs(result.values["accuracy"] - mean) > 0.1
    assert abs(result.per_class["a"]["recall"] - wanted["a"]) > 0.1


def test_two_classes_share_one_accuracy():
    seen = SegmentationMetrics(["land", "water"])
    seen.update(np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1]))
    result = seen.result()
    assert {own["accuracy"] for own in result.per_class.values()} == {0.75}
    assert result.values["accuracy"] == result.values["mean_accuracy"] == 0.75


def test_a_class_that_is_nowhere_is_left_out():
    seen = SegmentationMetrics(["a", "b", "c"])
    seen.update(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    result = seen.result()
    assert math.isnan(result.per_class["c"]["iou"])
    assert result.values["mean_iou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    missed = SegmentationMetrics(["a", "b", "c"])
    missed.update(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))
    assert missed.result().per_class["c"]["iou"] == 0


def test_mean_image_iou_is_the_foreground_of_each_image():
    seen = SegmentationMetrics(["land", "water"])
    seen.update(np.array([0, 1, 1]), np.array([0, 1, 1]), image="one")
    seen.update(np.array([0, 1]), np.array([1, 1]), image="two")
    seen.update(np.array([1, 1]), np.array([1, 0]), image="two")
    seen.update(np.array([0, 0]), np.array([0, 0]), image="without water")
    assert seen.result().values["mean_image_iou"] == pytest.approx((1 + 2 / 4) / 2)
    assert seen.result().values["iou"] == pytest.approx(4 / 6)


def test_regression_matches_formulas():
    truth = RNG.normal(5, 2, (6, 8, 9, 2))
    predicted = truth * 0.8 + RNG.normal(0, 1, truth.shape)
    weight = RNG.random(truth.shape) > 0.3
    seen = RegressionMetrics(["x", "y"])
    for part in range(6):
        seen.update(np.where(weight, truth, np.nan)[part], predicted[part], weight[part])
    result = seen.result()
    for channel, name in enumerate("xy"):
        t = truth[..., channel][weight[..., channel]]
        p = predicted[..., channel][weight[..., channel]]
        wanted = {
            "mae": np.abs(p - t).mean(),
            "rmse": np.sqrt(((p - t) ** 2).mean()),
            "r2": 1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum(),
            "bias": (p - t).mean(),
            "correlation": np.corrcoef(t, p)[0, 1],
        }
        assert dict(result.per_class[name]) == pytest.approx(wanted, rel=1e-12)
    assert result.values["r2"] == pytest.approx(
        np.mean([result.per_class[name]["r2"] for name in "xy"])
    )
    assert set(result.values) == {*metric_names("regression", 0), "bias"}


def test_a_small_spread_on_a_large_mean_survives():
    truth = 1e4 + RNG.normal(size=(50, 1000, 1))
    predicted = truth + RNG.normal(size=truth.shape) * 0.5
    seen = RegressionMetrics(["x"])
    for part in range(50):
        seen.update(truth[part], predicted[part])
    values = seen.result().values
    t, p = (a.ravel().astype(np.longdouble) for a in (truth, predicted))
    assert values["r2"] == pytest.approx(
        float(1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()), rel=1e-9
    )
    wanted = float(((t - t.mean()) * (p - p.mean())).mean() / (t.std() * p.std()))
    assert values["correlation"] == pytest.approx(wanted, rel=1e-9)
    # The control: sums of squares in float32 lose this spread altogether.
    single = truth.astype(np.float32).ravel()
    naive = (single**2).mean() - single.mean() ** 2
    assert abs(naive - 1) > 0.1


def test_a_constant_truth_has_no_r2():
    seen = RegressionMetrics(["flat", "real"])
    seen.update(np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 2.0]]))
    result = seen.result()
    assert math.isnan(result.per_class["flat"]["r2"])
    assert result.values["r2"] == 1.0


def test_nothing_seen_is_undefined_everywhere():
    for result in (SegmentationMetrics(["a", "b"]).result(), RegressionMetrics(["x"]).result()):
        assert all(math.isnan(value) for value in result.values.values())
        assert all(value is None for value in json.loads(result.to_json())["values"].values())
        assert result.pixels == 0


def test_table_and_json():
    seen = SegmentationMetrics(["land", "water"])
    seen.update(np.array([0, 1, 1]), np.array([0, 1, 0]))
    table = seen.result().table()
    assert table[0] == ("class", "iou", "dice", "precision", "recall", "accuracy")
    assert table[2] == ("water", "0.5", "0.6667", "1", "0.5", "0.6667")
    assert table[3][0] == "mean"
    content = json.loads(seen.result().to_json())
    assert content["confusion"] == [[1, 0], [1, 1]]
    assert set(content["values"]) == set(metric_names("segmentation", 2))


@pytest.mark.parametrize(
    ("metric", "value", "best", "better"),
    [
        ("iou", 0.6, 0.5, True),
        ("iou", 0.5, 0.5, False),
        ("rmse", 0.4, 0.5, True),
        ("rmse", math.nan, 0.5, False),
        ("iou", math.nan, None, True),
        ("iou", 0.1, math.nan, True),
    ],
)
def test_better(metric, value, best, better):
    assert is_better(metric, value, best) is better


def test_default_metrics_exist():
    for task, classes in (("segmentation", 2), ("segmentation", 5), ("regression", 0)):
        assert default_metric(task, classes) in metric_names(task, classes)


def test_every_metric_that_is_offered_can_be_told():
    told = set(get_args(MetricName))
    for distribution in (SINGLE, Distribution(gaussian=True), Distribution(quantiles=(0.1, 0.9))):
        assert told.issuperset(metric_names("regression", 0, distribution))
    assert told.issuperset({*metric_names("segmentation", 2), *metric_names("segmentation", 5)})
