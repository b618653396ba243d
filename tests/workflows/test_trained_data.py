"""A run's own images: never others when it goes on or is measured, whatever came since."""

import logging

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.folder import open_dataset
from normwise.errors import DataError, RunError
from normwise.training.preparing import opened
from normwise.training.recipe import Recipe, to_yaml
from normwise.training.trained_data import TrainedData, refuse_other_data
from normwise.workflows.ensembles import write_ensemble


def add(root, number):
    """An image whose number of pixels tells which one it is."""
    rng, size = np.random.default_rng(number), (4, 2**number)
    for kind, channels in (("images", 2), ("targets", 1)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        np.save(root / kind / f"i{number}.npy", rng.normal(size=(*size, channels)).astype("f4"))


@pytest.fixture
def data(tmp_path):
    for number in range(6):
        add(tmp_path / "data", number)
    return tmp_path / "data"


def trained(folder, data, **settings):
    """The folder of a run that was not trained, but says what it would have been trained on."""
    told = {"labels": "targets", **settings.pop("data", {})}
    recipe = Recipe(data={"path": str(data), **told}, training=settings)
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    TrainedData.of(opened(recipe)).write(folder)
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.ops.sum(inputs, axis=-1, keepdims=True))
    model.save(folder / "model.keras")
    return folder


def pixels(run, split="val", data=None):
    return nw.evaluate(run, data, split=split).pixels // 4


def drawn(data, seed):
    return sum(item.width for item in open_dataset(data, seed=seed).split("val"))


def test_images_that_were_added_do_not_validate(data, tmp_path, caplog):
    run = trained(tmp_path / "run", data, seed=4)
    own = drawn(data, 4)
    assert pixels(run) == own
    assert pixels(run, "train") == 63 - own
    assert "has changed" not in caplog.text
    for number in (6, 7, 8):
        add(data, number)
    assert drawn(data, 4) != own
    with caplog.at_level(logging.WARNING):
        assert pixels(run) == own
    was, now = TrainedData.read(run).fingerprint, TrainedData.of(open_dataset(data)).fingerprint
    assert f"its fingerprint is {now}, was {was} (new: i6, i7, i8)" in caplog.text
    moved = data.rename(tmp_path / "moved")
    with pytest.raises(DataError):
        pixels(run)
    for number in (6, 7, 8):
        for kind in ("images", "targets"):
            (moved / kind / f"i{number}.npy").unlink()
    assert drawn(moved, 0) != own
    assert pixels(run, data=moved) == own


def test_parts_of_images_stay_those_that_validated(tmp_path):
    data = tmp_path / "data"
    for number in (4, 5):
        add(data, number)
    run = trained(tmp_path / "run", data)
    own = pixels(run)
    assert own == 3 + 6
    for number in (6, 7):
        add(data, number)
    assert drawn(data, 0) in {16, 32, 64, 128}
    assert pixels(run) == own
    (data / "images" / "i5.npy").unlink()
    (data / "targets" / "i5.npy").unlink()
    with pytest.raises(DataError, match="i5 of the images that were 'val' when the run was train"):
        pixels(run)


def test_an_ensemble_is_measured_on_what_no_member_was_trained_on(data, tmp_path):
    seeds = next(s for s in range(1, 9) if drawn(data, s) != drawn(data, 0))
    for name, seed in (("one", 0), ("two", seeds)):
        trained(tmp_path / "runs" / name, data, seed=seed)
    write_ensemble(tmp_path / "runs", ["one", "two"])
    with pytest.raises(DataError, match=r"one is not that of .*two.*`test`, or each member by it"):
        pixels(tmp_path / "runs")
    assert pixels(tmp_path / "runs" / "two") == drawn(data, seeds)
    for folder in ("one", "two"):  # as runs of older versions are
        (tmp_path / "runs" / folder / "data.json").unlink()
    with pytest.raises(DataError, match="each member by itself"):
        pixels(tmp_path / "runs")
    assert pixels(tmp_path / "runs" / "two") == drawn(data, seeds)


def test_seeds_do_not_matter_where_the_folder_has_its_splits(data, tmp_path):
    rows = "".join(f"i{k},{'val' if k == 2 else 'test' if k == 1 else 'train'}\n" for k in range(6))
    (data / "split.csv").write_text(f"name,split\n{rows}")
    runs = [trained(tmp_path / f"run{seed}", data, seed=seed) for seed in (0, 1)]
    assert pixels(runs) == 4
    assert pixels(runs, "test") == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("added", "new: i6"),
        ("gone", "gone: i0"),
        ("content", "the content of files differs"),
        ("split", "split otherwise: i0, i1"),
    ],
)
def test_what_changed_since_a_run_began_is_said_with_both_fingerprints(
    change, words, data, tmp_path
):
    def table(first):
        rows = "".join(f"i{k},{'val' if k == first else 'train'}\n" for k in range(6))
        (data / "split.csv").write_text(f"name,split\n{rows}")

    table(0)
    run = trained(tmp_path / "run", data)
    refuse_other_data(open_dataset(data), run)
    if change == "added":
        add(data, 6)
        (data / "split.csv").open("a").write("i6,train\n")
    elif change == "gone":
        (data / "split.csv").write_text(
            "name,split\n" + "".join(f"i{k},train\n" for k in range(1, 6))
        )
        for kind in ("images", "targets"):
            (data / kind / "i0.npy").unlink()
    elif change == "content":
        np.save(data / "images" / "i3.npy", 2 * np.load(data / "images" / "i3.npy"))
    else:
        table(1)
    dataset = open_dataset(data)
    was, now = TrainedData.read(run), TrainedData.of(dataset)
    assert (was.fingerprint == now.fingerprint) == (change == "split")
    with pytest.raises(RunError) as caught:
        refuse_other_data(dataset, run)
    for part in (was.fingerprint, now.fingerprint, words, "start a new run", "resume"):
        assert part in str(caught.value), part


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fingerprint": "x", "splits": {"val": 1}}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(RunError, match=r"data\.json can't be read.*start a new run"):
        TrainedData.read(tmp_path)
