"""A whole training, from a folder to a saved model, on whichever backend runs the tests."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.rasters import write_raster


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
    image = np.load(stripes / "images" / "d.npy")
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    plain = keras.ops.convert_to_numpy(model(image[None]))[0]
    np.testing.assert_allclose(nw.predict(tmp_path / "run", image), plain, rtol=1e-4, atol=1e-2)
    assert not np.allclose(plain, 2 * image[..., :1], rtol=1e-4, atol=1e-2)
    assert (
        str(nw.plan_of(tmp_path / "run")) == "standardize@input,batch(momentum=0.8)@pre-activation"
    )
