"""Finished outputs stay with --resume if they are made from the same; others are named at once."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import DataError, OutputExistsError, RasterError
from normwise.inference import whole
from normwise.inference.engines import choice
from normwise.rasters import output_records, read_raster
from normwise.rasters.output_records import FOLDER, remembered
from normwise.rasters.partial import partial_folder
from normwise.training.recipe import Recipe, to_yaml
from normwise.workflows import made_outputs, predicted_files
from normwise.workflows import predict as prediction
from normwise.workflows.forecast import forecast
from normwise.workflows.predicted import Journal
from tests.commands import normwise
from tests.surgery.randomize import randomize

SIDE, TILE = 40, 16


@keras.saving.register_keras_serializable("kept")
class Inner(keras.layers.Layer):
    """Has a layer without a name of its own."""

    def __init__(self, **told):
        super().__init__(**told)
        self.dense = keras.layers.Dense(2)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return super().get_config()


class KilledError(BaseException):
    """Nothing of ours goes on after it."""


def network(activation="relu", seed=0):
    inputs = keras.Input((None, None, 2), name="image")
    x = keras.layers.Conv2D(3, 3, padding="same", activation=activation, name="one")(inputs)
    x = keras.layers.Conv2D(2, 1, activation="softmax", name="two")(x)
    return randomize(keras.Model(inputs, x, name="small"), seed)


def blended(seed=0):
    x = inputs = keras.Input((None, None, 2), name="image")
    x = keras.layers.GroupNormalization(groups=-1, name="all_of_it")(x)
    return randomize(keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(x)), seed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of images with three bands, of which it takes the first two."""
    folder = tmp_path_factory.mktemp("run")
    network().save(folder / "model.keras")
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(data={"path": "gone", "bands": [0, 1]})))
    return folder


@pytest.fixture
def desk(trained, tmp_path):
    """A copy of the run, and a folder of three images."""
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abc"):
        write(tmp_path / "in" / f"{name}.npy", seed)
    return tmp_path


def write(path, seed):
    pixels = np.random.default_rng(seed).normal(3, 2, (SIDE, SIDE, 3)).astype(np.float32)
    np.save(path, pixels)


def predicted(desk, image="in", out="out", **options):
    journal = Journal()
    options = {"checked": False, "journal": journal, **options}
    nw.predict(desk / "run", desk / image, desk / out, **options)
    return [done.out.name for done in journal.written], [path.name for path in journal.kept]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


@pytest.fixture
def idle(monkeypatch):
    """No image is predicted, on which all can rely from then on."""

    def never(*_, **__):
        raise AssertionError("work began")

    return lambda: monkeypatch.setattr(prediction, "predict_file", never)


def test_what_is_made_from_the_same_stays(desk, idle):
    assert predicted(desk) == (["a.npy", "b.npy", "c.npy"], [])
    (desk / "out" / "b.npy").unlink()
    before = content(desk / "out")
    assert predicted(desk, resume=True) == (["b.npy"], ["a.npy", "c.npy"])
    assert before.items() < content(desk / "out").items()
    idle()
    assert predicted(desk, resume=True) == ([], ["a.npy", "b.npy", "c.npy"])
    assert predicted(desk, resume=True, overwrite=True) == ([], ["a.npy", "b.npy", "c.npy"])
    assert predicted(desk, "in/b.npy", "out/b.npy", resume=True) == ([], ["b.npy"])
    # Where the images lie makes no difference, nor do the tiles that equal the whole image.
    (desk / "in").rename(desk / "moved")
    assert predicted(desk, "moved", resume=True, tile=TILE)[1] == ["a.npy", "b.npy", "c.npy"]


def _other_weights(desk):
    network(seed=1).save(desk / "run" / "model.keras")


def _another_activation(desk):
    network("tanh").save(desk / "run" / "model.keras")


def _other_views_of_the_run(desk):
    told = Recipe(data={"path": "gone", "bands": [0, 1]}, prediction={"tta": "flips"})
    (desk / "run" / "recipe.yaml").write_text(to_yaml(told))


