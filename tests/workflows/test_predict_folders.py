"""Folders of images: whatever fails, here or in a worker, stops no other image."""

import os
import pickle
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.distributed.alike import Alike
from normwise.distributed.ray_tasks import Cluster, Done
from normwise.distributed.shared_files import refuse_unseen, seen
from normwise.errors import (
    DataError,
    DistributionError,
    NormwiseError,
    OutputExistsError,
    PredictionError,
)
from normwise.inference import tile_size
from normwise.rasters import write_raster
from normwise.rasters.output_records import remembered
from normwise.workflows import forecast as forecasting
from normwise.workflows import predict as prediction
from normwise.workflows import predict_on_ray, prediction_fit, predictor
from normwise.workflows.forecast import forecast
from normwise.workflows.made_outputs import about_picture, remembering
from normwise.workflows.own_modules import OwnModules
from normwise.workflows.predict_on_ray import Asked, Remote, Scene, Whole, predict_whole_scene
from normwise.workflows.prediction_images import Image
from normwise.workflows.predictor import Predictor, Settings

SIDE = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    inputs = keras.Input((None, None, 2))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs)).save(path)
    return path


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        pixels = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 2))
        np.save(folder / f"{name}.npy", pixels.astype(np.float32))
    return folder


def asked_for(model, image, out, settings):
    fingerprint = Predictor(str(model), settings).fingerprint
    asked = pickle.dumps(Asked(seen([model]), settings, fingerprint))
    return Whole(Scene(asked, seen([image]), True, (SIDE, SIDE)), str(out), {"made": "here"})


@pytest.mark.parametrize("settings", [Settings(), Settings(resume=True)], ids=["new", "resumed"])
def test_a_retry_replaces_what_a_dead_worker_wrote(model, images, tmp_path, settings):
    out = tmp_path / "out.npy"
    whole = asked_for(model, images / "a.npy", out, settings)
    predict_whole_scene(whole)
    first = out.read_bytes()
    out.write_bytes(b"something else")
    assert not remembered(out)
    predict_whole_scene(whole)
    assert out.read_bytes() == first
    assert remembered(out) == [{"made": "here", "engines": []}]


@pytest.mark.parametrize(
    ("error", "told"),
    [(MemoryError(), "MemoryError (unexpected)"), (ValueError("no\nway"), "ValueError: no way (u")],
)
def test_a_fault_in_a_worker_is_that_of_its_image(
    model, images, tmp_path, monkeypatch, error, told
):
    def failing(*_):
        raise error

    monkeypatch.setattr(predict_on_ray, "predict_file", failing)
    whole = asked_for(model, images / "a.npy", tmp_path / "out.npy", Settings())
    with pytest.raises(PredictionError) as caught:
        predict_whole_scene(whole)
    sent = pickle.loads(pickle.dumps(caught.value))
    assert str(sent).startswith(f"{images / 'a.npy'}: {told}")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("place", "name", "index"),
    [(prediction, "predict_file", 1), (prediction_fit, "raster_info", 0)],
)
def test_a_fault_stops_no_other_image(model, images, tmp_path, monkeypatch, place, name, index):
    real = getattr(place, name)

    def failing(*arguments):
        if arguments[index].name == "b.npy":
            raise MemoryError("no room for it")
        return real(*arguments)

    monkeypatch.setattr(place, name, failing)
    with pytest.raises(DataError, match=r"2 predicted, 1 failed.\n.*b\.npy: MemoryError: no room"):
        nw.predict(model, images, tmp_path / "out")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [".normwise", "a.npy", "c.npy"]


def test_the_tasks_of_a_machine_share_its_memory(model, images, tmp_path, monkeypatch):
    nodes = [{"Alive": True, "Resources": {"CPU": count}} for count in (2.0, 6.0)]
    cluster = Cluster(SimpleNamespace(nodes=lambda: nodes), 2, None, Alike(2))
    remote, planned = Remote(cluster, str(model), OwnModules()), []
    monkeypatch.setattr(predictor, "available_memory", lambda: 8_000_000)

    def chosen(members, size, fixed, memory, computed):
        planned.append(memory)
        return size

    monkeypatch.setattr(tile_size, "choose", chosen)
    image = Image(np.zeros((SIDE, SIDE, 2), np.float32), None)
    named = Settings(memory=3_000_000, remote=remote)
    for settings in (Settings(), Settings(remote=remote), named):
        Predictor(str(model), settings).tiles(image)
    assert planned == [4_000_000, 1_000_000, 3_000_000]  # three tasks and the process that asks
    # A dry run plans alike.
    monkeypatch.setattr(predict_on_ray, "cluster", lambda *_: nullcontext(cluster))
    for options in ({}, {"on": "ray"}):
        forecast(str(model), images / "a.npy", tmp_path / "o.npy", **options)
    assert planned[3:] == [4_000_000, 1_000_000]


class Inside:
    """A cluster that is this process."""

    room = sharing = 1

    def results(self, function, tasks, *, ordered=False):
        for task in tasks:
            try:
                yield Done(task, function(task.argument))
            except DistributionError:
                raise
            except NormwiseError as error:
                yield Done(task, error=error)


