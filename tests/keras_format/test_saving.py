"""Saving: whole or not at all, and readable by older Keras."""

import json
import zipfile

import keras
import numpy as np
import pytest

from normwise.errors import OutputExistsError, SurgeryError
from normwise.keras_format.saving import (
    NEWER_DEFAULTS,
    refuse_lambdas,
    save_model,
    without_newer_defaults,
)
from normwise.networks import build


def config_text(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("config.json").decode()


def randomized(norm):
    model = build("unet", (16, 16, 2), 1, norm, filters=2, depth=1)
    chance = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(chance.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.mark.backends
def test_the_same_model_without_the_newer_keys(tmp_path):
    model, path = randomized("batch@pre-activation"), tmp_path / "model.keras"
    save_model(model, path)
    assert "renorm" not in config_text(path)
    model.save(tmp_path / "plain.keras")
    assert "renorm" in config_text(tmp_path / "plain.keras")
    x = np.random.default_rng(1).normal(size=(2, 16, 16, 2)).astype("float32")
    again = keras.saving.load_model(path)
    assert np.array_equal(again.predict_on_batch(x), model.predict_on_batch(x))
    assert [p.name for p in tmp_path.iterdir()].count("model.keras") == 1
    assert not [p for p in tmp_path.iterdir() if "part" in p.name or "stripped" in p.name]


def test_renormalization_that_is_on_stays(tmp_path):
    save_model(randomized("batch-renorm@pre-activation"), tmp_path / "model.keras")
    assert '"renorm": true' in config_text(tmp_path / "model.keras")


def test_other_keys_are_untouched():
    config = {"layers": [{"renorm": False, **NEWER_DEFAULTS, "axis": -1}], "renorm_momentum": 1}
    assert without_newer_defaults(config) == {"layers": [{"axis": -1}], "renorm_momentum": 1}
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize("nested", [False, True])
def test_what_keras_would_write_only_once_is_refused(tmp_path, nested):
    pool = keras.layers.MaxPooling2D(name="pool")
    steps = [keras.layers.Conv2D(3, 3, padding="same"), pool, keras.layers.Conv2D(3, 3), pool]
    model = keras.Sequential([keras.Input((16, 16, 3)), *steps], name="steps")
    if nested:
        inputs = keras.Input((16, 16, 3))
        model = keras.Model(inputs, model(inputs))
    # What is refused: the file would hold another model.
    model.save(tmp_path / "plain.keras")
    again = keras.saving.load_model(tmp_path / "plain.keras")
    assert again.output_shape != model.output_shape
    with pytest.raises(SurgeryError, match="'pool' of the Sequential model 'steps'"):
        save_model(model, tmp_path / "model.keras")
    assert not (tmp_path / "model.keras").exists()


class Opaque(keras.layers.Layer):
    """A layer whose constructor takes an argument that it never writes."""

    def __init__(self, factor, **config):
        super().__init__(**config)
        self.factor = factor

    def call(self, x):
        return x * 2.0


def around(layer, name="outer"):
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)), name=name)


def test_a_layer_without_a_configuration_is_named_before_anything_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "model.keras"
    inner = around(Opaque(object(), name="opaque"), "inner")
    with pytest.raises(SurgeryError, match=r"'inner/opaque' of class Opaque .* no get_config\(\)"):
        save_model(around(inner), path)
    assert not list(tmp_path.iterdir())


def test_a_lambda_is_refused_by_name_where_the_file_is_to_be_read(tmp_path):
    path = tmp_path / "model.keras"
    model = around(keras.layers.Lambda(lambda x: 2 * x, name="own"))
    with pytest.raises(SurgeryError, match=r"'own' of class \w+ holds a Python lambda.*safe_mode"):
        refuse_lambdas(model, path)
    refuse_lambdas(around(keras.layers.Lambda(keras.ops.relu)), path)
    # What it advises.
    save_model(model, path)
    with pytest.raises(ValueError, match="lambda"):
        keras.saving.load_model(path)
    assert keras.saving.load_model(path, safe_mode=False).get_layer("own")


def test_an_activation_that_keras_could_not_load_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    model = around(keras.layers.Dense(4, activation=lambda x: 2 * x, name="own"))
    with pytest.raises(SurgeryError, match="the activation of layer 'own' is a Python lambda"):
        save_model(model, path)
    # What is refused: no setting lets Keras load it.
    model.save(path)
    with pytest.raises(TypeError):
        keras.saving.load_model(path, safe_mode=False)


def test_new_folders_go_with_a_file_that_could_not_be_written(tmp_path, monkeypatch):
    model = randomized("none")

    def full(path):
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match="disk full"):
        save_model(model, tmp_path / "new" / "folder" / "model.keras")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").mkdir()
    with pytest.raises(OSError, match="disk full"):
        save_model(model, tmp_path / "old" / "model.keras")
    assert (tmp_path / "old").is_dir()


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="exists already"):
        save_model(randomized("none"), path)
    assert path.read_text() == "mine"
    save_model(randomized("none"), path, overwrite=True)
    assert zipfile.is_zipfile(path)
