"""Images scaled one by one: training, evaluation and prediction do the same."""

import json
import shutil

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.folder import open_dataset
from normwise.data.scaling import Percentiles
from normwise.errors import RecipeError
from normwise.training.evaluate import evaluate, input_mean
from normwise.training.recipe import Recipe
from normwise.training.run import train
from normwise.training.scaling import name_input, scaling_of_model

pytestmark = pytest.mark.usefixtures("no_pictures")


def write_folder(root):
    """Images of one scene whose exposures differ 400-fold; the mask is what is bright in each."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = ["name,split"]
    for index, gain in enumerate([1, 5, 40, 400, 2, 90, 20, 7]):
        scene = rng.random((8, 8)).repeat(4, 0).repeat(4, 1) + rng.random((32, 32)) * 0.1
        image = np.rint(scene * 100 * gain).astype(np.uint16)[..., None]
        image[:2, :2] = 65535
        np.save(root / "images" / f"i{index}.npy", image)
        np.save(root / "masks" / f"i{index}.npy", (scene > np.median(scene)).astype(np.uint8))
        rows.append(f"i{index},{'test' if index > 5 else 'val' if index == 5 else 'train'}")
    (root / "split.csv").write_text("\n".join(rows))
    (root / "dataset.yaml").write_text("nodata: 65535\nclasses: [dark, bright]\n")
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("scaled")
    data = write_folder(root / "data")
    recipe = Recipe(
        data={"path": str(data), "patch": 16, "scaling": "percentiles", "percentiles": (2, 98)},
        network={"filters": 4, "depth": 1},
        norm="batch(momentum=0.8)@pre-activation",
        training={"epochs": 2, "steps": 30, "batch_size": 4, "learning_rate": 0.02},
    )
    return data, train(recipe, out=root / "run", progress=False)


def test_the_model_says_its_scaling_and_learns_across_exposures(finished):
    data, run = finished
    assert scaling_of_model(run.model) == Percentiles(2, 98)
    assert np.allclose(input_mean(run.model), 0.5, rtol=0, atol=0.2)  # scaled, not raw values
    assert evaluate(run.model, open_dataset(data), "test").values["iou"] > 0.75


def test_a_run_is_measured_on_images_scaled_as_in_training(finished):
    _, run = finished
    told = json.loads((run.folder / "metrics.json").read_text())["values"]
    assert told == pytest.approx(dict(nw.evaluate(run.folder, split="val").values), rel=1e-6)


def test_a_model_file_elsewhere_is_applied_in_the_same_way(finished, tmp_path):
    data, run = finished
    shutil.copy(run.folder / "model.keras", tmp_path / "moved.keras")
    image = data / "images" / "i7.npy"
    of_run = nw.predict(run.folder, image)
    np.testing.assert_array_equal(nw.predict(tmp_path / "moved.keras", image, nodata=65535), of_run)
    scaled = Percentiles(2, 98).scaled(np.load(image), nodata=65535)
    scaled[:2, :2] = input_mean(run.model)
    by_hand = run.model.predict_on_batch(scaled[None])[0]
    np.testing.assert_allclose(of_run[2:], by_hand[2:], rtol=1e-5, atol=1e-6)
    raw = run.model.predict_on_batch(np.load(image)[None].astype(np.float32))[0]
    assert not np.allclose(of_run[2:], raw[2:], rtol=1e-2, atol=1e-2)
    whole = nw.evaluate(run.folder)
    assert whole.values == nw.evaluate(tmp_path / "moved.keras", data).values


def test_a_model_with_another_input_is_left_alone():
    model = nw.build("unet", (None, None, 2), 1, filters=2, depth=1)
    name_input(model, None)
    assert scaling_of_model(model) is None
    name_input(model, Percentiles())
    assert scaling_of_model(model) == Percentiles()
    copy = keras.Model.from_config(model.get_config())
    assert scaling_of_model(copy) == Percentiles()


def test_impossible_percentiles_of_a_recipe_name_the_setting(finished, tmp_path):
    data, _ = finished
    recipe = Recipe(data={"path": str(data), "scaling": "percentiles", "percentiles": (99, 1)})
    with pytest.raises(RecipeError, match=r"data\.percentiles: .*99 and 1"):
        train(recipe, out=tmp_path / "run", progress=False)
