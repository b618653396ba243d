"""The learning rate that is suggested, by trials that change nothing."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from normwise.errors import RunError
from normwise.training import preparing
from normwise.training.determinism import seed_run
from normwise.training.rate_finder import curve_of, find_rate
from normwise.training.recipe import Recipe, load_recipe
from normwise.training.run import train_until
from normwise.training.run_files import RATES

from .stand_in import Batches, network, recipe, same_weights, weights_of
from .test_run import recipe_of, write_folder

pytestmark = pytest.mark.usefixtures("no_pictures")

RATE = np.geomspace(1e-6, 1, 100)


def once(real):
    """A function that answers each call as it did the first."""
    made = []

    def answered(*given):
        made[:] = made or [real(*given)]
        return made[0]

    return answered


def test_the_suggestion_is_where_the_loss_falls_fastest():
    fall = 1 / (1 + (RATE / 3e-3) ** 2)  # steepest over the logarithm at 3e-3
    rise = np.where(RATE > 0.1, (RATE / 0.1) ** 2 - 1, 0)
    noise = np.random.default_rng(0).normal(0, 0.01, 100)
    found = curve_of(RATE, (fall + rise + noise).tolist()).suggestion
    assert 1.5e-3 < found < 6e-3
    shifted = 1 / (1 + (RATE / 1e-4) ** 2) + rise
    assert 5e-5 < curve_of(RATE, shifted.tolist()).suggestion < 2e-4


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [float("nan")] * 3])
def test_a_loss_that_only_rises_is_said(losses):
    with pytest.raises(RunError, match="No learning rate from"):
        curve_of(RATE, losses)


@pytest.mark.backends
def test_a_trial_changes_nothing_and_the_seed_decides_it():
    seed_run(0)
    model = network(dropout=0.3)
    before = weights_of(model)
    settings = recipe(learning_rate="auto", ema=0.9, accumulate=4)
    curve = find_rate(model, Batches(), settings)
    assert same_weights(before, weights_of(model))
    assert not model.compiled
    assert 1e-5 < curve.suggestion < 1
    assert curve.smoothed.min() < curve.losses[0]
    again = find_rate(model, Batches(), settings)
    np.testing.assert_allclose(again.losses, curve.losses, rtol=1e-4, atol=0)


def test_auto_is_found_once_and_written_down(tmp_path):
    data = write_folder(tmp_path / "data", "segmentation")
    settings = recipe_of(data, learning_rate="auto", epochs=1, steps=3)
    train_until(1, settings, out=tmp_path / "run", progress=False)
    rate = load_recipe(tmp_path / "run" / "recipe.yaml").training.learning_rate
    assert 1e-6 < rate < 1
    assert (tmp_path / "run" / RATES).exists()
    assert f"learning rate {rate:g}, found by a trial" in (tmp_path / "run/log.txt").read_text()
    (tmp_path / "run" / RATES).unlink()
    train_until(1, settings, out=tmp_path / "run", resume=True, progress=False)
    assert not (tmp_path / "run" / RATES).exists()


def test_the_command_prints_and_draws_and_trains_nothing(tmp_path, monkeypatch):
    from normwise.cli.app import app

    # The seed decides a trial, which the second would only repeat.
    monkeypatch.setattr(preparing, "find_rate", once(preparing.find_rate))
    data = write_folder(tmp_path / "data", "regression")
    command = ["train", str(data), "-o", str(tmp_path / "run"), "--find-rate", "--format", "json",
               "--set", "data.patch=16", "--set", "network.filters=4", "--set", "network.depth=1",
               "--set", "training.batch_size=4"]  # fmt: skip
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    told = json.loads(done.stdout)
    assert 1e-6 < told["suggestion"] < 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == [RATES]
    assert "OutputExists" in repr(CliRunner().invoke(app, command).exception)
    text = CliRunner().invoke(app, [c for c in command if c not in ("--format", "json")]
                              + ["--overwrite"], catch_exceptions=False).stdout  # fmt: skip
    assert f"Suggested: training.learning_rate={told['suggestion']:g}" in text


def test_a_rate_is_a_number_or_auto():
    assert Recipe(data={"path": "a"}, training={"learning_rate": "auto"})
    for wrong in ("fast", -1, 0, True, float("nan")):
        with pytest.raises(Exception, match=r"training\.learning_rate: received .* or auto"):
            Recipe(data={"path": "a"}, training={"learning_rate": wrong})
