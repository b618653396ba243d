"""Tasks and predictions on a Ray cluster of two workers, some of which die."""

import json
import re
import sys
import time
import types
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.distributed.alike import Alike
from normwise.distributed.ray_connection import connected
from normwise.distributed.ray_tasks import RETRIES, Task, cluster
from normwise.distributed.where import RAY, Where
from normwise.errors import (
    DataError,
    DistributionError,
    ModelReadError,
    OutputExistsError,
    RunError,
)
from normwise.inference.engines import choice
from normwise.rasters import read_raster, write_raster
from normwise.rasters.output_records import remembered
from normwise.rasters.partial import partial_folder
from normwise.workflows import predict_on_ray
from normwise.workflows.own_modules import OwnModules
from normwise.workflows.predicted import Journal
from tests.distributed import ray_jobs
from tests.ray_cluster import ray_cluster, workers_at_work
from tests.surgery.randomize import randomize

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")
TILE = 48


@pytest.fixture
def two():
    with cluster(Where(RAY, at_once=2), Alike(2)) as found:
        yield found


def tasks(*arguments):
    return [Task(f"task {index}", argument) for index, argument in enumerate(arguments)]


def test_few_tasks_are_in_flight_and_come_in_order_where_wanted(two):
    asked = []

    def watched():
        for task in tasks(*range(6)):
            asked.append(task.argument)
            yield task

    seen = []
    for done in two.results(ray_jobs.doubled, watched(), ordered=True):
        seen.append(done.value)
        assert len(asked) - len(seen) < 2
    assert seen == [0, 2, 4, 6, 8, 10]
    assert (two.claim, two.room, two.sharing) == (2, 2, 2)


def test_a_task_whose_worker_dies_is_tried_again_but_not_for_ever(two, tmp_path, caplog):
    for name in ("some", "many"):
        (tmp_path / name).mkdir()
    asked = tasks((str(tmp_path / "some"), 1), (str(tmp_path / "many"), 99))
    some, many = two.results(ray_jobs.dying, asked, ordered=True)
    assert some.value == 1
    assert isinstance(many.error, DistributionError)
    assert f"task 1: its worker died {RETRIES + 1} times" in str(many.error)
    assert "task 0: its worker died; tried again, 1 of 3" in caplog.text


def test_errors_of_ours_are_results_and_faults_are_raised(two, tmp_path, caplog):
    results = two.results(ray_jobs.failing, tasks(0, 1, 2), ordered=True)
    assert [done.value if done.error is None else done.error.args for done in results] == [
        0, RunError("the second can't be done").args, 2,
    ]  # fmt: skip
    assert caplog.text.count("a warning of every task") == 1
    with pytest.raises(ZeroDivisionError):
        list(two.results(ray_jobs.broken, tasks(0)))
    with pytest.raises(DistributionError, match=r"nowhere: can't be seen on .*share"):
        list(two.results(ray_jobs.blind, tasks(str(tmp_path / "nowhere"))))


