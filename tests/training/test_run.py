"""A run from a data folder to a run folder: what is in it, resuming, and what is refused."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from PIL import Image

from normwise.data.folder import open_dataset
from normwise.errors import DataError, NormwiseError, OutputExistsError, RecipeError, RunError
from normwise.training.evaluate import evaluate, input_mean
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.resolve import patch_notes
from normwise.training.run import train
from normwise.training.run_folder import FILES
from normwise.training.run_record import RunRecord, State
from normwise.training.whole_items import whole_items
from normwise.workflows.evaluate import _named
from normwise.workflows.evaluate import evaluate as evaluate_run

SIZES = [(32, 32), (30, 45), (32, 32), (33, 20), (32, 32), (40, 40)]


def write_folder(root, task):
    rng = np.random.default_rng(0)
    labels = root / ("masks" if task == "segmentation" else "targets")
    for folder in (root / "images", labels):
        folder.mkdir(parents=True)
    for index, size in enumerate(SIZES):
        image = rng.normal(2000, 300, (*size, 3)).astype(np.float32)
        image[:4, :4] = np.nan
        np.save(root / "images" / f"i{index}.npy", image)
        mean = np.nan_to_num(image.mean(-1), nan=2000)
        if task == "segmentation":
            mask = (mean > 2000).astype(np.uint8)
            mask[-3:] = 255
            Image.fromarray(mask).save(labels / f"i{index}.png")
        else:
            target = np.stack([mean * 0.1 + 50, -mean], -1).astype(np.float32)
            target[5:8] = np.nan
            np.save(labels / f"i{index}.npy", target)
    splits = ["train", "train", "train", "val", "val", "test"]
    rows = "".join(f"i{index},{split}\n" for index, split in enumerate(splits))
    (root / "split.csv").write_text(f"name,split\n{rows}")
    (root / "dataset.yaml").write_text("nodata: .nan\n")
    return root


def recipe_of(data, **training):
    return Recipe(
        data={"path": str(data), "patch": 16},
        network={"name": "unet", "filters": 4, "depth": 1},
        norm="batch(momentum=0.8)@pre-activation",
        training={"epochs": 2, "steps": 25, "batch_size": 4, "learning_rate": 0.02, **training},
    )


@pytest.fixture(scope="module", params=["segmentation", "regression"])
def finished(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    data = write_folder(root / "data", request.param)
    return request.param, data, train(recipe_of(data), out=root / "run", progress=False)


def test_the_folder_is_complete(finished):
    task, _, run = finished
    assert all((run.folder / name).is_file() for name in FILES)
    left = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    assert left == set(FILES)
    resolved = load_recipe(run.folder / "recipe.yaml")
    assert resolved.norm.startswith("standardize@input")
    assert resolved.data.labels == ("masks" if task == "segmentation" else "targets")
    assert resolved.training.metric == ("iou" if task == "segmentation" else "r2")
    content = json.loads((run.folder / "metrics.json").read_text())
    assert content["values"] == pytest.approx(dict(run.metrics.values))
    log = (run.folder / "log.txt").read_text()
    assert "epoch 2/2" in log
    assert f"best epoch {run.best_epoch}" in log


def test_the_page_tells_what_was_reached(finished):
    task, _, run = finished
    kept, page = RunRecord.read(run.folder), (run.folder / "report.html").read_text()
    assert kept.state is State.finished
    assert kept.told["training.learning_rate"] == 0.02
    (found,) = kept.evaluations
    assert json.loads(found.metrics.to_json()) == json.loads(run.metrics.to_json())
    metric = "iou" if task == "segmentation" else "r2"
    floor = found.floor.metrics.values[metric]
    assert floor < found.metrics.values[metric]
    for part in (
        f"It reaches {metric} {found.metrics.values[metric]:.4g} on 2 validation images",
        f"reaches {floor:.4g}.", kept.fingerprint, "On 2 validation images", "wrong</fig" if (
            task == "segmentation") else "red: too high",
    ):  # fmt: skip
        assert part in page, part
    assert page.count("data:image/png;base64") == 2 * 4
    assert page.count('class="chart"') == 2
    assert page.count('class="network"') == 1
    assert ("Which class is taken for which" in page) == (task == "segmentation")


def test_an_evaluation_is_added_to_the_page(finished, tmp_path, caplog):
    _, data, run = finished
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    found = evaluate_run(folder / "model.keras", split="test")
    kept, page = RunRecord.read(folder), (folder / "report.html").read_text()
    assert [one.split for one in kept.evaluations] == ["val", "test"]
    test = kept.evaluations[1]
    assert (test.data, test.images, test.tta) == (str(data), 1, "none")
    assert json.loads(test.metrics.to_json()) == json.loads(found.to_json())
    assert test.floor.constant == kept.evaluations[0].floor.constant
    assert page.index("On 1 test image<") < page.index("On 2 validation images<")
    assert "From 1 test image, of" in page
    (folder / "report.html").unlink()
    for content in ("{", json.dumps({"of": "a newer normwise"})):
        (folder / "report.json").write_text(content)
        with caplog.at_level(logging.WARNING):
            assert evaluate_run(folder, split="test").values == found.values
        assert "report.json can't be read" in caplog.text
        caplog.clear()
    (folder / "report.json").unlink()
    assert evaluate_run(folder, split="test").values == found.values
    assert not (folder / "report.html").exists()


def test_each_csv_file_of_a_folder_is_data_of_its_own():
    own, other = "/lakes/a.csv", "/lakes/b.csv"
    page = SimpleNamespace(kept=SimpleNamespace(data=own))
    opened = SimpleNamespace(root=Path("/lakes"))
    given = (None, own, Path(other), "/lakes", opened)
    names = [_named(one, opened, page) for one in given]
    assert names == [own, own, other, "/lakes", "/lakes"]


def test_it_learnt(finished):
    task, data, run = finished
    test = evaluate(run.model, open_dataset(data), "test")
    assert test.values["iou" if task == "segmentation" else "r2"] > 0.25
    assert 0 < test.pixels < 2 * 40 * 40
    assert test == evaluate(run.folder / "model.keras", open_dataset(data), "test")


def test_the_model_takes_raw_values(finished):
    task, data, run = finished
    assert np.allclose(input_mean(run.model), 2000, rtol=0, atol=40)
    image = np.load(data / "images" / "i4.npy")[None, 8:24, 8:24]
    found = np.asarray(run.model.predict_on_batch(image))[0]
    if task == "segmentation":
        assert found.shape == (16, 16, 1)
        assert 0 <= found.min() < 0.5 < found.max() <= 1
    else:
        assert np.abs(found[..., 0] - 250).mean() < 40
        assert np.abs(found[..., 1] + 2000).mean() < 400


def test_the_model_is_made_of_what_keras_knows(finished):
    _, _, run = finished
    with ZipFile(run.folder / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert '"module": "keras.layers"' in config
    assert "normwise" not in config
    assert not run.model.compiled


@pytest.mark.parametrize("finished", ["regression"], indirect=True)
def test_the_model_loads_where_normwise_is_not(finished, tmp_path):
    _, data, run = finished
    image = np.load(data / "images" / "i4.npy")[None, 8:24, 8:24]
    np.save(tmp_path / "x.npy", image)
    code = (
        "import sys, numpy as np\n"
        "sys.modules['normwise'] = None\n"
        "import keras\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "np.save('y.npy', model.predict_on_batch(np.load('x.npy')))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(run.folder / "model.keras")], cwd=tmp_path, check=True
    )
    wanted = run.model.predict_on_batch(image)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), wanted, rtol=1e-5, atol=1e-5)


def test_the_model_loads_on_another_backend(finished, tmp_path):
    _, data, run = finished
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    pytest.importorskip(other)
    image = np.load(data / "images" / "i4.npy")[None, 8:24, 8:24]
    np.save(tmp_path / "x.npy", image)
    code = (
        f"import os, sys; os.environ['KERAS_BACKEND'] = '{other}'\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "y = model.predict_on_batch(np.load('x.npy'))\n"
        "np.save('y.npy', keras.ops.convert_to_numpy(y))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(run.folder / "model.keras")], cwd=tmp_path, check=True
    )
    wanted = keras.ops.convert_to_numpy(run.model.predict_on_batch(image))
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), wanted, rtol=1e-4, atol=1e-4)


def test_a_run_is_not_replaced_by_chance(finished):
    _, data, run = finished
    before = (run.folder / "model.keras").read_bytes()
    with pytest.raises(OutputExistsError, match=r"holds a run already.*--resume.*--overwrite"):
        train(recipe_of(data), out=run.folder, progress=False)
    file = run.folder / "model.keras"
    with pytest.raises(OutputExistsError, match=r"model\.keras is a file, not a folder"):
        train(recipe_of(data), out=file, overwrite=True, progress=False)
    assert file.read_bytes() == before


def test_resuming_a_finished_run_gives_it_again(finished):
    _, data, run = finished
    history = run.folder / "history.csv"
    text = history.read_text()
    # As if killed between the last checkpoint and its history.
    history.write_text("".join(text.splitlines(keepends=True)[:-1]))
    again = train(recipe_of(data), out=run.folder, resume=True, progress=False)
    assert again.metrics == run.metrics
    assert again.history == run.history
    assert history.read_text() == text


def test_resuming_needs_a_run_and_its_recipe(finished, tmp_path):
    _, data, run = finished
    with pytest.raises(RunError, match="no run to resume"):
        train(recipe_of(data), out=tmp_path, resume=True, progress=False)
    files = [path for path in run.folder.rglob("*") if path.is_file() and path.suffix != ".txt"]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    with pytest.raises(RunError, match=r"training\.seed is 3, was 0"):
        train(recipe_of(data, seed=3), out=run.folder, resume=True, progress=False)
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    assert load_recipe(run.folder / "recipe.yaml").training.seed == 0
    table = data / "split.csv"
    text = table.read_text()
    table.write_text(text.replace("i5,test", "i5,train"))
    try:
        with pytest.raises(RunError, match=r"have changed since it began.*split otherwise: i5"):
            train(recipe_of(data), out=run.folder, resume=True, progress=False)
    finally:
        table.write_text(text)
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before


@pytest.mark.parametrize("finished", ["segmentation"], indirect=True)
def test_a_run_killed_in_its_first_epoch_starts_again(finished, tmp_path):
    _, data, run = finished
    killed = tmp_path / "run"
    killed.mkdir()
    (killed / "recipe.yaml").write_bytes((run.folder / "recipe.yaml").read_bytes())
    again = train(recipe_of(data), out=killed, resume=True, progress=False)
    assert again.metrics == run.metrics


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.loss=huber", r"training\.loss: received 'huber'; allowed for this segment"),
        ("training.metric=rmse", r"training\.metric: received 'rmse'"),
        ("data.patch=17", "multiples of the network's total stride of 2 pixels"),
        ("data.patch=184", r"received \[184, 184\]; allowed: up to 4 times .* side of 45 pixels"),
        ("network.name=unett", "unet"),
        ("network.filtres=3", r"network\.filtres: unknown option of unet.*network\.filters"),
        ("network.input_statistics=[0, 1]", r"network\.input_statistics: unknown option of unet"),
        ("norm=batch@nowhere", "nowhere"),
    ],
)
def test_what_does_not_suit_is_said_before_anything_is_written(tmp_path, setting, message):
    data = write_folder(tmp_path / "data", "segmentation")
    with pytest.raises(NormwiseError, match=message):
        train(with_settings(recipe_of(data), [setting]), out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_no_message_offers_what_only_the_data_can_tell(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    with pytest.raises(RecipeError) as caught:
        train(with_settings(recipe_of(data), ["network.q=3"]), out=tmp_path / "run")
    assert "network.filters" in str(caught.value)
    assert "input_statistics" not in str(caught.value)


def test_a_patch_beyond_every_image_is_noted(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    dataset = open_dataset(data)
    (note,) = patch_notes(with_settings(recipe_of(data), ["data.patch=[16, 48]"]), dataset)
    assert "16x48" in note
    assert "32x45" in note
    assert patch_notes(recipe_of(data), dataset) == ()


def test_an_empty_split_names_those_with_images(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    rows = "".join(f"i{index},{'val' if index else 'train'}\n" for index in range(6))
    (data / "split.csv").write_text(f"name,split\n{rows}")
    with pytest.raises(DataError, match=r"in val \(5\), train \(1\); .* `--split val`"):
        next(whole_items(open_dataset(data), "test", [0.0]))


def test_a_run_is_measured_by_its_own_labels_where_a_folder_has_both(finished, tmp_path):
    task, data, run = finished
    both = tmp_path / "both"
    shutil.copytree(data, both)
    own, other = ("masks", "targets") if task == "segmentation" else ("targets", "masks")
    (both / other).mkdir()
    wanted = evaluate_run(run.folder, data).values
    assert evaluate_run(run.folder, both).values == wanted
    shutil.copy(run.folder / "model.keras", tmp_path / "alone.keras")
    with pytest.raises(DataError, match="--labels masks"):
        evaluate_run(tmp_path / "alone.keras", both)
    assert evaluate_run(tmp_path / "alone.keras", both, labels=own).values == wanted
    with pytest.raises(DataError, match=f"has no {other[:-1]}"):
        evaluate_run(run.folder, both, labels=other)


def test_a_run_needs_a_place():
    with pytest.raises(RecipeError, match="out: missing"):
        train(recipe_of("nowhere"))


def test_a_model_of_other_outputs_is_refused(finished, tmp_path):
    task, _, run = finished
    other = "regression" if task == "segmentation" else "segmentation"
    data = write_folder(tmp_path / "data", other)
    with pytest.raises(DataError, match="output channels"):
        evaluate(run.model, open_dataset(data), "test")


def test_validation_is_measured_on_the_images_that_validated(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    (data / "split.csv").unlink()
    recipe = recipe_of(data, epochs=1, steps=2, seed=5)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"validation": 0.4})})
    run = train(recipe, out=tmp_path / "run", progress=False)
    again = evaluate_run(run.folder, split="val")
    assert again.pixels == run.metrics.pixels
    assert again.values == pytest.approx(dict(run.metrics.values), nan_ok=True)
    other = evaluate(run.model, open_dataset(data), "val")  # another seed and share
    assert other.pixels != run.metrics.pixels
