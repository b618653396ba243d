"""`normwise place` writes what it proved, and nothing else."""

import json
import sys

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.rasters import write_raster
from tests.commands import normwise
from tests.surgery.models import shaken
from tests.zoo import conv, image


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "unet.keras"
    build = nw.build("unet", (None, None, 3), norm="none", filters=2, depth=1)
    shaken(build).save(path)
    return path


def test_a_model_is_placed_proved_and_written(unet, tmp_path):
    out = tmp_path / "placed.keras"
    done = normwise("place", unet, "--norm", "batch@pre-activation", "-o", out, "--drop-bias")
    assert done.returncode == 0, done.stderr
    assert "BatchNormalization inserted between encoder1_conv1" in done.stdout
    assert "outputs kept in inference" in done.stdout and f"Written to {out}" in done.stdout
    assert str(nw.plan_of(out)) == "batch@pre-activation"
    again = normwise("place", unet, "--norm", "batch@skip", "-o", out)
    assert again.returncode == 2 and "--overwrite" in again.stderr
    again = normwise("place", "gone.keras", "--norm", "batch@skip", "-o", out / "deeper.keras")
    assert again.returncode == 2 and "placed.keras is a file, not a folder" in again.stderr


def test_what_cannot_keep_outputs_writes_nothing_and_exits_1(unet, tmp_path):
    out = tmp_path / "out.keras"
    words = ("place", unet, "--norm", "rms@skip", "-o", out, "--format", "json")
    done = normwise(*words)
    assert done.returncode == 1 and not out.exists()
    said = json.loads(done.stdout)
    assert said["written"] is None and said["skipped"][0]["layer"] == "encoder1_conv2_skip_norm"
    assert "Nothing written" in done.stderr and "--retrain" in done.stderr
    done = normwise(*words, "--retrain")
    assert done.returncode == 0 and str(nw.plan_of(out)) == "rms@skip"
    assert json.loads(done.stdout)["promise"] == "outputs change"