def _other_images(desk):
    for seed, name in enumerate("abc"):
        write(desk / "in" / f"{name}.npy", seed + 5)


def _later_images(desk):
    for path in (desk / "in").iterdir():
        os.utime(path, ns=(10**18, 10**18))


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (_other_weights, {}, "model"),
        (_another_activation, {}, "model"),
        (_other_views_of_the_run, {}, r'tta \(\["none"\] before, \["flips"\] now\)'),
        (_other_images, {}, "image"),
        (_later_images, {}, "image"),
        (None, {"tta": "flips"}, "tta"),
        (None, {"bands": [1, 0]}, r"bands \(\[\[0, 1\]\] before, \[\[1, 0\]\] now\)"),
        (None, {"nodata": 3.0}, "nodata"),
        (None, {"classes": True}, r"classes \(false before, true now\), legend.*, names"),
        (None, {"precision": "bfloat16"}, "precision"),
    ],
)
def test_what_differs_is_named_before_the_work_and_nothing_is_mixed(
    desk, change, options, told, monkeypatch
):
    predicted(desk)
    (desk / "out" / "b.npy").unlink()
    before = content(desk / "out")
    if change is not None:
        change(desk)
    asked = {"checked": False, "resume": True, **options}
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "predict_file", None)
        for verb in (nw.predict, forecast):
            with pytest.raises(OutputExistsError, match=r"2 files .*--overwrite.*-o") as refused:
                verb(desk / "run", desk / "in", desk / "out", **asked)
            lines = str(refused.value).splitlines()[1:]
            assert [line.split(":")[0].split("/")[-1] for line in lines] == ["a.npy", "c.npy"]
            one = f"a\\.npy: was made with another {told}.*--overwrite.*-o"
            with pytest.raises(OutputExistsError, match=one):
                verb(desk / "run", desk / "in" / "a.npy", desk / "out" / "a.npy", **asked)
    assert content(desk / "out") == before
    # With --overwrite it goes on, and elsewhere it begins: the same comes of both.
    assert predicted(desk, overwrite=True, **asked)[0] == ["a.npy", "b.npy", "c.npy"]
    predicted(desk, out="other", **options)
    assert content(desk / "out") == content(desk / "other") != before
    assert predicted(desk, **asked) == ([], ["a.npy", "b.npy", "c.npy"])


def test_with_overwrite_what_matches_stays(desk):
    predicted(desk)
    before = (desk / "out" / "a.npy").stat()
    write(desk / "in" / "b.npy", 7)
    (desk / "out" / "c.npy").write_bytes(b"somebody else's")
    with pytest.raises(OutputExistsError) as refused:
        predicted(desk, resume=True)
    assert "b.npy: was made with another image" in str(refused.value)
    assert "c.npy: nothing tells what it was made from" in str(refused.value)
    assert predicted(desk, resume=True, overwrite=True) == (["b.npy", "c.npy"], ["a.npy"])
    assert (desk / "out" / "a.npy").stat() == before
    predicted(desk, out="other")
    assert content(desk / "out") == content(desk / "other")
    # Alone, it replaces all.
    assert predicted(desk, overwrite=True) == (["a.npy", "b.npy", "c.npy"], [])


def test_outputs_without_records_are_unknown(desk, idle):
    predicted(desk)
    shutil.rmtree(desk / "out" / FOLDER)
    idle()
    with pytest.raises(OutputExistsError, match=r"3 files(?s:.)*c\.npy: nothing tells what"):
        predicted(desk, resume=True)


def test_blended_tiles_count_if_their_size_is_named(desk):
    blended().save(desk / "run" / "model.keras")
    predicted(desk, tile=TILE)
    assert predicted(desk, tile=TILE, resume=True)[0] == []
    # The size that is chosen by default is as good as another one.
    assert predicted(desk, resume=True)[0] == []
    with pytest.raises(OutputExistsError, match=r"another tile \(\[16, 16\] before, \[20, 20\] n"):
        predicted(desk, tile=20, resume=True)


