"""Regressions that give quantiles or a spread: their units, metrics and honesty."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.rasters import raster_info, write_raster
from normwise.training.distribution import SINGLE, Distribution
from normwise.training.distribution_metrics import DistributionMetrics
from normwise.training.output import finished_model, regression_output

from .stand_in import network

QUANTILES = Distribution((0.1, 0.5, 0.9))
GAUSSIAN = Distribution(gaussian=True)
X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("distribution", "layer", "names"),
    [
        (SINGLE, "target_units", ("a", "b")),
        (
            Distribution((0.05, 0.5)),
            "target_quantiles_0p05_0p5",
            ("a q0.05", "a q0.5", "b q0.05", "b q0.5"),
        ),
        (GAUSSIAN, "target_mean_and_std", ("a mean", "a std", "b mean", "b std")),
        (Distribution((0.0001,)), "target_quantiles_0p0001", ("a q0.0001", "b q0.0001")),
    ],
)
def test_the_name_of_a_layer_says_what_a_model_gives(distribution, layer, names):
    assert distribution.layer_name == layer
    assert Distribution.of_layers(["conv", layer]) == distribution
    assert distribution.names(["a", "b"]) == names
    assert Distribution.of_layers(["conv", layer + "x"]) == SINGLE


def test_the_point_is_the_mean_or_the_quantile_nearest_to_the_median():
    values = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(QUANTILES.point(values), [[1, 4], [7, 10]])
    np.testing.assert_array_equal(GAUSSIAN.point(values), [[0, 2, 4], [6, 8, 10]])
    np.testing.assert_array_equal(Distribution((0.1, 0.6, 0.7)).point(values)[0], [1, 4])
    np.testing.assert_array_equal(SINGLE.point(values), values)


@pytest.mark.backends
@pytest.mark.parametrize("distribution", [QUANTILES, GAUSSIAN])
def test_a_finished_model_ends_in_the_units_of_its_targets(distribution, tmp_path):
    output = regression_output(["depth", "heat"], [1000.0, -3.0], [400.0, 0.25], distribution)
    linear = network(outputs=output.channels)
    # Far from 0, so that a bound or a unit which is missing must be seen.
    linear.layers[-1].bias.assign(np.linspace(-6, 6, output.channels))
    finished = finished_model(linear, output)
    raw = keras.ops.convert_to_numpy(linear(X)).astype(float)
    each = raw.reshape(2, 8, 8, 2, -1)
    mean, std = np.array([1000.0, -3.0]), np.array([20.0, 0.5])
    if distribution is GAUSSIAN:
        spread = np.exp(7 * np.tanh(each[..., 1] / 14)) * std
        wanted = np.stack([each[..., 0] * std + mean, spread], -1).reshape(raw.shape)
    else:
        wanted = (np.sort(each, -1) * std[:, None] + mean[:, None]).reshape(raw.shape)
    np.testing.assert_allclose(finished.predict_on_batch(X), wanted, rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(output.decoded(raw), wanted, rtol=1e-5, atol=1e-4)
    assert np.abs(wanted - raw).max() > 100
    finished.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(again.predict_on_batch(X), wanted, rtol=2e-5, atol=1e-3)
    assert Distribution.of_layers(layer.name for layer in again.layers) == distribution
    assert all(type(layer).__module__.startswith("keras") for layer in finished.layers)


def test_huge_outputs_stay_finite():
    output = regression_output(["depth"], [0.0], [1.0], GAUSSIAN)
    linear = network(outputs=2)
    linear.layers[-1].bias.assign([1e6, 1e6])
    found = finished_model(linear, output).predict_on_batch(X)
    assert np.isfinite(found).all()
    assert found[..., 0].min() > 9e5
    np.testing.assert_allclose(found[..., 1], np.exp(7), rtol=1e-4, atol=0)


def spread_case(distribution):
    rng = np.random.default_rng(1)
    truth = rng.normal(50, 4, (3, 10, 10, 2)).astype(np.float32)
    weight = (rng.random(truth.shape) > 0.2).astype(np.float32)
    guess = truth + rng.normal(0, 2, truth.shape)
    if distribution is GAUSSIAN:
        each = np.stack([guess, rng.uniform(0.5, 3, guess.shape)], -1)
    else:
        each = guess[..., None] + np.array([-2.0, 0.3, 2.0])
    return truth, each.reshape(3, 10, 10, -1).astype(np.float32), weight


@pytest.mark.parametrize("distribution", [QUANTILES, GAUSSIAN])
def test_metrics_match_numpy(distribution):
    truth, predicted, weight = spread_case(distribution)
    metrics = DistributionMetrics(["a", "b"], distribution)
    for part in range(3):
        spoiled = np.where(weight > 0, truth, np.nan)[part]
        metrics.update(spoiled, predicted[part], weight[part])
    result = metrics.result()
    for index, name in enumerate("ab"):
        valid = weight[..., index] > 0
        true, each = truth[..., index][valid], predicted.reshape(*truth.shape, -1)[..., index, :]
        given = each[valid].astype(float)
        if distribution is GAUSSIAN:
            z = (true - given[:, 0]) / given[:, 1]
            density = np.exp(-(z**2) / 2) / (given[:, 1] * np.sqrt(2 * np.pi))
            wanted = {"nll": -np.log(density).mean(), "coverage": (abs(z) <= 1.96).mean()}
            middle, expected = given[:, 0], 0.95
        else:
            losses = [
                np.where(true > given[:, i], level * (true - given[:, i]),
                         (1 - level) * (given[:, i] - true)).mean()
                for i, level in enumerate((0.1, 0.5, 0.9))
            ]  # fmt: skip
            inside = (given[:, 0] <= true) & (true <= given[:, 2])
            wanted = {"pinball": np.mean(losses), "coverage": inside.mean()}
            middle, expected = given[:, 1], 0.8
        wanted |= {"mae": abs(true - middle).mean(), "expected_coverage": expected}
        for key, value in wanted.items():
            assert result.per_class[name][key] == pytest.approx(value, rel=1e-5)
        assert 0.05 < wanted["coverage"] < 0.95
    assert result.pixels == weight.sum()
    assert result.values["coverage"] == pytest.approx(
        np.mean([own["coverage"] for own in result.per_class.values()]), rel=1e-12
    )


def test_one_quantile_covers_what_lies_below_it():
    metrics = DistributionMetrics(["a"], Distribution((0.7,)))
    metrics.update(np.array([[1.0], [2.0], [3.0], [9.0]]), np.full((4, 1), 2.5))
    assert metrics.result().values["coverage"] == 0.5
    assert metrics.result().values["expected_coverage"] == 0.7


def test_no_pixel_has_no_metric():
    found = DistributionMetrics(["a"], GAUSSIAN).result().values
    assert np.isnan([found["nll"], found["coverage"], found["mae"]]).all()


@pytest.fixture
def noisy(tmp_path):
    """A target whose noise is known: twice the first channel, with a spread of 10."""
    chance = np.random.default_rng(0)
    for name in "abcd":
        image = chance.normal(100, 20, (32, 32, 2)).astype(np.float32)
        target = 2 * image[..., :1] + chance.normal(0, 10, (32, 32, 1)).astype(np.float32)
        for folder, array in (("images", image), ("targets", target)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            write_raster(tmp_path / "data" / folder / f"{name}.npy", array)
    (tmp_path / "data" / "split.csv").write_text("name,split\na,train\nb,train\nc,val\nd,test\n")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("loss", "metric", "names"),
    [
        ("quantile", "pinball", ["band 1 q0.1", "band 1 q0.5", "band 1 q0.9"]),
        ("gaussian", "nll", ["band 1 mean", "band 1 std"]),
    ],
)
def test_a_run_gives_an_honest_spread(noisy, tmp_path, loss, metric, names):
    recipe = {
        "data": {"path": str(noisy), "patch": 16},
        "network": {"name": "unet", "filters": 4, "depth": 1},
        "norm": "batch(momentum=0.8)@pre-activation",
        "training": {
            "epochs": 3, "steps": 40, "batch_size": 4, "learning_rate": 0.02,
            "loss": loss, "metric": metric,
        },
    }  # fmt: skip
    run = nw.train(recipe, out=tmp_path / "run", progress=False)
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    values = nw.evaluate(tmp_path / "run").values
    assert values["r2"] > 0.7
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"It reaches {metric} {values[metric]:.4g} on 1 test image, where the simplest" in page
    assert "the normal law of the training targets everywhere, reaches" in page
    assert abs(values["coverage"] - values["expected_coverage"]) < 0.15
    image = np.load(noisy / "images" / "d.npy")
    found = nw.predict(tmp_path / "run", image)
    assert found.shape == (32, 32, len(names))
    # The spread is that of the errors: of the noise at least, which nobody can know.
    spread = (found[..., 2] - found[..., 0]) / 2.56 if loss == "quantile" else found[..., 1]
    assert np.median(spread) == pytest.approx(values["rmse"], rel=0.4)
    assert np.median(spread) > 8
    plan = str(nw.plan_of(tmp_path / "run"))
    assert plan == "standardize@input,batch(momentum=0.8)@pre-activation"
    nw.predict(tmp_path / "run", noisy / "images" / "d.npy", tmp_path / "out.tif")
    assert list(raster_info(tmp_path / "out.tif").band_names) == names


@pytest.mark.backends
@pytest.mark.parametrize("targets", [1, 2])
def test_quantiles_never_cross(targets, tmp_path):
    output = regression_output(["a", "b"][:targets], [5.0, -3.0][:targets], [4.0, 9.0][:targets],
                               QUANTILES)  # fmt: skip
    linear = network(outputs=output.channels)
    linear.layers[-1].bias.assign(np.linspace(0.3, -0.3, output.channels))
    raw = keras.ops.convert_to_numpy(linear(X))
    crossed = np.diff(QUANTILES.of_each_target(raw), axis=-1) < 0
    assert 0.2 < crossed.mean() < 1  # else nothing is tested
    finished_model(linear, output).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    found = QUANTILES.of_each_target(again.predict_on_batch(X))
    assert np.diff(found, axis=-1).min() >= 0
    # Each target keeps its own values, in its units.
    std, mean = np.array([[2.0], [3.0]])[:targets], np.array([[5.0], [-3.0]])[:targets]
    own = np.sort(QUANTILES.of_each_target(raw), axis=-1)
    np.testing.assert_allclose(found, own * std + mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(output.decoded(raw), found.reshape(raw.shape), rtol=1e-5, atol=1e-5)


def test_sorted_quantiles_have_no_larger_pinball_loss():
    """For each pixel, whatever the truth: sorting is a sum of swaps, none of which costs."""
    rng = np.random.default_rng(2)
    truth, crossed = rng.normal(size=(500, 1)), rng.normal(size=(500, 3))
    losses = []
    for given in (crossed, np.sort(crossed, -1)):
        metrics = DistributionMetrics(["a"], QUANTILES)
        metrics.update(truth, given)
        losses.append(metrics.result().values["pinball"])
    assert losses[1] < losses[0]
