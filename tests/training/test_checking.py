"""Every run is checked before it starts, and says what was found."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from normwise.rules import Severity
from normwise.training.checking import check_network
from normwise.training.recipe import Recipe
from normwise.training.run import train_until

pytestmark = pytest.mark.usefixtures("no_pictures")


def folder(root):
    rng = np.random.default_rng(0)
    for name in "abc":
        for kind, channels in (("images", 2), ("targets", 1)):
            (root / kind).mkdir(exist_ok=True, parents=True)
            np.save(root / kind / f"{name}.npy", rng.normal(size=(64, 64, channels)))
    (root / "split.csv").write_text("name,split\na,train\nb,val\nc,test\n")
    return root


def trained(root, capsys, network, norm=None, training=None):
    recipe = Recipe(
        data={"path": str(folder(root / "data")), "patch": 64},
        network=network,
        norm=norm,
        training={"epochs": 1, "steps": 1, "batch_size": 2, **(training or {})},
    )
    run = root / "run"
    train_until(1, recipe, out=run)
    found = json.loads((run / "check.json").read_text())
    return found, capsys.readouterr().err, (run / "log.txt").read_text()


def test_the_faults_of_the_questions_network_are_told(tmp_path, capsys):
    found, said, log = trained(tmp_path, capsys, {"name": "question"})
    names = [finding["name"] for finding in found["findings"]]
    assert names.count("unnormalized-skip") == 2 and "affine-chain" in names
    for text in (said, log):
        assert "check: warning NW107 affine-chain: 7 learned layers" in text
        assert text.index("check: warning") < text.index("epoch 1/1")
    assert "partial-coverage" in names and "partial-coverage" not in said


def test_what_the_project_allows_is_not_told(tmp_path, capsys, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.normwise]\nignore = ["unnormalized-skip"]\n')
    monkeypatch.chdir(tmp_path)
    found, said, _ = trained(tmp_path, capsys, {"name": "question"})
    names = [finding["name"] for finding in found["findings"]]
    assert "unnormalized-skip" not in names and "affine-chain" in names
    assert "unnormalized-skip" not in said and "affine-chain" in said


def names_in(found):
    """The findings' rules, without a note that is the network's own."""
    names = [finding["name"] for finding in found["findings"]]
    return [name for name in names if name != "partial-coverage"]


UNET = {"name": "unet", "filters": 4, "depth": 1}


@pytest.mark.parametrize("norm", ["batch(momentum=0.5)@pre-activation", "rms@pre-activation"])
def test_a_healthy_network_is_trained_without_a_word(tmp_path, capsys, norm):
    usual = {"steps": 8, "batch_size": 8, "weight_decay": 0.01}
    found, said, log = trained(tmp_path, capsys, UNET, norm, usual)
    assert names_in(found) == []
    assert "check:" not in said + log


def test_what_a_set_up_does_to_the_statistics_is_told(tmp_path, capsys):
    found, said, log = trained(tmp_path, capsys, UNET, training={"accumulate": 4})
    assert names_in(found) == ["cold-statistics", "tiny-batch", "accumulated-batches"]
    assert "check: error NW203 cold-statistics: After the 1 step of this training 99%" in said
    assert "check: warning NW201 tiny-batch: " in log


def test_statistics_that_are_measured_anew_are_not_cold(tmp_path, capsys):
    found, *_ = trained(tmp_path, capsys, UNET, training={"precise_bn": True, "batch_size": 8})
    assert names_in(found) == []


def test_the_loss_of_the_recipe_tells_a_prediction_from_an_embedding(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(40, 1, name="head")(inputs)
    network = keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(x))
    recipe = Recipe(data={"path": "none"}, training={"loss": "dice", "batch_size": 8})
    parts = SimpleNamespace(network=network, recipe=recipe)
    found = {f.name: f for f in check_network(parts, tmp_path).findings}["norm-on-output"]
    assert found.severity is Severity.ERROR and "as the loss says" in found.message
