"""One process decides what engine computes, and all workers of a cluster take it."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest

import normwise as nw
from normwise.distributed.ray_tasks import Done
from normwise.errors import DistributionError
from normwise.inference import whole
from normwise.inference.engines import choice
from normwise.inference.engines.wanted import Wanted
from normwise.rasters import write_raster
from normwise.workflows import decided_engines, predict_on_ray
from normwise.workflows.decided_engines import Decided, decided_by, take
from normwise.workflows.predictor import Predictor, Settings
from tests.surgery.randomize import randomize

TILE = 48
CHOSEN = "keras folded bfloat16"


class Here:
    """A cluster whose worker is this process; all that it gets is pickled."""

    room = sharing = 2

    def results(self, function, tasks, **_):
        for task in tasks:
            yield Done(task, function(pickle.loads(pickle.dumps(task.argument))))


@pytest.fixture(autouse=True)
def cluster(monkeypatch):
    @contextmanager
    def here(*_):
        yield Here()

    monkeypatch.setattr(predict_on_ray, "cluster", here)
    predict_on_ray._predictor.cache_clear()
    predict_on_ray._held.clear()


@pytest.fixture
def timings(monkeypatch):
    """The shapes on which engines are timed: bfloat16 is the fastest at first, and never again."""
    seen = []

    def told(runs, batch):
        seen.append(batch.shape[1:3])
        return {one: float((str(one) == CHOSEN) != (len(seen) == 1)) for one in runs}

    monkeypatch.setattr(choice, "COARSE", 1.0)
    monkeypatch.setattr(choice, "time_candidates", told)
    return seen


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    network = nw.build("unet", (None, None, 2), norm="batch@pre-activation", filters=2, depth=1)
    randomize(network).save(folder / "model.keras")
    return folder / "model.keras"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Its first tile has no data."""
    pixels = np.random.default_rng(0).normal(size=(100, 90, 2)).astype(np.float32)
    pixels[:50, :50] = np.nan
    path = tmp_path_factory.mktemp("scene") / "scene.npy"
    write_raster(path, pixels)
    return path


@pytest.fixture(scope="module")
def wanted(model, scene):
    """The scene by the engine that is chosen, on this machine."""
    found = nw.predict(model, scene, tile=TILE, precision="bfloat16")
    plain = nw.predict(model, scene, tile=TILE)
    known = np.isfinite(plain).all(-1)
    assert not np.array_equal(found[known], plain[known])
    return found


def test_all_tiles_of_a_scene_come_from_one_engine(model, scene, wanted, timings, tmp_path):
    out = nw.predict(model, scene, tmp_path / "o.npy", tile=TILE, precision="auto", on="ray")
    assert timings == [(TILE, TILE)]
    np.testing.assert_array_equal(np.load(out), wanted)


def test_a_cluster_goes_on_by_the_engine_of_the_machine_before(
    model, scene, wanted, timings, tmp_path, monkeypatch
):
    asked, before = [], whole._predict

    def stopping(engine, image):
        asked.append(engine)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return before(engine, image)

    told = {"tile": TILE, "precision": "auto"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(whole, "_predict", stopping)
        nw.predict(model, scene, tmp_path / "o.npy", **told)
    out = nw.predict(model, scene, tmp_path / "o.npy", **told, on="ray", resume=True)
    assert len(timings) == 1
    np.testing.assert_array_equal(np.load(out), wanted)


def test_all_images_of_a_folder_come_from_one_engine(model, timings, tmp_path):
    for seed, name in enumerate("abc"):
        pixels = np.random.default_rng(seed).normal(size=(32, 40, 2)).astype(np.float32)
        if name == "a":
            pixels[...] = np.nan
        write_raster(tmp_path / "in" / f"{name}.npy", pixels)
    nw.predict(model, tmp_path / "in", tmp_path / "ray", tile=TILE, precision="auto", on="ray")
    assert timings == [(32, 40)]
    nw.predict(model, tmp_path / "in", tmp_path / "here", tile=TILE, precision="bfloat16")
    for name in "abc":
        one, other = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("ray", "here"))
        np.testing.assert_array_equal(one, other)


def test_a_worker_that_can_not_take_it_is_an_error(model, monkeypatch):
    predictor = Predictor(str(model), Settings(wanted=Wanted("keras", "auto")))
    assert predictor.undecided and decided_by(predictor) == Decided((None,))
    take(predictor, Decided((None,)))
    assert predictor.undecided
    with pytest.raises(DistributionError, match="can't compute with tpu float32 as this machine"):
        take(predictor, Decided(("tpu float32",)))
    take(predictor, Decided((CHOSEN,)))
    assert predictor.engines == [CHOSEN] and not predictor.undecided
    monkeypatch.setattr(decided_engines, "_versions", decided_engines._versions.__wrapped__)
    monkeypatch.setattr(decided_engines, "installed", lambda: {"openvino": "2", "onnx": "3"})
    assert decided_by(predictor).versions == {}
    predictor._engines[0]._chosen = "openvino float32"
    told = decided_by(predictor)
    assert told == Decided(("openvino float32",), {"openvino": "2"})
    monkeypatch.setattr(decided_engines, "installed", lambda: {"openvino": "1"})
    with pytest.raises(DistributionError, match=r"\(openvino 1, here 2\)\. Install the same"):
        take(predictor, told)
