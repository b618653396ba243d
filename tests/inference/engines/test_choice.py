"""Which engine applies a model: compared with Keras, timed, and what is said of it."""

from pathlib import Path

import keras
import numpy as np
import pytest

from normwise.errors import EngineMissingError, ExportError, NormwiseError
from normwise.inference.engines import candidates, choice
from normwise.inference.engines.candidates import PLAIN, Candidate
from normwise.inference.engines.choice import ChosenEngine, time_candidates
from normwise.inference.engines.source import Source
from normwise.inference.engines.wanted import Wanted
from normwise.inference.formats import format
from tests.surgery.randomize import randomize

layers = keras.layers
BATCH = np.random.default_rng(0).normal(size=(1, 16, 16, 2)).astype(np.float32)


def network(norm=True, sides=(None, None)):
    inputs = keras.Input((*sides, 2))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x)) if norm else layers.ReLU()(x)
    return randomize(keras.Model(inputs, layers.Conv2D(1, 1, name="head")(x)))


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture
def runtimes(model, monkeypatch):
    """Stands in for OpenVINO and ONNX Runtime: Keras' outputs, times a factor for each engine."""
    factors = {"openvino": 1.0, "onnx": 1.0}
    monkeypatch.setattr(format, "find_spec", lambda name: name)
    monkeypatch.setattr(Source, "file", lambda source, form, shape: Path(form.name))
    monkeypatch.setattr(Source, "sizes", lambda source, form, shape: None)

    def runtime(form, path, ports, shapes, precision):
        assert shapes == [BATCH.shape]
        return lambda arrays: [factors[form.name] * np.asarray(model.predict_on_batch(arrays[0]))]

    monkeypatch.setattr(candidates, "runtime", runtime)
    return factors


@pytest.fixture
def seconds(monkeypatch):
    """What each engine is told to take; others take long."""
    told = {}
    monkeypatch.setattr(choice, "time_candidates", lambda runs, batch: {
        one: told.get(str(one), 9.0) for one in runs
    })  # fmt: skip
    return told


def chosen(model, *wanted):
    said = []
    engine = ChosenEngine(model, Wanted(*wanted), said.append)
    return np.asarray(engine(BATCH)), said


def test_the_fastest_that_agrees_is_kept(model, runtimes, seconds):
    seconds |= {"openvino float32": 1.0, "onnx float32": 2.0}
    found, said = chosen(model, "auto")
    np.testing.assert_allclose(found, model.predict_on_batch(BATCH), rtol=1e-6, atol=1e-6)
    (line,) = said
    assert line.startswith("Predicting with openvino float32: 1 s for 16x16 pixels; onnx")
    assert "keras float32 9 s" in line and "keras folded float32 9 s" in line
    runtimes["openvino"] = 1.001
    found, said = chosen(model, "auto")
    assert said[0].startswith("openvino float32 isn't used: it differs from Keras by")
    assert said[1].startswith("Predicting with onnx float32: 2 s")
    # The control: roundings are no reason.
    runtimes["openvino"] = 1.00001
    assert chosen(model, "auto")[1][0].startswith("Predicting with openvino")


def test_an_engine_that_is_named_and_differs_is_replaced_by_keras(model, runtimes):
    runtimes["onnx"] = np.nan
    found, said = chosen(model, "onnx")
    np.testing.assert_array_equal(found, model.predict_on_batch(BATCH))
    assert "onnx float32 isn't used" in said[0] and said[1] == f"Predicting with {PLAIN}."
    runtimes["onnx"] = 1.0
    assert chosen(model, "onnx")[1] == []


def test_what_can_not_be_converted_is_an_error_only_if_named(model, runtimes, seconds, monkeypatch):
    def fails(source, form, shape):
        raise ExportError(f"{form.name}: layer 'up' can't be converted: so it is")

    monkeypatch.setattr(Source, "file", fails)
    with pytest.raises(ExportError, match="layer 'up'"):
        chosen(model, "openvino")
    found, said = chosen(model, "auto")
    assert said[0].startswith("openvino float32 isn't used: openvino: layer 'up' can't be")
    assert said[-1].startswith("Predicting with keras")
    assert found.shape == (1, 16, 16, 1)


