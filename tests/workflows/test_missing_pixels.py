"""Missing pixels are filled with one thing: in training, validation, evaluation and prediction."""

import numpy as np
import pytest
import yaml

import normwise as nw
from normwise.data import channel_statistics, open_dataset
from normwise.rasters import write_raster
from normwise.workflows.model_images import fill_of

pytestmark = pytest.mark.usefixtures("no_pictures")

SIZE = (16, 16)
SMALL = [
    "training.epochs=1", "training.steps=4", "training.batch_size=2", "network.filters=4",
    "network.depth=1", "data.patch=16", "training.workers=1", "training.learning_rate=0.01",
]  # fmt: skip


def image(rng):
    made = rng.normal((400.0, 40.0, 4.0), (20.0, 5.0, 1.0), (*SIZE, 3)).astype(np.float32)
    made[2:9, 3:9, 1] = np.nan
    made[:2, :2] = np.nan
    # What has no logarithm.
    made[12:14, 5:9, 0] = made[14:, 14:] = -np.inf
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("holes")
    rng = np.random.default_rng(0)
    for name in "abcde":
        pixels = image(rng)
        write_raster(root / "images" / f"{name}.npy", pixels)
        known = np.where(np.isfinite(pixels), pixels, 40.0)
        target = known.mean(-1, keepdims=True).astype(np.float32)
        write_raster(root / "targets" / f"{name}.npy", target)
    (root / "dataset.yaml").write_text("nodata: .nan\n")
    rows = zip("abcde", ["train"] * 3 + ["val"] * 2, strict=True)
    (root / "split.csv").write_text("name,split\n" + "".join(f"{n},{s}\n" for n, s in rows))
    return root


@pytest.mark.parametrize("kind", ["group(groups=3)", "batch"])
def test_training_and_prediction_fill_alike(data, tmp_path, kind):
    recipe = {"data": {"path": str(data)}, "norm": f"{kind}@input,batch@pre-activation"}
    run = nw.train(recipe, out=tmp_path / "run", settings=SMALL, progress=False)
    mean = channel_statistics(open_dataset(data), "train").mean.astype(np.float32)
    pixels = image(np.random.default_rng(9))
    holes = ~np.isfinite(pixels)
    predicted = nw.predict(run.folder, pixels)
    assert np.array_equal(np.isnan(predicted[..., 0]), holes.all(-1))
    seen = ~np.isnan(predicted)
    filled = nw.predict(run.folder, np.where(holes, mean, pixels))
    np.testing.assert_allclose(predicted[seen], filled[seen], rtol=1e-5, atol=1e-5)
    zeros = nw.predict(run.folder, np.where(holes, np.float32(0), pixels))
    assert np.abs(predicted[seen] - zeros[seen]).max() > 1e-2
    again = nw.evaluate(run.folder, split="val").values
    assert again == pytest.approx(dict(run.metrics.values), rel=1e-6)
    # Whole images are the tiles of validation, so each epoch was measured in the same way.
    assert run.history[0]["val_rmse"] == pytest.approx(again["rmse"], rel=1e-4)
    np.testing.assert_allclose(fill_of(run.model, run.folder), mean, rtol=1e-6)
    # The control: it is the record that tells, and another one would be noticed.
    record = run.folder / "images.yaml"
    np.testing.assert_allclose(yaml.safe_load(record.read_text())["fill"], mean, rtol=1e-6)
    record.write_text("fill: [0.0, 0.0, 0.0]\n")
    other = nw.evaluate(run.folder, split="val").values["rmse"]
    assert abs(other - again["rmse"]) > 1e-3 * again["rmse"]
