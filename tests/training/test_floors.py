"""What constant answers reach, against the metrics of predictions that are constant."""

import json
import math

import numpy as np
import pytest

from normwise.training.distribution import Distribution
from normwise.training.floors import Constant, Floors, constants_of
from normwise.training.output import regression_output, segmentation_output
from normwise.training.regression_metrics import RegressionMetrics
from normwise.training.segmentation_metrics import SegmentationMetrics


def measured(constant, images, classes):
    metrics = SegmentationMetrics(classes)
    for name, (truth, weight) in images.items():
        metrics.update(truth, np.full_like(truth, constant), weight, name)
    return metrics.result()


def text(metrics):
    return json.loads(metrics.to_json())


@pytest.mark.parametrize("classes", [("land", "river"), ("land", "river", "lake")])
def test_every_class_everywhere_is_measured_as_a_prediction_of_it(classes):
    rng = np.random.default_rng(0)
    images = {
        name: (rng.choice(len(classes), p=[0.6, 0.4, 0.0][: len(classes)], size=(9, 7)),
               (rng.random((9, 7)) > 0.2).astype(np.float32))
        for name in "ab"
    }  # fmt: skip
    output = segmentation_output(classes)
    constants = constants_of(output)
    assert [constant.name for constant in constants] == [f"{name} everywhere" for name in classes]
    for constant in constants:
        floors = Floors(output, [constant])
        for name, (truth, weight) in images.items():
            floors.add(truth, weight, name)
        wanted = measured(int(constant.values[0]), images, classes)
        assert text(floors.best("iou").metrics) == text(wanted)
        assert text(wanted) != text(measured((int(constant.values[0]) + 1) % 2, images, classes))


def test_the_best_constant_is_that_of_the_metric():
    output = segmentation_output(("land", "river"))
    floors = Floors(output, constants_of(output))
    floors.add(np.array([[0, 0, 0, 1]]), np.ones((1, 4), np.float32), "a")
    assert floors.best("accuracy").constant.name == "land everywhere"
    assert floors.best("accuracy").metrics.values["accuracy"] == 0.75
    assert floors.best("iou").constant.name == "river everywhere"
    assert floors.best("iou").metrics.values["iou"] == 0.25
    assert Floors(output, ()).best("iou") is None


def test_of_a_regression_it_is_the_mean_of_the_training_targets():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 5, 2)).astype(np.float32)
    weight = (rng.random((6, 5, 2)) > 0.3).astype(np.float32)
    output = regression_output(("a", "b"), [2.0, -1.0], [4.0, 0.0])
    (constant,) = constants_of(output)
    assert constant.values == (2.0, -1.0)
    floors = Floors(output, [constant])
    floors.add(truth, weight, "x")
    found = floors.best("r2").metrics
    own = truth[..., 0][weight[..., 0] > 0]
    assert found.per_class["a"]["rmse"] == pytest.approx(np.sqrt(np.mean((own - 2) ** 2)))
    assert found.values["r2"] < 0
    metrics = RegressionMetrics(("a", "b"))
    metrics.update(truth, np.full(truth.shape, (2.0, -1.0), np.float32), weight)
    assert text(found) == text(metrics.result())


def test_of_a_distribution_it_is_a_normal_law():
    levels = Distribution(quantiles=(0.1, 0.5))
    (constant,) = constants_of(regression_output(("a",), [2.0], [9.0], levels))
    assert constant.values == pytest.approx((2 - 3 * 1.2815516, 2.0))
    law = Distribution(gaussian=True)
    output = regression_output(("a", "b"), [2.0, 5.0], [9.0, 4.0], law)
    (constant,) = constants_of(output)
    assert constant == Constant(constant.name, (2.0, 3.0, 5.0, 2.0))
    floors = Floors(output, [constant])
    floors.add(np.zeros((4, 4, 2), np.float32), np.ones((4, 4, 2), np.float32), "x")
    assert math.isfinite(floors.best("nll").metrics.values["nll"])