def test_an_image_that_vanishes_before_its_task_stops_no_other(
    model, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(predict_on_ray, "cluster", lambda *_: nullcontext(Inside()))
    before = predict_on_ray.tiles_for

    def late(predictor, image, out):
        found = before(predictor, image, out)
        if out.stem == "b":
            (images / "b.npy").unlink()
        return found

    monkeypatch.setattr(predict_on_ray, "tiles_for", late)
    with pytest.raises(DataError, match=r"(?s)2 predicted, 1 failed\..*b\.npy: does not exist"):
        nw.predict(model, images, tmp_path / "out", on="ray")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [".normwise", "a.npy", "c.npy"]


def test_an_image_of_many_tiles_that_vanishes_stops_no_other(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_on_ray, "cluster", lambda *_: nullcontext(Inside()))
    monkeypatch.setattr(predict_on_ray, "refuse_unseen", partial(refuse_unseen, patience=0.0))
    before = predict_on_ray.predict_block

    def late(block):
        path = Path(block.scene.files[0].path)
        if path.stem == "b":
            path.unlink(missing_ok=True)
        return before(block)

    monkeypatch.setattr(predict_on_ray, "predict_block", late)
    with pytest.raises(DataError, match=r"(?s)2 predicted, 1 failed\..*b\.npy: is gone, or anot"):
        nw.predict(model, images, tmp_path / "out", tile=8, on="ray")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npy")) == ["a.npy", "c.npy"]


def test_an_image_is_never_replaced_by_its_prediction(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(16, 16, 2)).astype(np.float32)
    (tmp_path / "images").mkdir()
    write_raster(tmp_path / "images" / "a.tif", pixels)
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs))
    image, whole = tmp_path / "images" / "a.tif", {"overwrite": True}
    before = image.read_bytes()
    for path, told in ((image, "is the image itself"), (image.parent, "is the folder of")):
        with pytest.raises(NormwiseError, match=told):
            nw.predict(model, path, path, **whole)
    assert image.read_bytes() == before


@pytest.mark.parametrize("linked", [False, True])
def test_predictions_in_the_folder_of_their_images_are_no_image(
    model, images, tmp_path, monkeypatch, linked
):
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)

    def draw(predictor, image, predicted, path, about):
        ready = remembering(predictor, path, about_picture(predictor, about))
        write_raster(path, picture, overwrite=True, ready=ready)

    monkeypatch.setattr(prediction, "draw_overlay", draw)
    out, looks = images / "predicted", images / "looks"
    if linked:
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    written = nw.predict(model, images, out, overlay=looks)
    assert [path.name for path in written] == ["a.npy", "b.npy", "c.npy"]
    before = [path.read_bytes() for path in written]
    written[1].unlink()
    assert nw.predict(model, images, out, overlay=looks, resume=True) == written
    assert nw.predict(model, images, out, overlay=looks, overwrite=True) == written
    assert len(forecast(model, images, out, overlay=looks, overwrite=True)) == 3
    assert [path.read_bytes() for path in written] == before


def test_nothing_is_written_among_images_that_it_would_be_taken_for(model, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "predict_file", None)  # before work starts
    images, link = tmp_path / "images", tmp_path / "link"
    images.mkdir()
    link.symlink_to(images)
    # Its prediction would be a.npy, a twin of it.
    np.savez(images / "a.npz", np.zeros((SIDE, SIDE, 2), np.float32))
    for out, looks in ((images, None), (link, None), (tmp_path / "o", images)):
        for verb in (nw.predict, forecast):
            with pytest.raises(DataError, match=r"is the folder of the images.*Name another"):
                verb(model, images, out, overlay=looks)
    assert [path.name for path in images.iterdir()] == ["a.npz"]


def test_a_file_is_no_folder_for_predictions(model, images, tmp_path, monkeypatch):
    for module in (prediction, forecasting):
        monkeypatch.setattr(module, "Predictor", None)  # before work starts
    (tmp_path / "notes").write_text("mine")
    file, out, told = tmp_path / "notes", tmp_path / "out", r"notes is a file, not a folder"
    places = [(images, {"out": file}), (images, {"out": file / "deeper"})]
    places += [(images, {"out": out, "overlay": file}), (images / "a.npy", {"out": file / "a.npy"})]
    places += [(images / "a.npy", {"out": out / "a.npy", "overlay": file / "a.png"})]
    for image, where in places:
        for more in ({}, {"resume": True}, {"overwrite": True}):
            for verb in (nw.predict, forecast):
                with pytest.raises(OutputExistsError, match=told) as refused:
                    verb(model, image, **where, **more)
                assert "\n" not in str(refused.value)
    assert file.read_text() == "mine" and not out.exists()


