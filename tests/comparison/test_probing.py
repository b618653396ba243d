"""What is measured of a trial's network: against both modes of Keras itself, and beside instance
norm, which sees the whole tile."""

import keras
import numpy as np
import pytest

from normwise.comparison import probing
from normwise.comparison.probing import probed
from normwise.rasters import write_raster
from normwise.training.finished_run import Run
from normwise.training.metrics import Metrics
from normwise.training.output import finished_model
from normwise.training.preparing import parts_of
from normwise.training.recipe import Recipe

PLANS = ("batch@pre-activation", "instance@pre-activation", "none")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """By plan: recipe, data and a model whose norms hold other statistics than the data have."""
    root = tmp_path_factory.mktemp("probed")
    rng = np.random.default_rng(0)
    for name in "abcd":
        # Neighbouring pixels are alike, so that two tiles have statistics of their own.
        image = rng.normal(3, 2, (6, 6, 2)).repeat(8, 0).repeat(8, 1).astype(np.float32)
        image += rng.normal(size=image.shape).astype(np.float32)
        for kind, array in (("images", image), ("targets", image[..., :1] * 2)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            write_raster(root / kind / f"{name}.npy", array)
    (root / "split.csv").write_text("name,split\na,train\nb,train\nc,val\nd,test\n")
    found = {}
    for plan in PLANS:
        parts = parts_of(
            Recipe(
                data={"path": str(root), "patch": 16},
                network={"filters": 2, "depth": 1},
                norm=plan,
                training={"batch_size": 3},
            )
        )
        model = finished_model(parts.network, parts.output)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.moving_mean.assign(rng.normal(1.5, 0.5, layer.moving_mean.shape))
                layer.moving_variance.assign(rng.uniform(0.4, 2, layer.moving_variance.shape))
        found[plan] = parts.recipe, parts.dataset, model
    return root, found


@pytest.fixture(scope="module")
def results(made):
    """By plan: what was measured, and the weights before and after."""
    root, found = made
    run, results = Run(root, Metrics("regression", {}, {}, 0), (), 1), {}
    for plan, (recipe, dataset, model) in found.items():
        before = model.get_weights()
        measured = probed(run, model, recipe, dataset, "test")
        results[plan] = *measured, before, model.get_weights()
    return results


def test_training_mode_differs_as_it_does_in_keras(made, results):
    probes, findings, *_ = results["batch@pre-activation"]
    recipe, dataset, model = made[1]["batch@pre-activation"]
    samples = probing._samples(model, dataset, recipe, [0.0, 0.0])
    assert probes.samples == len(samples) == 18
    kept, inference, training = model.get_weights(), [], []
    for batch in samples.shuffled(3):
        inference.append(np.asarray(model(batch.inputs, training=False)))
    for batch in samples.shuffled(3):
        training.append(keras.ops.convert_to_numpy(model(batch.inputs, training=True)))
    model.set_weights(kept)
    difference = np.sqrt(np.mean(np.square(np.subtract(training, inference))))
    wanted = difference / np.std(inference)
    assert wanted > 0.1
    np.testing.assert_allclose(probes.disparity, wanted, rtol=1e-3)
    assert ("NW212 train-eval-gap", "warning") in findings


def test_what_others_do_to_a_patch(results):
    batch, none = results["batch@pre-activation"][0], results["none"][0]
    assert batch.batch_dependence > 0.01
    assert batch.inference_dependence < 1e-5
    assert (none.disparity, none.batch_dependence) == (0.0, 0.0)
    assert results["none"][1] == ()


def test_what_a_tile_does_to_a_pixel(results):
    instance, findings, *_ = results["instance@pre-activation"]
    assert instance.tile_mismatch > 0.01
    assert [name for name, _ in findings] == ["NW304 tile-mismatch"]
    assert instance.disparity == 0.0
    for plan in ("batch@pre-activation", "none"):
        assert results[plan][0].tile_mismatch == 0.0


def test_the_model_stays_as_it_is(results):
    for *_, before, after in results.values():
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)
