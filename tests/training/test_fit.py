"""The training loop: files, seeds, going on, stopping early, and what is printed meanwhile."""

import csv
import io
import shutil

import keras
import numpy as np
import pytest
from rich.console import Console

from normwise.errors import RunError
from normwise.training.determinism import seed_run
from normwise.training.fit import fit
from normwise.training.history import read_history
from normwise.training.progress import Bar, Lines, Silent
from normwise.training.run_files import BEST, LAST

from .stand_in import Batches, network, recipe, same_weights, validate, weights_of


def trained(folder, settings=None, batches=None, seed=0, **options):
    seed_run(seed)
    model = network(dropout=0.3)
    standing = fit(
        model, batches or Batches(), validate, settings or recipe(seed=seed), folder, **options
    )
    return model, standing


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder, model and standing of a run that nobody stopped, and what its lines said."""
    folder = tmp_path_factory.mktemp("straight")
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    model, standing = trained(folder, watcher=Lines(console, "iou"))
    return folder, model, standing, console.file.getvalue().splitlines()


def test_a_run_leaves_its_best_weights_and_its_files(straight):
    folder, model, standing, _ = straight
    assert standing.epochs == 3
    assert len(standing.history) == 3
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoints", "history.csv"]
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [BEST.name, LAST.name]
    rows = read_history(folder / "history.csv")
    assert rows == standing.history
    assert rows[standing.best_epoch - 1]["val_iou"] == standing.best
    assert validate(model)["iou"] == pytest.approx(standing.best, rel=1e-12)
    assert standing.history[2]["loss"] < standing.history[0]["loss"]


def test_the_last_weights_are_kept_where_that_is_asked_for(tmp_path):
    falling = iter((0.9, 0.5, 0.1))
    model = network(dropout=0.3)
    kept = []

    def judged(shown):
        kept.append(weights_of(shown))
        return {**validate(shown), "iou": next(falling)}

    standing = fit(model, Batches(), judged, recipe(keep="last"), tmp_path)
    assert (standing.best_epoch, standing.best) == (3, 0.9)
    assert same_weights(weights_of(model), kept[-1])
    assert not same_weights(weights_of(model), kept[0])


def test_the_seed_decides(straight, tmp_path):
    _, one, _, _ = straight
    same, _ = trained(tmp_path / "same")
    other, _ = trained(tmp_path / "other", seed=1)
    assert same_weights(weights_of(one), weights_of(same))
    assert not same_weights(weights_of(one), weights_of(other))


EVERYTHING = {
    "ema": 0.9, "clip_norm": 0.5, "accumulate": 3, "schedule": "cosine-restarts", "cycles": 2,
    "precision": "mixed_bfloat16",
}  # fmt: skip


# With mixed_float16, and in processes of their own: test_killed_run.py.
@pytest.mark.parametrize(
    "settings", [{}, pytest.param(EVERYTHING, marks=pytest.mark.backends)], ids=["plain", "all"]
)
def test_stopping_and_going_on_changes_nothing(settings, straight, tmp_path):
    class Interrupted(Silent):
        def step(self, epoch, step, loss, patches_per_second):
            if (epoch, step) == (2, 3):
                raise KeyboardInterrupt

    if settings:
        whole, once = trained(tmp_path / "whole", recipe(**settings))
    else:
        _, whole, once, _ = straight
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", recipe(**settings), watcher=Interrupted())
    assert len(read_history(tmp_path / "parts" / "history.csv")) == 1
    parts, resumed = trained(tmp_path / "parts", recipe(**settings), resume=True)
    assert same_weights(weights_of(whole), weights_of(parts))
    assert [row["loss"] for row in once.history] == [row["loss"] for row in resumed.history]
    again, _ = trained(tmp_path / "parts", recipe(**settings), resume=True)
    assert same_weights(weights_of(parts), weights_of(again))


def test_another_recipe_is_not_resumed(straight, tmp_path):
    shutil.copytree(straight[0], tmp_path, dirs_exist_ok=True)
    with pytest.raises(RunError, match=r"training\.learning_rate is 0\.5, was 0\.001"):
        trained(tmp_path, recipe(learning_rate=0.5), resume=True)


def test_early_stopping_keeps_the_best(tmp_path):
    values = iter([0.5, 0.9, 0.2, 0.1, 0.0])
    model, seen = network(), []

    def measure(model):
        seen.append(weights_of(model))
        return {"loss": 1.0, "iou": next(values)}

    standing = fit(model, Batches(), measure, recipe(epochs=5, early_stopping=2), tmp_path)
    assert standing.epochs == 4
    assert standing.stopped
    assert same_weights(weights_of(model), seen[1])
    assert not same_weights(weights_of(model), seen[3])


def test_a_loss_that_is_no_number_names_epoch_and_step(tmp_path):
    class Broken(Batches):
        def __getitem__(self, step):
            x, y, weight = super().__getitem__(step)
            return (x * np.nan if (self.epoch, step) == (1, 2) else x), y, weight

    with pytest.raises(RunError, match="epoch 2 at step 3"):
        trained(tmp_path, batches=Broken())
    assert len(read_history(tmp_path / "history.csv")) == 1


def test_the_same_losses_as_plain_keras(tmp_path):
    """An independent training loop: Keras' own loss, optimizer and `train_on_batch`."""

    found = []

    class Recorder(Silent):
        def step(self, epoch, step, loss, patches_per_second):
            found.append(loss)

    settings = recipe(epochs=1, steps=8, loss="cross-entropy", learning_rate=0.01, warmup=0.25)
    seed_run(0)
    model = network()
    start = weights_of(model)
    fit(model, Batches(8), validate, settings, tmp_path, watcher=Recorder())

    plain = network()
    plain.set_weights(start)
    optimizer = keras.optimizers.AdamW(weight_decay=1e-4)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(plain.trainable_variables)
    plain.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
    )
    losses = []
    for step in range(8):
        x, y, weight = Batches()[step]
        rate = 0.01 * (step + 1) / 3 if step < 2 else 0.005 * (1 + np.cos(np.pi * (step - 2) / 6))
        optimizer.learning_rate = rate
        losses.append(plain.train_on_batch(x, y[..., None].astype("float32"), weight[..., None]))
    means = np.cumsum(losses) / np.arange(1, 9)
    np.testing.assert_allclose(found, means, rtol=2e-5, atol=0)
    for one, two in zip(weights_of(model), weights_of(plain), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=2e-5)
    assert max(abs(a - b).max() for a, b in zip(start, weights_of(plain), strict=True)) > 0.01


def test_plain_lines(straight):
    *_, lines = straight
    assert lines[0] == "training: 3 epochs of 4 steps"
    assert len(lines) == 4
    assert lines[1].startswith("epoch 1/3: loss ")
    assert "val_iou" in lines[1]


def test_a_bar_on_a_terminal_is_taken_away(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    trained(tmp_path, watcher=Bar(console, "iou"))
    text = console.file.getvalue()
    assert "patches/s" in text
    assert "epoch 3/3" in text


def test_history_is_a_table(straight):
    with (straight[0] / "history.csv").open() as file:
        row, *_ = csv.DictReader(file)
    assert list(row) == [
        "epoch", "loss", "val_loss", "val_iou", "learning_rate", "patches_per_second", "seconds",
    ]  # fmt: skip
