"""A prediction that is gone on with is never a mix: of images, models, settings or engines."""

import json
import os
import shutil

import keras
import numpy as np
import pytest
import rasterio

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import OutputExistsError, RasterError
from normwise.inference import whole
from normwise.inference.engines import choice
from normwise.inference.engines.wanted import Wanted
from normwise.rasters import own_file, read_raster
from normwise.rasters.partial import partial_folder
from normwise.training.recipe import Recipe, to_yaml
from normwise.workflows import predicted_files
from normwise.workflows.forecast import forecast
from normwise.workflows.predictor import Predictor, Settings
from tests.surgery.randomize import randomize

SIZE, TILE, TILES = (60, 84), 16, 30
"""The halo is 1 pixel: a tile inside adds 14 pixels along each axis."""


class StopError(Exception):
    pass


@pytest.fixture
def stop(monkeypatch):
    """Interrupts the next prediction at some tile; None does no more."""
    left, before = [], whole._predict

    def stopping(engine, image):
        if left:
            left.append(None)
            if len(left) > left[0]:
                left.clear()
                raise StopError
        return before(engine, image)

    monkeypatch.setattr(whole, "_predict", stopping)
    return left.append


@pytest.fixture
def calls(monkeypatch):
    """The sizes of all tiles that a network is asked for."""
    seen, before = [], whole._predict

    def counted(engine, image):
        seen.append(image.shape[:2])
        return before(engine, image)

    monkeypatch.setattr(whole, "_predict", counted)
    return seen


def network(activation="relu"):
    inputs = keras.Input((None, None, 2), name="image")
    x = keras.layers.Conv2D(3, 3, padding="same", activation=activation, name="one")(inputs)
    x = keras.layers.Conv2D(2, 1, activation="softmax", name="two")(x)
    return randomize(keras.Model(inputs, x, name="small"))


