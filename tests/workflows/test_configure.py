"""From a folder to a recipe that train takes."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import normwise as nw
from normwise.cli.app import app
from normwise.errors import DataError, NormwiseError, OutputExistsError, RecipeError
from normwise.rasters import read_raster, write_raster
from normwise.training.configure import Cost
from normwise.training.recipe import load_recipe
from normwise.workflows.configure import configure

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def quick(monkeypatch):
    """No network is trained to measure it."""
    monkeypatch.setattr(
        "normwise.training.configure.cost.measured_cost", lambda *_: Cost(0.1, 10**8)
    )


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcdef":
        mask = (rng.random((8, 8)) > 0.6).repeat(8, 0).repeat(8, 1)
        image = rng.normal(1000, 100, (64, 64, 2)) + 800 * mask[..., None]
        write_raster(tmp_path / "blobs/images" / f"{name}.tif", image.astype(np.uint16))
        write_raster(tmp_path / "blobs/masks" / f"{name}.png", mask.astype(np.uint8))
    return tmp_path / "blobs"


def test_the_recipe_is_written_with_its_reasons_and_trains(data, tmp_path):
    out = tmp_path / "recipe.yaml"
    settings = ["network.filters=4", "network.depth=1", "training.steps=3", "training.epochs=2"]
    settings.append("training.seed=7")
    found = nw.configure(data, settings=settings, out=out, budget="2min")
    recipe = load_recipe(out)
    assert recipe == found.recipe
    assert (recipe.network.filters, recipe.training.steps, recipe.training.seed) == (4, 3, 7)
    assert recipe.training.budget == 120
    for choice in found.choices:
        assert f"# {choice.key}: {choice.reason}" in out.read_text()
    run = nw.train(out, out=tmp_path / "run", progress=False)
    assert len(run.history) == 2
    with pytest.raises(OutputExistsError, match=r"recipe\.yaml exists already"):
        nw.configure(data, out=out)


def test_sections_lists_and_nulls_can_be_told(data, quick):
    settings = ["data.augmentation={flips: false}", "data.patch=32", "data.bands=[1]"]
    settings += ["training.ema=null", "training.loss=null", "training.steps=null"]
    settings += ["data.augmentation.offset=null"]
    found = configure(data, settings=settings)
    assert found.recipe.data.augmentation.flips is False
    assert found.recipe.data.patch == (32, 32)
    assert found.recipe.training.ema is found.recipe.training.steps is None
    assert found.recipe.training.loss == "cross-entropy+dice"
    assert [channel.name for channel in found.fingerprint.channels] == ["band 2"]
    told = {c.key for c in found.choices if c.reason == "as you said"}
    nulls = {"training.ema", "training.steps", "data.augmentation.offset"}
    assert {"data.augmentation.flips", "data.patch", *nulls} <= told


def test_patches_are_drawn_as_the_network_sees_them(data, quick, tmp_path):
    picture = tmp_path / "patches.png"
    settings = ["data.patch=32", "training.steps=3", "data.scaling=percentiles"]
    configure(data, settings=settings, preview=picture)
    with Image.open(picture) as drawn:
        assert drawn.width > 500
        assert len(np.unique(np.asarray(drawn.convert("L")))) > 50
    with pytest.raises(OutputExistsError, match=r"patches\.png exists already"):
        configure(data, settings=settings, preview=picture)


def test_a_constant_channel_is_printed_and_said_in_json(data, quick, tmp_path):
    for path in sorted((data / "images").iterdir()):
        level = np.full((64, 64), 7, np.uint16)
        write_raster(path, np.dstack([read_raster(path), level]), overwrite=True)
    told = ["configure", str(data), "-o", str(tmp_path / "own.yaml")]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "most band 1 and band 2 (" in said and "(nan)" not in said
    assert "Note: constant in all training images: band 3" in said
    content = json.loads(CliRunner().invoke(app, [*told, "--overwrite", "--format=json"]).stdout)
    assert content["fingerprint"]["correlation"][2] == [None, None, None]


def test_the_command_prints_what_it_found_or_json(data, quick, tmp_path):
    out = tmp_path / "own.yaml"
    done = CliRunner().invoke(app, ["configure", str(data), "-o", str(out)])
    assert done.exit_code == 0, done.output
    for word in ("Channels", "Classes", "Choices", "training.batch_size", "validate", str(out)):
        assert word in done.output.replace("\n", ""), word
    again = CliRunner().invoke(
        app, ["configure", str(data), "-o", str(out), "--overwrite", "--format", "json"]
    )
    content = json.loads(again.stdout)
    assert set(content) == {"fingerprint", "choices", "recipe"}
    assert content["recipe"]["norm"].startswith("batch(momentum=")


def test_problems_are_said_before_anything_is_measured(data, tmp_path):
    with pytest.raises(RecipeError, match=r"training\.epoch: unknown setting"):
        configure(data, settings=["training.epoch=3"])
    with pytest.raises(DataError, match="no such folder"):
        configure(tmp_path / "gone")


def test_batches_are_for_the_memory_that_is_told_or_else_for_what_is_available(
    data, quick, monkeypatch
):
    # A patch takes 10^8 bytes, and half of the memory is planned for.
    monkeypatch.setattr("normwise.workflows.configure.available_memory", lambda: 10**9)
    assert configure(data).recipe.training.batch_size == 5
    for told in (600_000_000, "600MB"):
        assert configure(data, memory=told).recipe.training.batch_size == 3
    with pytest.raises(NormwiseError, match="memory is 'much'; expected an amount"):
        configure(data, memory="much")
    command = ["configure", str(data), "-o", str(data / "own.yaml"), "--memory", "0.6 GB"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert load_recipe(data / "own.yaml").training.batch_size == 3


@pytest.mark.parametrize("side", [1, 3, 7])
def test_a_recipe_for_the_smallest_images_can_be_written(tmp_path, quick, side):
    rng = np.random.default_rng(0)
    for name in "abcdef":
        image = rng.normal(size=(side, side, 1)).astype(np.float32)
        mask = (np.arange(side * side) % 2 == ord(name) % 2).reshape(side, side, 1)
        write_raster(tmp_path / "images" / f"{name}.npy", image)
        write_raster(tmp_path / "masks" / f"{name}.npy", mask.astype(np.uint8))
    recipe = configure(tmp_path, settings=["network.filters=2"]).recipe
    assert max(recipe.data.patch) <= side + 1
