"""Networks that predict what a linear function of the input leaves of the target."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.relations import Relations
from normwise.data.statistics import ChannelStatistics
from normwise.errors import RecipeError
from normwise.keras_format.precision import set_precision
from normwise.keras_format.stride import stride_of
from normwise.training.distribution import Distribution
from normwise.training.output import finished_model, regression_output, segmentation_output
from normwise.training.residual import with_input_residual


def case(rng, plan="standardize@input,batch@pre-activation"):
    x = rng.normal([1000, 20, 0.1], [300, 2, 0.01], (4000, 3))
    y = x @ np.array([[3.0, 0.1], [0.0, 40.0], [500.0, 0.0]]) + [5, 6] + rng.normal(0, 9, (4000, 2))
    joined = np.c_[x, y]
    fit = Relations(3, joined.mean(0), np.cov(joined.T, bias=True), len(x)).linear_fit()
    counts = np.full(3, len(x))
    images = ChannelStatistics(x.mean(0), x.var(0), x.min(0), x.max(0), counts)
    output = regression_output(("a", "b"), y.mean(0).tolist(), y.var(0).tolist())
    statistics = (images.mean, images.variance) if "standardize" in plan else None
    network = nw.build(
        "unet", (None, None, 3), 2, plan, filters=4, depth=2, input_statistics=statistics
    )
    return x, fit, images, output, network


@pytest.mark.backends
@pytest.mark.parametrize("plan", ["standardize@input,batch@pre-activation", "batch@input"])
def test_without_the_network_it_is_the_least_squares_fit(plan, tmp_path):
    x, fit, images, output, network = case(np.random.default_rng(1), plan)
    model = finished_model(with_input_residual(network, fit, images, output), output)
    pixels = x[: 16 * 16].reshape(1, 16, 16, 3).astype(np.float32)
    expected = pixels @ fit.weights + fit.offset
    random = np.asarray(model.predict_on_batch(pixels))
    assert not np.allclose(random, expected, rtol=1e-3, atol=1e-3)
    head = network.get_layer("head")
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(pixels), expected, rtol=1e-5, atol=1e-2)


def test_the_network_counts_in_what_the_fit_leaves():
    _, fit, images, output, network = case(np.random.default_rng(2))
    model = with_input_residual(network, fit, images, output)
    scale = np.asarray(model.get_layer("difference").scale)
    np.testing.assert_allclose(scale * output.std, fit.residual_std, rtol=1e-6)
    np.testing.assert_allclose(fit.residual_std, 9, rtol=0.1)


def test_the_plan_and_the_stride_are_those_of_the_network():
    _, fit, images, output, network = case(np.random.default_rng(3))
    model = with_input_residual(network, fit, images, output)
    assert nw.plan_of(model) == nw.plan_of(network)
    assert stride_of(model) == stride_of(network) == 4


def test_several_outputs_a_target_are_refused():
    _, fit, images, output, network = case(np.random.default_rng(5))
    spread = regression_output(output.names, output.mean, (1.0, 1.0), Distribution(gaussian=True))
    with pytest.raises(RecipeError, match="4 outputs, 2 targets"):
        with_input_residual(network, fit, images, spread)


def test_several_heads_are_refused():
    _, fit, images, output, network = case(np.random.default_rng(6))
    heads = keras.Model(network.inputs, [network.outputs[0], network.outputs[0] * 1.0])
    with pytest.raises(RecipeError, match="2 heads"):
        with_input_residual(heads, fit, images, output)


def test_a_segmentation_is_refused():
    _, fit, images, _, network = case(np.random.default_rng(4))
    with pytest.raises(RecipeError, match=r"network\.input_residual: .* for a segmentation"):
        with_input_residual(network, fit, images, segmentation_output(("a", "b")))


@pytest.mark.parametrize("plan", ["standardize@input,batch@pre-activation", "batch@input"])
def test_steps_in_mixed_precision_keep_every_digit_of_the_fit(plan):
    x, fit, images, output, network = case(np.random.default_rng(7), plan)
    model = with_input_residual(network, fit, images, output)
    head = network.get_layer("head")
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    pixels = x[: 8 * 8].reshape(1, 8, 8, 3).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(pixels))
    set_precision(model, "mixed_bfloat16")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(pixels)), wanted)
    dtypes = {layer.name: layer.compute_dtype for layer in model.layers}
    assert dtypes["difference"] == dtypes["input_residual"] == "float32"
    assert dtypes["head"] == "bfloat16"