def record(fill=(4.0, 5.0), **entries):
    return Record(channels=["a", "b", "c"], fill=list(fill), **entries)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of images with three bands, of which it takes the first two."""
    folder = tmp_path_factory.mktemp("run")
    network().save(folder / "model.keras")
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(data={"path": "gone", "bands": [0, 1]})))
    record().write(folder)
    return folder


def pixels(seed=0):
    return np.random.default_rng(seed).normal(3, 2, (*SIZE, 3)).astype(np.float32)


def write_tiff(path, seed=0, nodata=None):
    size = {"height": SIZE[0], "width": SIZE[1], "count": 3, "dtype": "float32"}
    with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **size) as file:
        file.write(np.moveaxis(pixels(seed), -1, 0))
    return path


@pytest.fixture
def interrupted(run, tmp_path, stop):
    """A copy of the run, an image, and an output of which some tiles are there."""
    shutil.copytree(run, tmp_path / "run")
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.npy"
    stop(6)
    with pytest.raises(StopError):
        nw.predict(tmp_path / "run", scene, out, tile=TILE)
    assert not out.exists() and (partial_folder(out) / "done.txt").read_text().count("\n") == 5
    return tmp_path / "run", scene, out


def _other_fill(run, scene):
    record((0.0, 0.0)).write(run)


def _other_nodata_of_the_run(run, scene):
    record(nodata=-1.0).write(run)


def _other_views_of_the_run(run, scene):
    told = Recipe(data={"path": "gone", "bands": [0, 1]}, prediction={"tta": "flips"})
    (run / "recipe.yaml").write_text(to_yaml(told))


def _other_bands_of_the_run(run, scene):
    (run / "recipe.yaml").write_text(to_yaml(Recipe(data={"path": "gone", "bands": [0, 2]})))


def _another_activation(run, scene):
    network("tanh").save(run / "model.keras")


def _other_weights(run, scene):
    randomize(network(), 1).save(run / "model.keras")


def _another_image(run, scene):
    write_tiff(scene, seed=1)


def _another_nodata_of_the_file(run, scene):
    stamp = scene.stat()
    write_tiff(scene, nodata=-9.0)
    # It would be seen by its time already.
    os.utime(scene, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def _another_mask(run, scene):
    size = {"height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(f"{scene}.msk", "w", driver="GTiff", **size) as file:
        file.update_tags(INTERNAL_MASK_FLAGS_1=2)
        file.write(np.full((1, *SIZE), 255, np.uint8))


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (_other_fill, {}, "fill"),
        (_other_nodata_of_the_run, {}, "nodata"),
        (_other_views_of_the_run, {}, r'tta \(\["none"\] before, \["flips"\] now\)'),
        (_other_bands_of_the_run, {}, r"bands \(\[\[0, 1\]\] before, \[\[0, 2\]\] now\)"),
        (_another_activation, {}, "model"),
        (_other_weights, {}, "model"),
        (_another_image, {}, "image"),
        (_another_nodata_of_the_file, {}, "image, nodata"),
        (_another_mask, {}, "image"),
        (None, {"tta": "flips"}, "tta"),
        (None, {"bands": [1, 0]}, "bands"),
        (None, {"nodata": 3.0}, "nodata"),
        (None, {"classes": True}, r"classes \(false before, true now\), dtype"),
        (None, {"precision": "bfloat16"}, "precision"),
        (None, {"tile": 20}, r"tile \(\[16, 16\] before, \[20, 20\] now\)"),
    ],
)
def test_what_differs_is_named_and_nothing_is_mixed(interrupted, change, options, told):
    run, scene, out = interrupted
    if change is not None:
        change(run, scene)
    asked = {"tile": TILE, "checked": False, **options}
    with pytest.raises(RasterError, match=f"with another {told}.*--overwrite"):
        nw.predict(run, scene, out, resume=True, **asked)
    assert not out.exists() and partial_folder(out).is_dir()


def test_bands_are_numbers_of_any_kind(run, tmp_path, stop):
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.npy"
    stop(6)
    with pytest.raises(StopError):
        nw.predict(run, scene, out, tile=TILE, bands=np.array([1, 0]), checked=False)
    nw.predict(run, scene, out, tile=TILE, bands=[1, 0], checked=False, resume=True)
    wanted = nw.predict(run, scene, tile=TILE, bands=range(1, -1, -1), checked=False)
    np.testing.assert_array_equal(read_raster(out), wanted)
    with pytest.raises(nw.NormwiseError, match=r"bands are \[0\.5, 1\]; expected whole numbers"):
        nw.predict(run, scene, bands=[0.5, 1])


def test_with_overwrite_it_begins_anew_where_something_differs(interrupted, calls):
    run, scene, out = interrupted
    plain = nw.predict(run, scene, tile=TILE)
    turned = nw.predict(run, scene, tile=TILE, tta="flips")
    pieces = partial_folder(out)
    shutil.copytree(pieces, out.with_name("kept"))
    asked = {"tile": TILE, "resume": True, "overwrite": True}
    nw.predict(run, scene, out, tta="flips", **asked)
    np.testing.assert_array_equal(read_raster(out), turned)
    assert not np.array_equal(plain, turned) and not pieces.exists()
    # The control: with the same settings it goes on, beside an output that is replaced.
    out.with_name("kept").rename(pieces)
    calls.clear()
    nw.predict(run, scene, out, **asked)
    np.testing.assert_array_equal(read_raster(out), plain)
    assert len(calls) == TILES - 5


def test_the_software_is_told(interrupted):
    run, scene, out = interrupted
    about = partial_folder(out) / "about.json"
    told = json.loads(about.read_text())
    assert set(told["software"]) == {"normwise", "keras", keras.backend.backend()}
    told["software"]["keras"] = "3.0"
    about.write_text(json.dumps(told))
    with pytest.raises(RasterError, match="another software"):
        nw.predict(run, scene, out, tile=TILE, resume=True)


def test_tiles_keep_their_size_and_a_whole_image_leaves_no_pieces(interrupted, calls):
    run, scene, out = interrupted
    wanted = nw.predict(run, scene, tile=TILE)
    calls.clear()
    copy = out.with_name("kept")
    shutil.copytree(partial_folder(out), copy)
    # Without a size the whole image would fit; what is done would be lost.
    nw.predict(run, scene, out, resume=True)
    assert calls == [(TILE, TILE)] * (TILES - 5)
    np.testing.assert_array_equal(read_raster(out), wanted)
    assert not partial_folder(out).exists()
    # A size that is named, or a memory, counts: now it fits, and the pieces go.
    out.unlink()
    copy.rename(partial_folder(out))
    calls.clear()
    nw.predict(run, scene, out, resume=True, memory="1GB")
    assert calls == [SIZE] and not partial_folder(out).exists()
    # An interruption after the output got its name.
    partial_folder(out).mkdir()
    (partial_folder(out) / "done.txt").write_text("")
    nw.predict(run, scene, out, resume=True)
    assert not partial_folder(out).exists()


@pytest.fixture
def meanwhile(monkeypatch):
    """Does something before some tile, once."""
    left, before = [], whole._predict

    def pausing(engine, image):
        if left:
            left[0][0] -= 1
            if not left[0][0]:
                left.pop()[1]()
        return before(engine, image)

    monkeypatch.setattr(whole, "_predict", pausing)
    return lambda tile, task: left.append([tile, task])


def test_two_predictions_of_one_output_dont_meet(run, tmp_path, meanwhile):
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.npy"
    wanted = nw.predict(run, scene, tile=TILE)

    def again():
        for told in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(RasterError, match="another process is writing this prediction"):
                nw.predict(run, scene, out, tile=TILE, tta="flips", **told)
        assert not out.exists()

    meanwhile(6, again)
    nw.predict(run, scene, out, tile=TILE)
    np.testing.assert_array_equal(read_raster(out), wanted)
    assert not partial_folder(out).exists()


def test_a_whole_prediction_leaves_the_pieces_of_a_process_that_lives(run, tmp_path, meanwhile):
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.npy"
    wanted = nw.predict(run, scene, tile=TILE)
    meanwhile(6, lambda: nw.predict(run, scene, out, memory="1GB"))
    with pytest.raises(OutputExistsError):
        nw.predict(run, scene, out, tile=TILE)
    nw.predict(run, scene, out, tile=TILE, resume=True, overwrite=True)
    np.testing.assert_array_equal(read_raster(out), wanted)


@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_without_locks_an_output_is_that_of_one_prediction(
    run, tmp_path, meanwhile, monkeypatch, suffix
):
    monkeypatch.setattr(own_file, "_lock", lambda _: None)
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / f"out.{suffix}"
    other = randomize(network(), 1)
    wanted = nw.predict(other, scene, bands=[0, 1], tile=TILE)

    def replace():
        nw.predict(other, scene, out, bands=[0, 1], tile=TILE, overwrite=True)

    meanwhile(6, replace)
    with pytest.raises(RasterError, match="another process removed or replaced"):
        nw.predict(run, scene, out, tile=TILE, overwrite=True)
    np.testing.assert_array_equal(read_raster(out), wanted)


def test_pieces_that_are_replaced_while_they_are_put_together(run, tmp_path, monkeypatch):
    """After they were brought to the disk, by a process on a file system without locks."""
    monkeypatch.setattr(own_file, "_lock", lambda _: None)
    scene, out = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.tif"
    before = predicted_files.write_prediction

    def late(*args):
        before(*args)
        shutil.rmtree(partial_folder(out))

    monkeypatch.setattr(predicted_files, "write_prediction", late)
    with pytest.raises(RasterError, match="another process removed or replaced"):
        nw.predict(run, scene, out, tile=TILE)
    assert not out.exists()


def test_without_a_word_the_pieces_are_kept(interrupted):
    run, scene, out = interrupted
    with pytest.raises(OutputExistsError, match="--resume"):
        nw.predict(run, scene, out, tile=TILE)
    assert partial_folder(out).is_dir()


def test_a_chunk_of_a_zarr_that_is_replaced_is_seen(run, tmp_path, stop):
    import zarr

    array = zarr.create_array(
        tmp_path / "scene.zarr", shape=(*SIZE, 3), chunks=(30, 40, 3), dtype="float32"
    )
    array[...] = pixels()
    out = tmp_path / "out.zarr"
    stop(6)
    with pytest.raises(StopError):
        nw.predict(run, tmp_path / "scene.zarr", out, tile=TILE)
    array[30:, 40:] = 7
    with pytest.raises(RasterError, match="another image"):
        nw.predict(run, tmp_path / "scene.zarr", out, tile=TILE, resume=True)


def test_what_auto_has_chosen_goes_on(tmp_path, monkeypatch, stop):
    """The engine that is fastest now may be another one, which rounds in another way."""
    model = randomize(nw.build("unet", (None, None, 3), 1, filters=2, depth=1))
    seconds = {"keras folded float32": 1.0}
    monkeypatch.setattr(
        choice,
        "time_candidates",
        lambda runs, _: {one: seconds.get(str(one), 9.0) for one in runs},
    )
    np.save(tmp_path / "scene.npy", pixels())
    asked = {"tile": 32, "precision": "auto"}
    folded = nw.predict(model, tmp_path / "scene.npy", **asked)
    out = tmp_path / "out.npy"
    stop(4)
    with pytest.raises(StopError):
        nw.predict(model, tmp_path / "scene.npy", out, **asked)
    found = partial_folder(out) / "found.json"
    assert json.loads(found.read_text()) == ["keras folded float32"]
    seconds.clear()
    seconds["keras float32"] = 1.0
    plain = nw.predict(model, tmp_path / "scene.npy", **asked)
    kept = found.read_text()
    found.write_text('["tpu float32"]')
    with pytest.raises(RasterError, match="computed by tpu float32, which can't be used now"):
        nw.predict(model, tmp_path / "scene.npy", out, resume=True, **asked)
    copy = shutil.copytree(partial_folder(out), tmp_path / "kept")
    nw.predict(model, tmp_path / "scene.npy", out, resume=True, overwrite=True, **asked)
    np.testing.assert_array_equal(np.load(out), plain)
    out.unlink()
    copy.rename(partial_folder(out))
    found.write_text(kept)
    nw.predict(model, tmp_path / "scene.npy", out, resume=True, **asked)
    np.testing.assert_array_equal(np.load(out), folded)
    assert not np.array_equal(folded, plain)


def test_engines_of_which_one_cant_be_used_are_chosen_anew(run, stop, calls, tmp_path):
    """The first member's engine is known here, the second's isn't: neither is kept."""
    scene, out, members = write_tiff(tmp_path / "scene.tif"), tmp_path / "out.npy", [run, run]
    asked = {"tile": TILE, "precision": "auto"}
    stop(6)
    with pytest.raises(StopError):
        nw.predict(members, scene, out, **asked)
    (partial_folder(out) / "found.json").write_text('["keras float32", "tpu float32"]')
    predictor = Predictor(members, Settings(wanted=Wanted("keras", "auto")))
    assert not predictor.keep_engines(["keras float32", "tpu float32"])
    assert predictor.engines == [None, None]
    calls.clear()
    nw.predict(members, scene, out, resume=True, overwrite=True, **asked)
    assert calls.count((TILE, TILE)) >= 2 * TILES


