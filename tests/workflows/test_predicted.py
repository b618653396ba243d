"""What `predict` tells other programs: what was written and how; with --dry-run what would be."""

import json

import keras
import numpy as np
import pytest

from normwise.inference.members import member_of
from normwise.inference.tile_size import bytes_of
from normwise.rasters import write_raster
from tests.commands import normwise

PLANNED = ("files", "out", "size", "tile", "tiles", "wasted", "exact", "reasons")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A network whose tiles are exact, and one that looks at the whole image."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("exact", "blended"):
        x = inputs = keras.Input((None, None, 2))
        if name == "blended":
            x = keras.layers.GroupNormalization(groups=-1, name="all_of_it")(x)
        keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same")(x)).save(
            folder / f"{name}.keras"
        )
    return folder


@pytest.fixture
def desk(tmp_path):
    """A folder with two images."""
    chance = np.random.default_rng(0)
    for name, size in (("a", (40, 30)), ("b", (16, 16))):
        pixels = chance.normal(size=(*size, 2)).cumsum(0).astype(np.float32)
        write_raster(tmp_path / "in" / f"{name}.npy", pixels)
    return tmp_path


def told(*words, cwd, code=0):
    done = normwise("predict", *words, "--format", "json", cwd=cwd)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_tiles_engine_and_time_are_told_as_planned(models, desk):
    words = models / "exact.keras", "in/a.npy", "-o", "out.npy", "--tile", "16"
    (planned,) = told(*words, "--dry-run", cwd=desk)["planned"]
    assert not (desk / "out.npy").exists()
    found = told(*words, "--overlay", "look.png", cwd=desk)
    (done,) = found["written"]
    assert {key: done[key] for key in PLANNED} == {key: planned[key] for key in PLANNED}
    seconds = done.pop("seconds")
    assert done == {
        "files": ["in/a.npy"],
        "out": "out.npy",
        "size": [40, 30],
        "bands": 3,
        "dtype": "float32",
        "tile": [16, 16],
        "tiles": 3 * 2,  # 15 + 14 + 11 rows, 15 + 15 columns: one pixel is halo
        "wasted": 1 - 40 * 30 / (3 * 2 * 16 * 16),
        "exact": True,
        "mismatch": None,
        "reasons": [],
        "engines": ["keras float32"],
    }
    assert seconds > 0
    assert found["pictures"] == ["look.png"] and not found["kept"] and not found["problems"]
    (chosen,) = (row for row in planned["choices"] if row["tile"] == planned["tile"])
    assert (chosen["tiles"], chosen["memory"]) == (planned["tiles"], planned["memory"])


def test_why_tiles_were_blended_is_told(models, desk):
    words = models / "blended.keras", "in/a.npy", "-o"
    (done,) = told(*words, "tiles.npy", "--tile", "16", cwd=desk)["written"]
    assert not done["exact"] and done["mismatch"] > 0 and "all_of_it" in done["reasons"][0]
    (whole,) = told(*words, "whole.npy", cwd=desk)["written"]
    assert whole["exact"] and whole["mismatch"] is None and whole["tiles"] == 1
    assert not whole["reasons"] and whole["wasted"] == 0


def test_the_memory_that_blending_takes_is_told(models, desk):
    """Five tiles of three outputs, beside what tiles with halos take."""
    write_raster(desk / "small.npy", np.zeros((32, 32, 2)))
    rows = []
    for tile in (("--tile", "16"), ()):
        words = models / "blended.keras", "small.npy", "-o", "out.npy", *tile, "--dry-run"
        (planned,) = told(*words, cwd=desk)["planned"]
        rows += [row for row in planned["choices"] if row["tile"] == planned["tile"]]
    member = member_of(keras.saving.load_model(models / "blended.keras"))
    for row, side in zip(rows, (16, 32), strict=True):
        assert row["tile"] == [side, side]
        assert row["memory"] == bytes_of([member], (side, side), blended=True)
        assert row["memory"] - bytes_of([member], (side, side)) == 5 * 3 * 4 * side**2


def test_of_a_folder_what_failed_and_what_was_there_is_told_too(models, desk):
    (desk / "in" / "c.npy").write_bytes(b"no image")
    words = models / "exact.keras", "in", "-o", "out"
    found = told(*words, cwd=desk, code=2)
    assert [done["out"] for done in found["written"]] == ["out/a.npy", "out/b.npy"]
    (problem,) = found["problems"]
    assert "c.npy" in problem
    (desk / "in" / "c.npy").unlink()
    (desk / "out" / "b.npy").unlink()
    found = told(*words, "--resume", cwd=desk)
    assert found["kept"] == ["out/a.npy"] and not found["problems"]
    assert [done["out"] for done in found["written"]] == ["out/b.npy"]
    found = told(models / "exact.keras", "in/a.npy", "-o", "out/a.npy", "--resume", cwd=desk)
    assert found["kept"] == ["out/a.npy"] and not found["written"]


def test_nothing_is_printed_of_a_prediction_that_does_not_begin(models, desk):
    words = models / "exact.keras", "gone.tif", "-o", "o.tif", "--format", "json"
    done = normwise("predict", *words, cwd=desk)
    assert done.returncode == 2 and not done.stdout and "gone.tif" in done.stderr
