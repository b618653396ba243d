"""Which images an evaluation measures; tests of runs and ensembles have more of it."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import DataError, NetworkError
from normwise.workflows.measured_data import measured_data


def test_a_model_that_is_no_run_is_named_where_the_data_are_missing(tmp_path):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs), name="mine")
    model.save(tmp_path / "one.keras")
    for given, named in ((tmp_path / "one.keras", r"one\.keras"), (model, "model 'mine'")):
        with pytest.raises(DataError, match=f"{named}: name the data folder"):
            nw.evaluate(given)


def test_a_split_that_there_is_not_is_named(tmp_path):
    (tmp_path / "images.yaml").write_text("fill: [0.0]\n")
    (tmp_path / "data.json").write_text('{"fingerprint": "f00", "splits": {"val": []}}')
    for members in ([tmp_path], ["one.keras"]):
        with pytest.raises(DataError, match="split is 'valid'; allowed: train, val, test"):
            measured_data(members, tmp_path, None, "valid")


def test_images_of_other_bands_are_named_with_what_helps(tmp_path):
    for kind, channels in (("images", 3), ("targets", 1)):
        (tmp_path / kind).mkdir()
        for seed, name in enumerate("ab"):
            pixels = np.random.default_rng(seed).normal(size=(8, 8, channels))
            np.save(tmp_path / kind / f"{name}.npy", pixels.astype(np.float32))
    (tmp_path / "split.csv").write_text("name,split\na,test\nb,train\n")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    with pytest.raises(NetworkError, match="takes 2 channels") as raised:
        nw.evaluate(model, tmp_path)
    assert f"{tmp_path} has others" in str(raised.value)
    assert "--bands" not in str(raised.value)  # an option of other verbs


def test_images_that_all_test_can_be_measured_and_not_learnt_from(tmp_path):
    for kind, channels in (("images", 2), ("targets", 1)):
        (tmp_path / kind).mkdir()
        np.save(tmp_path / kind / "a.npy", np.arange(64.0 * channels).reshape(8, 8, channels))
    (tmp_path / "split.csv").write_text("name,split\na,test\n")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    assert nw.evaluate(model, tmp_path).pixels == 64
    with pytest.raises(DataError, match=r"no images in the split 'val'.*test \(1\)"):
        nw.evaluate(model, tmp_path, split="val")
    with pytest.raises(DataError, match="the split train is empty"):
        nw.train(tmp_path, out=tmp_path / "run")