@pytest.mark.backends
def test_bfloat16_is_measured_and_said(model, seconds):
    found, said = chosen(model, "keras", "bfloat16")
    wanted = np.asarray(model.predict_on_batch(BATCH))
    off = np.abs(found - wanted).max() / np.ptp(wanted)
    assert 1e-5 < off < 0.05 and found.dtype == np.float32
    (line,) = said
    assert line.startswith("keras folded bfloat16 deviates from Keras in float32 by")
    assert float(line.split(" by ")[1].split()[0]) >= 0.95 * off
    assert all(layer.compute_dtype == "float32" for layer in model.layers)
    # Left to be chosen, it has to be faster.
    assert chosen(model, "keras", "auto")[1][-1].startswith("Predicting with keras float32: 9 s")
    seconds["keras folded bfloat16"] = 1.0
    assert chosen(model, "keras", "auto")[1][-1].startswith("Predicting with keras folded bfloat16")


def test_bfloat16_that_is_too_coarse_has_to_be_asked_for(model, runtimes, monkeypatch):
    runtimes["openvino"] = 1.1
    monkeypatch.setattr(candidates, "openvino_precisions", lambda: ("float32", "bfloat16"))
    found, said = chosen(model, "openvino", "bfloat16")
    assert np.abs(found).max() == pytest.approx(1.1 * np.abs(model.predict_on_batch(BATCH)).max())
    assert "deviates" in said[0]
    runtimes["openvino"] = 1.0
    monkeypatch.setattr(choice, "COARSE", 0.0)
    monkeypatch.setattr(choice, "TOLERANCE", 1.0)
    runtimes["openvino"] = 1.01
    assert "bfloat16 isn't used" in chosen(model, "openvino", "auto")[1][0]


def test_what_can_not_be_asked_for(model, runtimes, monkeypatch):
    with pytest.raises(NormwiseError, match=r"engine is 'tensorrt'; allowed: keras, openvino"):
        Wanted("tensorrt")
    with pytest.raises(NormwiseError, match=r"precision is 'int8'; allowed: float32"):
        Wanted("auto", "int8")
    with pytest.raises(NormwiseError, match="onnx computes in float32 alone"):
        chosen(model, "onnx", "bfloat16")
    monkeypatch.setattr(candidates, "openvino_precisions", lambda: ("float32",))
    with pytest.raises(NormwiseError, match="openvino computes in float32 alone"):
        chosen(model, "openvino", "bfloat16")
    monkeypatch.setattr(format, "find_spec", lambda name: None)
    with pytest.raises(EngineMissingError, match="pip install"):
        chosen(model, "openvino")


def test_engines_that_are_not_installed_are_left_out(model, seconds, monkeypatch):
    monkeypatch.setattr(format, "find_spec", lambda name: None)
    _, said = chosen(network(norm=False), "auto")
    assert said == ["Predicting with keras float32: no other engine is installed or agrees."]
    assert Wanted("auto").engines == ("keras",)


def test_each_is_timed_in_turn():
    calls = []
    runs = {Candidate(name): lambda batch, name=name: calls.append(name) for name in "ab"}
    assert set(time_candidates(runs, BATCH)) == set(runs)
    assert calls == ["a", "b"] * 3