@pytest.mark.parametrize("tile", [None, TILE], ids=["whole", "tiles"])
@pytest.mark.parametrize("suffix", ["npy", "tif", "zarr"])
@pytest.mark.parametrize("old", [None, "other", "unknown"])
@pytest.mark.parametrize("moment", ["before the record", "before the name", "after it"])
def test_a_kill_around_the_record_leaves_what_the_same_command_goes_on_with(
    desk, monkeypatch, tile, suffix, old, moment
):
    wanted = nw.predict(desk / "run", desk / "in" / "a.npy", tile=tile, checked=False)
    out, asked = desk / f"a.{suffix}", {"tile": tile, "resume": True, "checked": False}
    if old is not None:
        asked["overwrite"] = True
        nw.predict(network(seed=9), desk / "in" / "a.npy", out, bands=[0, 1], checked=False)
        if old == "unknown":
            shutil.rmtree(desk / FOLDER)
    remember = output_records.remember

    def killed_there(*told):
        if moment == "before the name":
            remember(*told)
        raise KilledError

    def killed_later(*told):
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        if moment == "after it":
            patch.setattr(predicted_files, "remove_pieces", killed_later)
            patch.setattr(predicted_files.PartialImage, "remove", killed_later)
        else:
            patch.setattr(made_outputs, "remember", killed_there)
        nw.predict(desk / "run", desk / "in" / "a.npy", out, **asked)
    if moment == "after it":
        # The same without leave to replace anything: it is done.
        told = {**asked, "overwrite": False}
        assert nw.predict(desk / "run", desk / "in" / "a.npy", out, **told) == out
    elif old is not None:
        told = {**asked, "overwrite": False}
        reason = "another model" if old == "other" else "nothing tells what"
        with pytest.raises(OutputExistsError, match=reason):
            nw.predict(desk / "run", desk / "in" / "a.npy", out, **told)
    assert nw.predict(desk / "run", desk / "in" / "a.npy", out, **asked) == out
    np.testing.assert_array_equal(read_raster(out), wanted)
    assert len(remembered(out)) == 1 and not partial_folder(out).exists()
    assert not [path for path in desk.iterdir() if path.name.startswith(f".a.{suffix}")]


def test_a_full_disk_for_the_record_costs_no_tiles(desk, monkeypatch):
    out, asked = desk / "a.npy", {"tile": TILE, "checked": False}
    wanted = nw.predict(desk / "run", desk / "in" / "a.npy", **asked)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(made_outputs, "remember", full)
        for more in ({}, {"resume": True}):
            with pytest.raises(
                RasterError, match=r"a\.npy: can't be written \(No space left.*--re"
            ):
                nw.predict(desk / "run", desk / "in" / "a.npy", out, **asked, **more)
        with pytest.raises(RasterError, match=r"b\.npy: can't be written \(.*No space left"):
            nw.predict(desk / "run", desk / "in" / "b.npy", desk / "b.npy", checked=False)
    assert not out.exists() and partial_folder(out).exists() and not (desk / "b.npy").exists()
    monkeypatch.setattr(whole, "_predict", None)  # all tiles are there
    nw.predict(desk / "run", desk / "in" / "a.npy", out, **asked, resume=True)
    np.testing.assert_array_equal(np.load(out), wanted)


def test_an_image_that_changes_meanwhile_is_seen_later(desk, monkeypatch):
    before = whole._predict

    def late(engine, image):
        os.utime(desk / "in" / "a.npy", ns=(10**18, 10**18))
        return before(engine, image)

    monkeypatch.setattr(whole, "_predict", late)
    for tile in (None, TILE):
        write(desk / "in" / "a.npy", 0)
        nw.predict(desk / "run", desk / "in" / "a.npy", desk / "o.npy", tile=tile, checked=False)
        with pytest.raises(OutputExistsError, match="another image"):
            predicted(desk, "in/a.npy", "o.npy", tile=tile, resume=True)
        (desk / "o.npy").unlink()


def test_a_model_is_the_same_when_it_is_loaded_again(desk, idle):
    inputs = keras.Input((None, None, 3), name="image")
    keras.Model(inputs, Inner(name="inner")(inputs)).save(desk / "run" / "model.keras")
    (desk / "run" / "recipe.yaml").unlink()
    predicted(desk)
    idle()
    assert predicted(desk, resume=True) == ([], ["a.npy", "b.npy", "c.npy"])


