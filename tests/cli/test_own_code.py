"""`--import` where models are applied: their layers need the module that registers them."""

import sys

import keras
import numpy as np
import pytest

from normwise.rasters import read_raster, write_raster
from tests.commands import normwise

LAYER = """
import keras

@keras.saving.register_keras_serializable("own_code")
class Thrice(keras.layers.Layer):
    def call(self, x):
        return 3 * x
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a model of such a layer, its module and data; nothing is registered."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "thrice.py").write_text(LAYER)
    exec(LAYER, names := {"__name__": "thrice"})
    inputs = keras.Input((None, None, 2))
    outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(names["Thrice"]()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")
    mask = np.eye(8, dtype=np.uint8)[..., None]
    for value, name in enumerate("abc"):
        image = np.full((8, 8, 2), value, np.float32)
        write_raster(tmp_path / "data" / "images" / f"{name}.npy", image)
        write_raster(tmp_path / "data" / "masks" / f"{name}.png", mask)
    (tmp_path / "data" / "split.csv").write_text("name,split\na,test\nb,train\nc,val\n")
    forget()
    yield tmp_path
    forget()


def forget():
    keras.saving.get_custom_objects().pop("own_code>Thrice", None)
    sys.modules.pop("thrice", None)


IMAGE = "data/images/b.npy"
APPLIED = {
    "predict": (IMAGE, "-o", "out.npy"),
    "dry-run": (IMAGE, "-o", "out.npy", "--dry-run"),
    "evaluate": ("data",),
}


@pytest.mark.parametrize("journey", APPLIED)
def test_a_model_with_a_layer_of_ones_own_is_applied(desk, journey):
    verb = "predict" if journey == "dry-run" else journey
    done = normwise(verb, "m.keras", *APPLIED[journey], cwd=desk)
    assert done.returncode == 2 and "(--import MODULE)" in " ".join(done.stderr.split())
    done = normwise(verb, "m.keras", *APPLIED[journey], "--import", "thrice", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Imports thrice, which runs its code.\n")
    assert (desk / "out.npy").exists() == (journey == "predict")
    if journey == "predict":
        values = read_raster(desk / "out.npy")
        assert values.shape == (8, 8, 1) and np.ptp(values) == 0
    if journey == "evaluate":
        assert "iou" in done.stdout.lower()


def test_a_module_that_is_not_there_is_named_before_the_work(desk):
    done = normwise("predict", "m.keras", *APPLIED["predict"], "--import", "gone", cwd=desk)
    assert done.returncode == 2 and "--import gone: importing gone failed" in done.stderr