@pytest.mark.parametrize(("side", "compared"), [(None, (1, 8, 8, 2)), (16, BATCH.shape)])
def test_large_tiles_are_compared_on_their_middle(monkeypatch, side, compared):
    """Predictions themselves are of the whole tile; models of one size take no other."""
    seen, own = [], network(sides=(side, side))
    monkeypatch.setattr(choice, "_LOOKED_AT", 100)

    def runtime(form, path, ports, shapes, precision):
        def run(arrays):
            seen.append(arrays[0].shape)
            return [np.asarray(own.predict_on_batch(arrays[0]))]

        return run

    monkeypatch.setattr(candidates, "runtime", runtime)
    engine = ChosenEngine(own, Wanted("openvino"), [].append, stride=(4, 4))
    np.testing.assert_array_equal(engine(BATCH), own.predict_on_batch(BATCH))
    assert seen == [compared, compared, BATCH.shape]


def test_what_can_not_be_traced_for_any_size_is_compared_whole(monkeypatch):
    """TensorFlow traces a second size for any, which bilinear up-sampling refuses."""
    monkeypatch.setattr(choice, "_LOOKED_AT", 100)
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 3, strides=2, padding="same")(inputs)
    x = layers.UpSampling2D(interpolation="bilinear")(x)
    own = randomize(keras.Model(inputs, layers.Conv2D(1, 1)(x)))
    engine = ChosenEngine(own, Wanted("keras", "bfloat16"), [].append, stride=(2, 2))
    assert np.asarray(engine(BATCH)).shape == (1, 16, 16, 1)


@pytest.mark.parametrize(("name", "count"), [("openvino", 2), ("onnx", 1)])
def test_turned_tiles_are_made_ready_once(model, runtimes, monkeypatch, name, count):
    made = []

    def runtime(form, path, ports, shapes, precision):
        made.append(shapes[0])
        return lambda arrays: [np.asarray(model.predict_on_batch(arrays[0]))]

    monkeypatch.setattr(candidates, "runtime", runtime)
    engine = ChosenEngine(model, Wanted(name), [].append)
    wide = BATCH[:, :12]
    tall = np.swapaxes(wide, 1, 2)
    for batch in (wide, tall, wide, tall):
        np.testing.assert_array_equal(engine(batch), model.predict_on_batch(batch))
    assert len(made) == count
    # Of a runtime that compiles, a third shape takes the place of the one not used for longest.
    for batch, more in ((wide, 0), (BATCH, 1), (wide, 1), (tall, 2)):
        engine(batch)
        assert len(made) == count + (more if name == "openvino" else 0)


def test_converted_files_of_many_sizes_do_not_pile_up(model, monkeypatch):
    def converted(model, path, form, sizes, explain):
        if sizes is None:
            raise ExportError("no free size")
        for suffix in (".xml", ".bin"):
            path.with_suffix(suffix).touch()

    monkeypatch.setattr("normwise.inference.engines.source.convert", converted)
    source = Source(model)
    first, *others = (source.file(format.OPENVINO, (1, 8, side, 2)) for side in range(8, 20))
    kept = {path.name for path in first.parent.iterdir()}
    assert len(kept) == 16 and not first.exists()
    assert source.file(format.OPENVINO, (1, 8, 19, 2)) == others[-1]
    again = source.file(format.OPENVINO, (1, 8, 8, 2))
    assert again.exists() and again.name not in kept


def test_the_model_is_folded_and_converted_once(monkeypatch):
    asked = []

    def converted(model, path, form, sizes, explain):
        asked.append((sizes, explain, model))
        if sizes is None:
            raise ExportError("no free size")

    monkeypatch.setattr("normwise.inference.engines.source.convert", converted)
    source = Source(network())
    assert source.is_folded and not Source(network(norm=False)).is_folded
    paths = [source.file(format.ONNX, shape) for shape in (BATCH.shape, BATCH.shape, (1, 8, 8, 2))]
    assert paths[0] == paths[1] != paths[2]
    assert [told[:2] for told in asked] == [(None, False), ((16, 16), True), ((8, 8), True)]
    assert all(told[2] is source.folded for told in asked)
    fixed = Source(randomize(keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(1, 1)])))
    with pytest.raises(ExportError, match="no free size"):
        fixed.file(format.ONNX, (1, 8, 8, 2))