@pytest.mark.parametrize("tile", [None, TILE], ids=["whole", "tiles"])
def test_an_image_that_is_replaced_once_it_is_open_is_seen_later(desk, monkeypatch, tile):
    before, image, out = predicted_files.tiles_for, desk / "in" / "a.npy", desk / "o.npy"

    def late(*told):
        (desk / "in" / "b.npy").replace(image)
        return before(*told)

    with monkeypatch.context() as patch:
        patch.setattr(predicted_files, "tiles_for", late)
        nw.predict(desk / "run", image, out, tile=tile, checked=False)
    with pytest.raises(OutputExistsError, match="another image"):
        nw.predict(desk / "run", image, out, tile=tile, checked=False, resume=True)
    shutil.copy(image, desk / "in" / "b.npy")
    done = predicted_files._run

    def stopped(*told):
        done(*told)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predicted_files, "tiles_for", late)
        patch.setattr(predicted_files, "_run", stopped)
        nw.predict(desk / "run", image, desk / "p.npy", tile=TILE, checked=False)
    with pytest.raises(RasterError, match=r"p\.npy\.parts: .* with another image"):
        nw.predict(desk / "run", image, desk / "p.npy", tile=TILE, checked=False, resume=True)


def test_pictures_of_another_prediction_are_named_too(desk):
    picture = desk / "looks" / "a.png"
    predicted(desk, overlay=desk / "looks")
    seen = picture.read_bytes()
    asked = {"overlay": desk / "looks", "resume": True}
    assert predicted(desk, **asked)[0] == [] and picture.read_bytes() == seen
    shutil.rmtree(desk / "out")
    network(seed=1).save(desk / "run" / "model.keras")
    with pytest.raises(OutputExistsError, match=r"3 files(?s:.)*a\.png: was made with another mod"):
        predicted(desk, **asked)
    assert not (desk / "out").exists()
    predicted(desk, overwrite=True, **asked)
    assert picture.read_bytes() != seen
    # A picture alone, of a prediction that goes nowhere.
    alone = desk / "alone.png"
    one = {"overlay": alone, "checked": False}
    nw.predict(desk / "run", desk / "in" / "a.npy", tile=TILE, **one)
    before = alone.stat()
    nw.predict(desk / "run", desk / "in" / "a.npy", tile=TILE, resume=True, **one)
    assert alone.stat() == before
    with pytest.raises(OutputExistsError, match=r"alone\.png: was made with another tta"):
        nw.predict(desk / "run", desk / "in" / "a.npy", resume=True, tta="flips", **one)


def test_a_picture_is_made_from_what_its_output_is_made_from(desk, monkeypatch):
    shown, picture = desk / "o.png", {"overlay": desk / "o.png"}
    blended().save(desk / "run" / "model.keras")
    predicted(desk, "in/a.npy", "o.npy", tile=TILE, **picture)
    before, shown_before = (desk / "o.npy").read_bytes(), shown.read_bytes()
    asked = {"resume": True, **picture}
    assert predicted(desk, "in/a.npy", "o.npy", **asked) == ([], ["o.npy"])
    with pytest.raises(OutputExistsError, match=r"(?s)2 files.*o\.png: was made with another tile"):
        predicted(desk, "in/a.npy", "o.npy", tile=20, **asked)
    predicted(desk, "in/a.npy", "o.npy", tile=20, overwrite=True, **asked)
    assert (desk / "o.npy").read_bytes() != before and shown.read_bytes() != shown_before
    # An image that changes after it is predicted.
    draw = prediction.draw_overlay

    def late(*told):
        write(desk / "in" / "a.npy", 7)
        draw(*told)

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "draw_overlay", late)
        predicted(desk, "in/a.npy", "o.npy", overwrite=True, **picture)
    with pytest.raises(OutputExistsError, match=r"(?s)2 files.*o\.png: was made with another imag"):
        predicted(desk, "in/a.npy", "o.npy", **asked)