def _wide(seed=0):
    """A network with a halo of 12 pixels: tiles of 16 have no room for it."""
    inputs = keras.Input((None, None, 2), name="image")
    x = keras.layers.Conv2D(2, 25, padding="same", activation="softmax", name="one")(inputs)
    return randomize(keras.Model(inputs, x, name="wide"), seed)


def test_pieces_of_another_model_decide_nothing(interrupted, calls):
    run, scene, out = interrupted
    _wide().save(run / "model.keras")
    with pytest.raises(RasterError, match=r"another model .*--overwrite"):
        nw.predict(run, scene, out, resume=True)
    with pytest.raises(RasterError, match=r"another model .*--overwrite"):
        forecast(run, scene, out, resume=True)
    assert partial_folder(out).is_dir() and not out.exists()
    wanted = nw.predict(run, scene)
    calls.clear()
    nw.predict(run, scene, out, resume=True, overwrite=True)
    assert calls == [SIZE] and not partial_folder(out).exists()
    np.testing.assert_array_equal(read_raster(out), wanted)


def test_an_image_is_never_named_as_its_prediction(run, tmp_path):
    scene = write_tiff(tmp_path / "scene.tif")
    before = scene.read_bytes()
    for options in ({"resume": True}, {"overwrite": True}, {"resume": True, "overwrite": True}):
        with pytest.raises(RasterError, match="is the image itself"):
            nw.predict(run, scene, scene, **options)
    assert scene.read_bytes() == before