def test_statistics_come_from_a_folder_of_images(unet, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        write_raster(tmp_path / "images" / f"{name}.npy", rng.normal(7, 2, (32, 32, 3)))
    out = tmp_path / "out.keras"
    words = ("--norm", "batch@input", "-o", out, "--data", tmp_path / "images")
    done = normwise("place", unet, *words)
    assert done.returncode == 0, done.stderr
    norm = keras.saving.load_model(out).get_layer("input_norm")
    np.testing.assert_allclose(np.asarray(norm.moving_mean), 7, atol=0.3)
    np.testing.assert_allclose(np.asarray(norm.gamma), 2, atol=0.3)


def test_an_architecture_is_placed_without_weights_to_keep(tmp_path):
    inputs = image(3)
    model = keras.Model(inputs, conv(1)(conv(4, activation="relu", name="a")(inputs)))
    path, out = tmp_path / "net.json", tmp_path / "out.keras"
    path.write_text(model.to_json())
    done = normwise("place", path, "--norm", "group(groups=2)@pre-activation", "-o", out)
    assert done.returncode == 0, done.stderr
    assert str(nw.plan_of(out)) == "group(groups=2)@pre-activation"


def test_a_keras_2_file_is_placed(tmp_path):
    inputs = image(3)
    model = keras.Model(inputs, conv(1)(conv(4, activation="relu", name="a")(inputs)))
    path, out = tmp_path / "old.h5", tmp_path / "out.keras"
    model.save(path)
    done = normwise("place", path, "--norm", "batch@pre-activation", "-o", out)
    assert done.returncode == 0, done.stderr


CUSTOM = """
import keras

@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def forget_mine():
    del keras.saving.get_custom_objects()["mine>Twice"]
    sys.modules.pop("mine", None)


def test_custom_layers_are_imported_on_demand(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(CUSTOM)
    exec(CUSTOM, names := {"__name__": "mine"})
    inputs = image(2)
    x = conv(3, activation="relu", name="a")(names["Twice"]()(inputs))
    keras.Model(inputs, conv(1)(x)).save(tmp_path / "m.keras")
    forget_mine()
    words = ("place", "m.keras", "--norm", "batch@pre-activation", "-o", "out.keras")
    fold = ("fold", "m.keras", "-o", "folded.keras")
    done = normwise(*words, cwd=tmp_path)
    assert done.returncode == 2 and "import" in done.stderr
    assert normwise(*fold, cwd=tmp_path).returncode == 2
    assert normwise(*words, "--import", "mine", cwd=tmp_path).returncode == 0
    forget_mine()
    done = normwise(*fold, "--import", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    forget_mine()
    done = normwise(*words, "--overwrite", "--import", "gone", cwd=tmp_path)
    assert done.returncode == 2 and "--import gone" in done.stderr


def test_impossible_requests_say_what_would_help(unet, tmp_path):
    out = tmp_path / "out.keras"
    done = normwise("place", unet, "--norm", "batch@nowhere", "-o", out)
    assert done.returncode == 2 and "'nowhere' is no position" in done.stderr
    done = normwise("place", unet, "--norm", "batch@skip", "-o", out, "--layers", "none_*")
    assert done.returncode == 2 and "matches the pattern" in done.stderr
    done = normwise("place", unet, "--norm", "batch@skip", "-o", tmp_path / "out.h5")
    assert done.returncode == 2 and ".keras" in done.stderr


def test_the_model_in_hand_stays_as_it_is():
    inputs = image(3)
    x = layers.ReLU()(conv(4, name="a")(inputs))
    model = keras.Model(inputs, conv(1, name="head")(x))
    done = nw.place(model, "batch@pre-activation")
    assert done.model is not model and len(model.layers) == 4 and len(done.model.layers) == 5


def test_a_fault_that_an_edit_brings_is_told_with_it(tmp_path):
    """The question's network: a batch norm in its linear decoder stands behind a Dropout."""
    model = nw.build("question", (64, 64, 9))
    done = nw.place(model, "batch@encoder:post-activation/raw-skip+after-merge")
    first = done.report.changed[0]
    assert [fault.partition(":")[0] for fault in first.faults] == [
        "warning dropout-before-norm (NW117)"
    ]
    assert "dropout" in first.faults[0]
    # What was wrong before is nobody's news.
    assert any(f.name == "affine-chain" for f in nw.check(model).findings)
    assert not any("affine-chain" in fault for c in done.report.changed for fault in c.faults)
    done = nw.place(model, "batch@encoder:post-activation", keep_outputs=False)
    assert done.report.changed and not any(change.faults for change in done.report.changed)
    path, out = tmp_path / "question.keras", tmp_path / "out.keras"
    model.save(path)
    said = normwise("place", path, "--norm", "batch@encoder:post-activation/raw-skip+after-merge",
                    "-o", out)  # fmt: skip
    assert said.returncode == 0 and f"    {first.faults[0]}" in said.stdout.splitlines()


def test_a_fault_of_the_layer_that_an_edit_is_for_is_told_with_the_edit():
    inputs = image(3)
    x = conv(4, activation="relu", use_bias=False, name="a")(inputs)
    x = conv(4, activation="relu", name="b")(x)
    done = nw.place(keras.Model(inputs, conv(1, name="head")(x)), "batch@post-activation")
    told = {change.layer: change.faults for change in done.report.changed}
    assert [fault.partition(":")[0] for fault in told["a_norm"]] == ["warning missing-bias (NW103)"]
    assert not told["b_norm"] and not [n for n in done.report.notes if "missing-bias" in n]


MODELS = """
import keras

class Opaque(keras.layers.Layer):
    def __init__(self, factor, **config):
        super().__init__(**config)
    def call(self, x):
        return 2 * x

def network(layer):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="a")(layer(inputs))
    return keras.Model(inputs, keras.layers.Conv2D(1, 1, name="head")(x))

def opaque():
    return network(Opaque(object(), name="own"))

def function():
    return network(keras.layers.Lambda(lambda x: 2 * x, name="own"))
"""


@pytest.mark.parametrize(("made", "said"), [("opaque", "get_config"), ("function", "lambda")])
def test_a_file_that_nothing_could_read_is_not_written(made, said, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "live_models.py").write_text(MODELS)
    words = ("--norm", "batch@pre-activation", "-o", tmp_path / "new" / "out.keras")
    done = normwise("place", f"live_models:{made}", *words, cwd=tmp_path)
    assert done.returncode == 2 and "'own'" in done.stderr and said in done.stderr
    assert "fault of normwise" not in done.stderr and not (tmp_path / "new").exists()


def test_an_edit_that_can_never_be_made_has_a_way_out(tmp_path):
    inputs = keras.Input((8, 8, 3), dtype="int32")
    x = layers.Rescaling(0.1)(inputs)
    x = conv(4, activation="relu", name="a")(x)
    path, out = tmp_path / "model.keras", tmp_path / "out.keras"
    keras.Model(inputs, conv(1, name="head")(x)).save(path)
    words = ("place", path, "--norm", "batch@input+pre-activation", "-o", out, "--retrain")
    done = normwise(*words)
    assert done.returncode == 1 and not out.exists() and "int32 values" in done.stdout
    assert "--layers" in done.stderr and "fewer positions" in done.stderr
    assert "--retrain" not in done.stderr
    assert normwise(*words, "--layers", "a").returncode == 0 and out.exists()