def test_a_picture_of_probabilities_has_the_colours_of_the_classes(desk):
    for first in ("#102030", "#203040"):
        Record(colours=[first, "#405060"]).write(desk / "run")
        if first != "#102030":
            with pytest.raises(OutputExistsError, match=r"looks/a\.png: was made with .* colours"):
                predicted(desk, overlay=desk / "looks", resume=True)
        more = {"resume": True, "overwrite": True, "overlay": desk / "looks"}
        assert len(predicted(desk, **more)[1]) == (0 if first == "#102030" else 3)


def test_the_rest_is_computed_by_the_engine_of_what_is_there(desk, monkeypatch):
    model = randomize(nw.build("unet", (None, None, 3), 1, filters=2, depth=1))
    seconds = {"keras folded float32": 1.0}
    monkeypatch.setattr(
        choice,
        "time_candidates",
        lambda runs, _: {one: seconds.get(str(one), 9.0) for one in runs},
    )
    model.save(desk / "run" / "model.keras")
    (desk / "run" / "recipe.yaml").unlink()
    predicted(desk, precision="auto")
    assert remembered(desk / "out" / "a.npy")[0]["engines"] == ["keras folded float32"]
    before = content(desk / "out")
    (desk / "out" / "b.npy").unlink()
    seconds.clear()
    seconds["keras float32"] = 1.0
    assert predicted(desk, precision="auto", resume=True)[0] == ["b.npy"]
    assert content(desk / "out") == before
    predicted(desk, out="other", precision="auto")
    assert content(desk / "other") != before
    # What is replaced decides nothing.
    told = {"precision": "auto", "resume": True, "overwrite": True, "tta": "flips"}
    assert not predicted(desk, **told)[1]
    assert remembered(desk / "out" / "a.npy")[0]["engines"] == ["keras float32"]
    predicted(desk, precision="auto", overwrite=True)
    # One that can't be used, or two.
    shutil.copy2(desk / "other" / "c.npy", desk / "out" / "c.npy")
    record = desk / "other" / FOLDER / "c.npy.json"
    for name in ("keras folded float32", "tpu float32"):
        told = json.loads(record.read_text())
        told[0]["about"]["engines"] = [name]
        (desk / "out" / FOLDER / "c.npy.json").write_text(json.dumps(told))
        with pytest.raises(OutputExistsError, match=rf"another engines \(\[\"{name}\"\] before"):
            predicted(desk, precision="auto", resume=True)
        if name == "tpu float32":
            with pytest.raises(OutputExistsError, match="another engines"):
                predicted(desk, "in/c.npy", "out/c.npy", precision="auto", resume=True)


def test_what_was_written_and_what_was_kept_is_counted(desk):
    def told(*words, code=0):
        done = normwise("predict", "run", *words, "--unchecked", cwd=desk)
        assert done.returncode == code, done.stderr
        return done

    assert told("in", "-o", "out").stdout == "3 images written to out\n"
    assert told("in", "-o", "out", "--resume").stdout == (
        "0 images written to out, 3 kept, made from the same\n"
    )
    (desk / "out" / "b.npy").unlink()
    assert told("in", "-o", "out", "--resume").stdout == (
        "1 image written to out, 2 kept, made from the same\n"
    )
    found = json.loads(told("in", "-o", "out", "--resume", "--format", "json").stdout)
    assert found["written"] == [] and found["kept"] == ["out/a.npy", "out/b.npy", "out/c.npy"]
    assert told("in/a.npy", "-o", "a.npy").stdout == "Written to a.npy\n"
    again = told("in/a.npy", "-o", "a.npy", "--resume")
    assert again.stdout == "Kept, made from the same: a.npy\n"
    (desk / "in" / "d.npy").write_bytes(b"no image")
    (desk / "out" / "b.npy").unlink()
    failed = told("in", "-o", "out", "--resume", code=2)
    assert "in: 1 predicted, 2 kept, 1 failed." in failed.stderr
    refused = told("in", "-o", "out", "--resume", "--tta", "flips", code=2)
    assert "3 files that are there" in refused.stderr and not refused.stdout