def test_a_worker_that_lacks_a_module_is_told(two, monkeypatch):
    here = types.ModuleType("only_here")
    exec("def nothing(_): pass", here.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", here)
    with pytest.raises(DistributionError, match=r"No module named 'only_here'.*Install normwise"):
        list(two.results(here.nothing, tasks(0)))


def until(condition):
    """Waits for it; a minute is enough for the slowest machine."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_in_flight_is_cancelled_when_nobody_waits_any_more(two, tmp_path):
    begun, never = tmp_path / "begun", tmp_path / "never"
    asked = tasks((str(tmp_path / "soon"), str(tmp_path)), (str(begun), str(never)))
    results = two.results(ray_jobs.waiting, asked)
    next(results)
    until(lambda: begun.exists() and workers_at_work() == 1)
    results.close()
    until(lambda: workers_at_work() == 0)


def test_workers_are_like_this_process_and_fresh_where_wanted(ray_cluster):
    alike = Alike(2, {"OMP_NUM_THREADS": "2", "TF_MADE_UP": "1"})
    asked, told = [], []

    def watched():
        for task in tasks(0, 1, 2):
            asked.append(task)
            yield task

    with cluster(Where(RAY), alike) as found:
        for done in found.results(ray_jobs.told, watched(), fresh=True):
            # There is room for two: nothing waits behind them that an error would have to finish.
            assert len(asked) - len(told) <= found.room == 2
            told.append(done.value)
    assert len({process for process, _ in told}) == 3
    assert all(kept == alike.environment for _, kept in told)
    with (
        pytest.raises(DistributionError, match="connected to the cluster at"),
        connected("10.0.0.1:6379", 2),
    ):
        pass
    assert ray_cluster.is_initialized()


def network(folder, norm):
    model = randomize(nw.build("unet", (None, None, 2), norm=norm, filters=2, depth=1))
    model.save(folder / "model.keras")
    return folder / "model.keras"


def test_a_scene_is_the_same_bit_for_bit_though_a_worker_dies(tmp_path, monkeypatch, caplog):
    model = network(tmp_path, "batch@pre-activation")
    pixels = np.random.default_rng(0).normal(size=(150, 117, 2)).astype(np.float32)
    pixels[:60, :70], pixels[100:110, 20:30] = np.nan, -np.inf
    write_raster(tmp_path / "scene.tif", pixels)
    wanted = nw.predict(model, tmp_path / "scene.tif", tmp_path / "here.tif", tile=TILE)
    monkeypatch.setattr(predict_on_ray, "predict_block", ray_jobs.block_of_a_dying_worker)
    found = nw.predict(model, tmp_path / "scene.tif", tmp_path / "ray.tif", tile=TILE, on="ray")
    assert (tmp_path / "died").exists()
    assert re.search(r"scene\.tif, block \d+: its worker died; tried again, 1 of 3", caplog.text)
    assert found.read_bytes() == wanted.read_bytes()
    assert np.isfinite(read_raster(found)).any()
    here, there = re.findall(r"scene\.tif: ([\d.]+%) of the values", caplog.text)
    assert here == there
    assert not partial_folder(found).exists()


def test_workers_copy_a_network_for_one_size_as_this_process_does(tmp_path, caplog):
    pixels = np.random.default_rng(4).normal(size=(100, 90, 2)).astype(np.float32)
    write_raster(tmp_path / "scene.npy", pixels)
    for norm, tile in (("batch@pre-activation", TILE), ("instance@pre-activation", 64)):
        model = randomize(nw.build("unet", (64, 64, 2), norm=norm, filters=2, depth=1))
        model.save(tmp_path / f"{tile}.keras")
        files, kept = (tmp_path / f"{tile}.keras", tmp_path / "scene.npy"), Journal()
        for name, on in (("here", None), ("ray", "ray")):
            out = tmp_path / f"{name}{tile}.npy"
            nw.predict(*files, out, tile=TILE, on=on, journal=kept, progress=False)
        assert {done.tile for done in kept.written} == {(tile, tile)}
        assert len({done.out.read_bytes() for done in kept.written}) == 1
    assert caplog.text.count("The model takes 64x64 pixels and no other size") == 2  # here alone


def test_all_workers_take_the_engine_that_was_chosen_here(tmp_path, monkeypatch):
    def slow_bfloat16_wins(runs, batch):
        return {one: float("bfloat16" not in str(one)) for one in runs}

    monkeypatch.setattr(choice, "COARSE", 1.0)
    monkeypatch.setattr(choice, "time_candidates", slow_bfloat16_wins)
    model = network(tmp_path, "batch@pre-activation")
    pixels = np.random.default_rng(2).normal(size=(100, 90, 2)).astype(np.float32)
    write_raster(tmp_path / "scene.npy", pixels)

    def predicted(name, **options):
        out = tmp_path / f"{name}.npy"
        return read_raster(nw.predict(model, tmp_path / "scene.npy", out, tile=TILE, **options))

    found = predicted("ray", precision="auto", on="ray")
    np.testing.assert_array_equal(found, predicted("here", precision="bfloat16"))
    assert not np.array_equal(found, predicted("plain"))


def test_a_folder_is_the_same_and_what_fails_is_said(tmp_path, caplog):
    model = network(tmp_path, "instance@pre-activation")
    chance = np.random.default_rng(1)
    for name, side in (("a", 40), ("c", 100)):
        write_raster(tmp_path / "in" / f"{name}.npy", chance.normal(size=(44, side, 2)))
    (tmp_path / "in" / "b.npy").write_bytes(b"no image")
    said = []
    for out, on in (("here", None), ("ray", "ray")):
        caplog.clear()
        kept = Journal()
        with pytest.raises(DataError, match=r"(?s)2 predicted, 1 failed.*b\.npy") as failed:
            nw.predict(model, tmp_path / "in", tmp_path / out, tile=TILE, on=on, journal=kept)
        told = [replace(done, out=done.out.name, seconds=0) for done in kept.written]
        told.sort(key=lambda done: done.out)
        assert told[0].tiles == 1 < told[1].tiles and told[1].reasons
        said.append((str(failed.value), [r.getMessage() for r in caplog.records], told))
    assert said[0] == said[1]
    assert any("differ by" in line for line in said[1][1])
    for name in ("a.npy", "c.npy"):
        one, other = ((tmp_path / out / name).read_bytes() for out in ("here", "ray"))
        assert one == other
        assert remembered(tmp_path / "here" / name) == remembered(tmp_path / "ray" / name) != []
    # What one has written the other keeps, and names it where something differs.
    (tmp_path / "in" / "b.npy").unlink()
    told = {"tile": TILE, "resume": True}
    for out, on in (("here", "ray"), ("ray", None)):
        kept = Journal()
        nw.predict(model, tmp_path / "in", tmp_path / out, on=on, journal=kept, **told)
        assert [path.name for path in kept.kept] == ["a.npy", "c.npy"] and not kept.written
        with pytest.raises(OutputExistsError, match=r"2 files(?s:.)*c\.npy: was made with another"):
            nw.predict(model, tmp_path / "in", tmp_path / out, on=on, tta="flips", **told)
    assert (tmp_path / "here" / "a.npy").read_bytes() != (tmp_path / "in" / "a.npy").read_bytes()


def test_an_image_that_vanishes_or_changes_stops_no_other(tmp_path, monkeypatch):
    model = network(tmp_path, "none")
    for name in "abcd":
        write_raster(tmp_path / "in" / f"{name}.npy", np.ones((16, 16, 2), np.float32))
    kept = Journal()
    monkeypatch.setattr(predict_on_ray, "predict_whole_scene", ray_jobs.scene_that_changes)
    with pytest.raises(DataError, match=r"2 predicted, 2 failed.") as failed:
        nw.predict(model, tmp_path / "in", tmp_path / "out", on="ray", journal=kept)
    for line, name in zip(failed.value.problems, "bc", strict=True):
        assert f"{name}.npy: is gone, or another file than when the work began" in line
    assert [done.out.name for done in sorted(kept.written, key=lambda one: one.out)] == [
        "a.npy", "d.npy",
    ]  # fmt: skip
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [".normwise", "a.npy", "d.npy"]


def test_a_worker_without_the_images_of_a_folder_stops_at_once(tmp_path, monkeypatch):
    model = network(tmp_path, "none")
    write_raster(tmp_path / "in" / "a.npy", np.ones((16, 16, 2), np.float32))
    job = ray_jobs.scene_of_a_worker_without_it
    monkeypatch.setattr(predict_on_ray, "predict_whole_scene", job)
    with pytest.raises(DistributionError, match=r"a\.npy: can't be seen on elsewhere"):
        nw.predict(model, tmp_path / "in", tmp_path / "out", on="ray")


def test_what_workers_could_not_see_is_refused(tmp_path):
    model = network(tmp_path, "none")
    image = np.zeros((8, 8, 2), np.float32)
    with pytest.raises(DistributionError, match="An array in memory"):
        nw.predict(model, image, on="ray")
    with pytest.raises(DistributionError, match="only model files and run folders"):
        nw.predict(nw.build("unet", (None, None, 2), filters=2, depth=1), image, on="ray")


def test_workers_import_the_modules_of_layers_that_are_not_of_keras(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "halving_on_ray.py").write_text(ray_jobs.HALVING)
    try:
        layer = import_module("halving_on_ray").Halving()
        inputs = keras.Input((None, None, 2))
        model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(layer(inputs)))
        model.save(tmp_path / "model.keras")
        pixels = np.random.default_rng(3).normal(size=(60, 90, 2)).astype(np.float32)
        write_raster(tmp_path / "scene.npy", pixels)

        def predicted(name, **options):
            files = (tmp_path / part for part in ("model.keras", "scene.npy", name))
            return nw.predict(*files, tile=TILE, **options).read_bytes()

        wanted = predicted("here.npy")
        with pytest.raises(ModelReadError, match="--import MODULE"):
            predicted("blind.npy", on="ray")
        assert predicted("ray.npy", on="ray", imports=["halving_on_ray"]) == wanted
    finally:
        keras.saving.get_custom_objects().pop("ray_tests>Halving", None)
        sys.modules.pop("halving_on_ray", None)


def test_a_worker_that_can_not_import_a_module_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    there = OwnModules(("nowhere_at_all",), (str(tmp_path),))
    with pytest.raises(DistributionError, match=r"(?s)worker on .*nowhere_at_all.*same folder"):
        there.import_there()
    library = str(Path(json.__file__).parents[1])
    assert OwnModules.imported(["json.tool", "sys"]).folders == (library,)