def test_a_folder_that_may_not_be_read_is_left_out(model, images, tmp_path, monkeypatch, caplog):
    (images / "lost+found").mkdir()
    (images / "scene").mkdir()
    np.save(images / "scene" / "B1.npy", np.zeros((SIDE, SIDE, 2), np.float32))
    listed = Path.iterdir

    def iterdir(path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    written = nw.predict(model, images, tmp_path / "o")
    assert [path.stem for path in written] == ["a", "b", "c", "scene"]
    assert "lost+found: can't be read, and is left out (Permission denied)" in caplog.text
    # Beside an image, too; but it is an error of the one that is asked for.
    assert nw.predict(model, images / "scene", tmp_path / "s.npy").exists()
    with pytest.raises(NormwiseError, match=r"lost\+found: may not be looked into"):
        nw.predict(model, images / "lost+found", tmp_path / "l.npy")


@pytest.mark.parametrize("verb", [nw.predict, forecast])
def test_folders_that_may_not_be_looked_into_are_named(model, images, tmp_path, forbid, verb):
    closed, image = tmp_path / "closed", images / "a.npy"
    closed.mkdir()
    np.save(closed / "a.npy", np.zeros((SIDE, SIDE, 2), np.float32))
    forbid(closed)
    asked = [
        (closed / "a.npy", tmp_path / "o.npy"), (closed, tmp_path / "o"),
        (closed, tmp_path / "o.npy"), (image, closed / "o.npy"), (image, closed / "o.zarr"),
        (images, closed / "o"),
    ]  # fmt: skip
    for source, out in asked:
        for resume in (False, True):
            with pytest.raises(NormwiseError, match=r"closed(.o)?: may not be looked into"):
                verb(model, source, out, resume=resume)
    with pytest.raises(NormwiseError, match=r"closed: may not be looked into"):
        verb(model, image, tmp_path / "o.npy", overlay=closed / "look.png")
    with pytest.raises(NormwiseError, match=r"model\.keras: may not be looked into"):
        verb(closed / "model.keras", image, tmp_path / "o.npy")
    with pytest.raises(NormwiseError, match=r"a\.npy: may not be read"):
        verb(model, [closed / "a.npy"], tmp_path / "o.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed", "in"]


@pytest.mark.parametrize("place", [".", "..", "deeper/.."])
def test_the_folder_where_one_stands_is_an_image(model, tmp_path, monkeypatch, place):
    scene = tmp_path / "scene"
    (scene / "deeper").mkdir(parents=True)
    for band in ("B1", "B2"):
        np.save(scene / f"{band}.npy", np.full((SIDE, SIDE, 1), int(band[1]), np.float32))
    monkeypatch.setattr("normwise.workflows.scenes.order_is_unknown", lambda member: False)
    wanted = np.load(nw.predict(model, scene, tmp_path / "wanted.npy"))
    monkeypatch.chdir(scene / "deeper" if place == ".." else scene)
    np.testing.assert_array_equal(np.load(nw.predict(model, place, tmp_path / "o.npy")), wanted)
    with pytest.raises(DataError, match="deeper: no images"):
        nw.predict(model, scene / "deeper", tmp_path / "d.npy")


@pytest.mark.parametrize("out", ["out", "out.npy"])
def test_a_data_folder_is_no_folder_of_images_and_names_them(model, images, tmp_path, out):
    data = tmp_path / "rivers"
    (data / "masks").mkdir(parents=True)
    np.save(data / "masks" / "a.npy", np.zeros((SIDE, SIDE), np.uint8))
    images.rename(data / "images")
    with pytest.raises(DataError, match=r"rivers: is a data folder\. Name its images: .*images"):
        nw.predict(model, data, tmp_path / out)
    assert not (tmp_path / out).exists()


def test_an_image_is_no_folder_for_predictions(model, images):
    (images / "scene").mkdir()
    for band in ("B1", "B2"):
        np.save(images / "scene" / f"{band}.npy", np.zeros((SIDE, SIDE, 1), np.float32))
    for options in ({"out": images / "scene"}, {"out": images / "o", "overlay": images / "scene"}):
        with pytest.raises(DataError, match=r"scene: holds B1\.npy, B2\.npy.*Name another folder"):
            nw.predict(model, images, **options)
    assert len(list((images / "scene").iterdir())) == 2 and not (images / "o").exists()
    # The control: elsewhere it goes, and the bands are an image.
    written = nw.predict(model, images, images / "o")
    assert [path.stem for path in written] == ["a", "b", "c", "scene"]


def test_no_image_of_a_folder_is_replaced_by_the_picture_of_another(tmp_path, model, monkeypatch):
    monkeypatch.setattr(prediction, "predict_file", None)  # before work starts
    images, looks, out = tmp_path / "images", tmp_path / "looks", tmp_path / "out"
    for name in ("a.tif", "b.png"):
        write_raster(images / name, np.full((8, 8, 3), 9, np.uint8))
    looks.mkdir()
    os.link(images / "b.png", looks / "a.png")
    before = (images / "b.png").read_bytes()
    for drawn, told in ((images, "is the folder of the images"), (looks, "is the image itself")):
        with pytest.raises(NormwiseError, match=told):
            nw.predict(model, images, out, bands=[0, 1], overlay=drawn, overwrite=True)
    assert (images / "b.png").read_bytes() == before and not out.exists()
