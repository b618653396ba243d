"""Cross-validation from a folder to an ensemble, interrupted and resumed."""

import json
import shutil
import statistics

import numpy as np
import pytest

import normwise as nw
from normwise.errors import DataError, OutputExistsError, RecipeError, RunError
from normwise.files import write_text
from normwise.json_files import json_text
from normwise.rasters import write_raster
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.recipe_changes import with_settings
from normwise.training.recipe_reasons import reasoned_yaml
from normwise.workflows import cross_validation as workflow

pytestmark = pytest.mark.usefixtures("no_pictures")

SETTINGS = (
    "network.filters=4", "network.depth=1", "training.epochs=1", "training.steps=2",
    "training.batch_size=2", "data.patch=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds") / "data"
    rng = np.random.default_rng(0)
    rows = ["name,split,group"]
    for index in range(7):
        image = rng.normal(size=(16, 16, 2)).astype(np.float32)
        for part, array in (("images", image), ("targets", image[..., :1] * 2 + 1)):
            (root / part).mkdir(parents=True, exist_ok=True)
            write_raster(root / part / f"i{index}.npy", array)
        group = "twins" if index in (1, 2) else ""
        rows.append(f"i{index},{'test' if index == 0 else 'train'},{group}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("found") / "runs"
    return nw.cross_validate(data, 2, out=out, settings=SETTINGS, progress=False)


def test_every_fold_is_a_run_and_the_numbers_are_theirs(found):
    written = json.loads((found.folder / "metrics.json").read_text())
    rmse = []
    for number in (1, 2):
        fold = found.folder / f"fold{number}"
        assert load_recipe(fold / "recipe.yaml").data.fold == (number, 2)
        rmse.append(json.loads((fold / "metrics.json").read_text())["values"]["rmse"])
    assert rmse[0] != rmse[1]
    assert written["values"]["rmse"] == pytest.approx(sum(rmse) / 2)
    assert written["spread"]["rmse"] == pytest.approx(statistics.stdev(rmse))
    assert found.mean["rmse"] == pytest.approx(sum(rmse) / 2)


def test_the_folder_is_an_ensemble(found, data):
    image = np.load(data / "images" / "i0.npy")
    members = [nw.predict(found.folder / f"fold{k}", image) for k in (1, 2)]
    together = nw.predict(found.folder, image)
    np.testing.assert_allclose(together, (members[0] + members[1]) / 2, rtol=1e-5, atol=1e-6)
    truth = np.load(data / "targets" / "i0.npy")
    measured = nw.evaluate(found.folder, split="test")
    wanted = float(np.sqrt(np.mean((together - truth) ** 2)))
    assert measured.values["rmse"] == pytest.approx(wanted, rel=1e-4)
    alone = nw.evaluate(found.folder / "fold1", split="test")
    assert alone.values["rmse"] != pytest.approx(wanted, rel=1e-4)


def test_finished_folds_are_kept_and_the_others_made(found, data, monkeypatch):
    kept = (found.folder / "fold1" / "model.keras").read_bytes()
    before = nw.predict(found.folder, np.load(data / "images" / "i0.npy"))
    for path in (found.folder / "fold2").rglob("*"):
        if path.is_file():
            path.unlink()
    (found.folder / "ensemble.json").unlink()
    calls = []
    real = workflow.train_chosen
    monkeypatch.setattr(
        workflow, "train_chosen", lambda *a, **k: calls.append(k["out"]) or real(*a, **k)
    )
    again = nw.cross_validate(found.folder, resume=True, progress=False)
    assert [out.name for out in calls] == ["fold2"]
    assert (found.folder / "fold1" / "model.keras").read_bytes() == kept
    assert again.per_fold == found.per_fold
    after = nw.predict(found.folder, np.load(data / "images" / "i0.npy"))
    np.testing.assert_array_equal(before, after)


def test_folds_keep_the_reasons_of_a_recipe(data, tmp_path, monkeypatch):
    def train_chosen(recipe, *, out, reasons, **_):
        seen.append(dict(reasons))
        write_text(out / "metrics.json", '{"values": {"rmse": 1.0}}')

    seen, out = [], tmp_path / "runs"
    why = {"network.filters": "memory is small", "network.depth": "so are the images"}
    recipe = with_settings(Recipe(data={"path": str(data)}), SETTINGS)
    write_text(tmp_path / "recipe.yaml", reasoned_yaml(recipe, why))
    monkeypatch.setattr(workflow, "train_chosen", train_chosen)
    settings = ["network.depth=2"]
    nw.cross_validate(tmp_path / "recipe.yaml", 2, out=out, settings=settings, progress=False)
    (out / "fold2" / "metrics.json").unlink()
    nw.cross_validate(out, resume=True, progress=False)
    assert seen == [{"network.filters": "memory is small"}] * 3


def test_what_is_there_is_not_overwritten(found, data):
    with pytest.raises(OutputExistsError, match="--resume"):
        nw.cross_validate(data, 2, out=found.folder, settings=SETTINGS)
    with pytest.raises(OutputExistsError, match=r"folds\.json is a file, not a folder"):
        nw.cross_validate(
            data, 2, out=found.folder / "folds.json", settings=SETTINGS, overwrite=True
        )


def test_other_folds_are_never_mixed_in(found, data):
    kept = (found.folder / "fold1" / "model.keras").read_bytes()
    with pytest.raises(RunError, match=r"training\.epochs is 2, was 1"):
        nw.cross_validate(found.folder, settings=["training.epochs=2"], resume=True, progress=False)
    with pytest.raises(RunError, match="3 folds, was 2"):
        nw.cross_validate(found.folder, 3, resume=True, progress=False)
    assert (found.folder / "fold1" / "model.keras").read_bytes() == kept


def test_a_metric_that_a_fold_does_not_have_is_no_number_there(tmp_path):
    folds = ({"iou": 0.5, "recall": float("nan")}, {"iou": 0.7, "recall": 0.4})
    found = workflow.CrossValidation(tmp_path, folds)
    assert found.mean == pytest.approx({"iou": 0.6, "recall": 0.4})
    assert np.isnan(found.spread["recall"])
    assert json.loads(json_text({"values": found.spread}))["values"]["recall"] is None


def test_runs_and_folds_do_not_share_a_folder(found, data, tmp_path, monkeypatch):
    def train_chosen(recipe, *, out, **_):
        write_text(out / "metrics.json", '{"values": {"rmse": 1.0}}')

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(OutputExistsError):
        nw.train(data, out=found.folder, settings=SETTINGS, progress=False)
    alone = shutil.copytree(found.folder / "fold1", tmp_path / "alone")
    before = (alone / "metrics.json").read_bytes()
    with pytest.raises(OutputExistsError):
        nw.cross_validate(data, 2, out=alone, settings=SETTINGS, progress=False)
    assert (alone / "metrics.json").read_bytes() == before
    # What is replaced goes before anything is trained.
    monkeypatch.setattr(workflow, "train_chosen", train_chosen)
    nw.cross_validate(data, 2, out=alone, settings=SETTINGS, overwrite=True, progress=False)
    assert not (alone / "model.keras").exists()
    assert (alone / "ensemble.json").exists()
    monkeypatch.setattr("normwise.training.run.fitted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nw.train(data, out=alone, settings=SETTINGS, overwrite=True, progress=False)
    assert not (alone / "ensemble.json").exists()


def test_images_that_trained_a_member_are_not_measured(found):
    with pytest.raises(DataError, match=r"fold1 is not that of .*fold2.*each member by itself"):
        nw.evaluate(found.folder, split="val")
    assert nw.evaluate(found.folder / "fold1", split="val").pixels > 0


def test_bad_input(data, tmp_path):
    with pytest.raises(RunError, match="nothing to resume"):
        nw.cross_validate(data, 2, out=tmp_path / "none", resume=True)
    with pytest.raises(RecipeError, match="how many"):
        nw.cross_validate(data)
    with pytest.raises(DataError, match="expected from 2 to 5, the number of groups"):
        nw.cross_validate(data, 6, out=tmp_path / "six", settings=SETTINGS)
    assert not (tmp_path / "six" / "fold1").exists()
