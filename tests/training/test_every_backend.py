"""A whole training, from a folder to a saved model, on whichever backend runs the tests."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.rasters import read_raster, write_raster


@pytest.fixture
def stripes(tmp_path):
    """A regression that a small network learns at once: the target is twice the first channel."""
    chance = np.random.default_rng(0)
    for name in "abcd":
        image = chance.normal(100, 20, (16, 16, 2)).astype(np.float32)
        (tmp_path / "data" / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "targets").mkdir(exist_ok=True)
        write_raster(tmp_path / "data" / "images" / f"{name}.npy", image)
        write_raster(tmp_path / "data" / "targets" / f"{name}.npy", 2 * image[..., :1])
    splits = "name,split\na,train\nb,train\nc,val\nd,test\n"
    (tmp_path / "data" / "split.csv").write_text(splits)
    return tmp_path / "data"


@pytest.mark.backends
def test_training_learns_saves_and_predicts(stripes, tmp_path):
    recipe = {
        "data": {"path": str(stripes), "patch": 16},
        "network": {"name": "unet", "filters": 4, "depth": 1},
        "norm": "batch(momentum=0.8)@pre-activation",
        "training": {"epochs": 3, "steps": 15, "batch_size": 4, "learning_rate": 0.02},
    }
    run = nw.train(recipe, out=tmp_path / "run", progress=False)
    losses = [row["loss"] for row in run.history]
    assert losses[-1] < 0.5 * losses[0]
    metrics = nw.evaluate(tmp_path / "run")
    assert metrics.values["r2"] > 0.3
    page = (tmp_path / "run" / "report.html").read_text()
    assert "On 1 test image<" in page and "On 1 validation image<" in page
    image = np.load(stripes / "images" / "d.npy")
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    plain = keras.ops.convert_to_numpy(model(image[None]))[0]
    np.testing.assert_allclose(nw.predict(tmp_path / "run", image), plain, rtol=1e-4, atol=1e-2)
    assert not np.allclose(plain, 2 * image[..., :1], rtol=1e-4, atol=1e-2)
    assert (
        str(nw.plan_of(tmp_path / "run")) == "standardize@input,batch(momentum=0.8)@pre-activation"
    )


@pytest.mark.backends
def test_a_network_for_volumes_is_built_and_takes_a_step():
    """A residual one; tests/networks/test_families.py steps with the others."""
    keras.utils.set_random_seed(0)
    shape, plan = (None, None, None, 2), "batch@pre-activation"
    model = nw.build("residual", shape, 1, norm=plan, filters=2, depth=1, blocks=1)
    assert model.output_shape == (None, None, None, None, 1)
    chance = np.random.default_rng(0)
    x = chance.normal(3, 2, (2, 4, 8, 6, 2)).astype(np.float32)
    y = x.sum(-1, keepdims=True)
    before = [np.array(value) for value in model.get_weights()]
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mean_squared_error")
    losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
    assert losses[-1] < losses[0]
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(moved)  # kernels, biases, scales and moving statistics
    assert str(nw.plan_of(model)) == plan


@pytest.mark.backends
@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_the_prediction_of_a_volume_is_written_and_read(tmp_path, suffix):
    keras.utils.set_random_seed(1)
    model = nw.build("unet", (None, None, None, 2), 3, norm="batch@skip", filters=2, depth=1)
    volume = np.random.default_rng(1).normal(size=(4, 6, 8, 2)).astype(np.float32)
    write_raster(tmp_path / "volume.npy", volume)
    written = nw.predict(model, tmp_path / "volume.npy", tmp_path / f"out.{suffix}")
    found = read_raster(written, 3)
    plain = keras.ops.convert_to_numpy(model(volume[None]))[0]
    assert found.shape == plain.shape == (4, 6, 8, 3)
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-5)
    assert np.abs(found - found[::-1]).max() > 1e-3  # slices are in their order