def test_a_folder_that_may_not_be_looked_into_is_named(desk, monkeypatch):
    there = Path.exists

    def protected(path):
        if path.parent.name == "out":
            raise PermissionError(13, "Permission denied")
        return there(path)

    monkeypatch.setattr(Path, "exists", protected)
    with pytest.raises(nw.NormwiseError, match="out: may not be looked into"):
        predicted(desk, resume=True)


def test_a_dry_run_tells_what_would_be_kept(desk):
    predicted(desk)
    (desk / "out" / "b.npy").unlink()
    journal, asked = Journal(), {"checked": False, "resume": True}
    (left,) = forecast(desk / "run", desk / "in", desk / "out", journal=journal, **asked)
    assert left.name == "b.npy"
    assert [path.name for path in journal.kept] == ["a.npy", "c.npy"]
    assert not forecast(desk / "run", desk / "in" / "a.npy", desk / "out" / "a.npy", **asked)
    words = ("predict", "run", "in", "-o", "out", "--unchecked", "--resume", "--dry-run")
    told = normwise(*words, cwd=desk).stdout
    assert "b.npy: 40x40 pixels, predicted whole" in told and "a.npy: 40x40" not in told
    assert told.endswith(
        "Kept, made from the same: out/a.npy\nKept, made from the same: out/c.npy\n"
    )
    found = json.loads(normwise(*words, "--format", "json", cwd=desk).stdout)
    assert [plan["out"] for plan in found["planned"]] == ["out/b.npy"]
    assert found["kept"] == ["out/a.npy", "out/c.npy"]


def test_an_image_that_fails_stops_no_other_though_its_output_is_there(desk):
    predicted(desk)
    before = content(desk / "out")
    write(desk / "in" / "b.npy", 7)
    # One that is too large for the memory that is named, and one that is none any more.
    np.save(desk / "in" / "a.npy", np.zeros((400, 400, 3), np.float32))
    asked = {"resume": True, "tile": 400, "memory": 10**7}
    with pytest.raises(
        OutputExistsError, match=r"(?s)2 files.*a\.npy: can't be .* \(.*memory.*b\."
    ):
        predicted(desk, **asked)
    (desk / "in" / "c.npy").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"(?s)1 predicted, 2 failed.*c\.npy.*memory"):
        predicted(desk, overwrite=True, **asked)
    after = content(desk / "out")
    assert [name for name in after if after[name] != before[name]] == ["b.npy"]
    told = {"checked": False, "overwrite": True, **asked}
    with pytest.raises(DataError, match=r"(?s)2 of its images can't be predicted.*c\.npy.*memory"):
        forecast(desk / "run", desk / "in", desk / "out", **told)


def test_the_pieces_of_another_prediction_stay_beside_an_output_that_is_kept(desk, monkeypatch):
    out, asked = desk / "o.npy", {"tile": TILE, "overwrite": True}
    predicted(desk, "in/a.npy", "o.npy")
    predicted(desk, "in/a.npy", "p.npy", tta="flips")
    done = predicted_files._run

    def stopped(*told):
        done(*told)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predicted_files, "_run", stopped)
        predicted(desk, "in/a.npy", "o.npy", tta="flips", **asked)
    assert predicted(desk, "in/a.npy", "o.npy", resume=True) == ([], ["o.npy"])
    monkeypatch.setattr(whole, "_predict", None)  # all tiles are there
    predicted(desk, "in/a.npy", "o.npy", tta="flips", resume=True, **asked)
    np.testing.assert_allclose(np.load(out), np.load(desk / "p.npy"), rtol=0, atol=1e-5)
    assert not partial_folder(out).exists()


def test_images_in_memory_are_known_again(desk):
    image = np.load(desk / "in" / "a.npy")[..., :2]
    out = nw.predict(network(), image, desk / "o.npy", tile=TILE)
    before = out.stat()
    nw.predict(network(), image.copy(), out, resume=True, tile=TILE)
    assert out.stat() == before
    with pytest.raises(OutputExistsError, match="another image"):
        nw.predict(network(), image + 1, out, resume=True)
    nw.predict(network(), image + 1, out, resume=True, overwrite=True)
    assert out.stat() != before and isinstance(out, Path)
