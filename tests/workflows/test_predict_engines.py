"""Prediction by other engines: the same numbers, by tiles, with views and ensembles."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import EngineMissingError, NormwiseError, RasterError
from normwise.inference import whole
from normwise.inference.formats.format import FORMATS
from normwise.rasters import read_raster, write_raster
from tests.commands import normwise
from tests.surgery.randomize import randomize

PIXELS = np.random.default_rng(0).normal(100, 30, (70, 90, 2)).astype(np.float32)


def network(seed=0):
    model = nw.build("unet", (None, None, 2), 2, filters=4, depth=1)
    return randomize(model, seed)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def wanted(model):
    return nw.predict(model, PIXELS)


def assert_same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.ptp(wanted))
    assert not np.allclose(found, np.roll(wanted, 1, 0), rtol=0, atol=1e-2 * np.ptp(wanted))


def said_of(caplog):
    return [record for record in caplog.records if record.name.startswith("normwise")]


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_tiles_by_another_engine_equal_keras(model, wanted, name, tmp_path, caplog):
    if FORMATS[name].missing:
        pytest.skip(f"needs {', '.join(FORMATS[name].missing)}")
    told = {"engine": name, "progress": False}
    out = nw.predict(model, PIXELS, tmp_path / "out.npy", tile=48, **told)
    assert_same(read_raster(out), wanted)
    assert not said_of(caplog)
    # Another size, whole, and by a network that can't be converted for any size.
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(3, 3, strides=2, padding="same")(inputs)
    up = keras.layers.UpSampling2D(interpolation="bilinear", name="up")(x)
    lines = randomize(keras.Model(inputs, up))
    area = PIXELS[:40, :40]
    assert_same(nw.predict(lines, area, **told), nw.predict(lines, area))
    assert not said_of(caplog)  # else Keras has taken its place


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_the_statistics_of_an_input_are_kept(name, tmp_path):
    if FORMATS[name].missing:
        pytest.skip(f"needs {', '.join(FORMATS[name].missing)}")
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Normalization(mean=[90.0, 110.0], variance=[400.0, 900.0])(inputs)
    keras.Model(inputs, keras.layers.Conv2D(2, 3, padding="same")(x)).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert_same(nw.predict(loaded, PIXELS, engine=name), nw.predict(loaded, PIXELS))
    (layer,) = (one for one in loaded.layers if isinstance(one, keras.layers.Normalization))
    assert keras.ops.is_tensor(layer.mean)  # as before


@pytest.mark.backends
def test_the_fastest_engine_and_bfloat16_by_command(model, wanted, tmp_path):
    model.save(tmp_path / "model.keras")
    write_raster(tmp_path / "scene.npy", PIXELS)
    words = "predict", "model.keras", "scene.npy", "--tile", "48"
    done = normwise(*words, "-o", "auto.npy", "--engine", "auto", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Predicting with " in done.stderr
    assert_same(read_raster(tmp_path / "auto.npy"), wanted)
    done = normwise(*words, "-o", "half.npy", "--precision", "bfloat16", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "keras folded bfloat16 deviates from Keras in float32 by" in done.stderr
    off = np.abs(read_raster(tmp_path / "half.npy") - wanted).max() / np.ptp(wanted)
    assert 1e-5 < off < 0.05
    wrong = normwise(*words, "-o", "x.npy", "--engine", "cuda", cwd=tmp_path)
    assert wrong.returncode == 2 and "allowed: keras, openvino, onnx, auto" in wrong.stderr


def test_ensembles_and_views_by_another_precision(model):
    members = [model, network(1)]
    found = nw.predict(members, PIXELS, tta="flips", tile=48, precision="bfloat16")
    wanted = nw.predict(members, PIXELS, tta="flips")
    assert 1e-5 < np.abs(found - wanted).max() / np.ptp(wanted) < 0.05


def test_nothing_starts_with_an_engine_that_is_missing(monkeypatch):
    monkeypatch.setattr("normwise.inference.formats.format.find_spec", lambda name: None)
    monkeypatch.setattr("normwise.workflows.predictor.live_model", lambda model: 1 / 0)
    with pytest.raises(EngineMissingError, match=r"pip install 'normwise\[openvino,tensorflow\]'"):
        nw.predict(object(), PIXELS, engine="openvino")
    with pytest.raises(NormwiseError, match="allowed"):
        nw.predict(object(), PIXELS, precision="float16")


def test_another_engine_does_not_go_on(model, tmp_path, monkeypatch):
    write_raster(tmp_path / "scene.npy", PIXELS)
    asked, before = [], whole._predict

    def stopping(engine, image):
        asked.append(image.shape)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return before(engine, image)

    monkeypatch.setattr(whole, "_predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        nw.predict(model, tmp_path / "scene.npy", tmp_path / "out.npy", tile=48)
    with pytest.raises(RasterError, match="another engine"):
        nw.predict(
            model, tmp_path / "scene.npy", tmp_path / "out.npy", tile=48, engine="auto", resume=True
        )
