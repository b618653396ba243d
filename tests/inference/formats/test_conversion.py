"""Models converted and run by the format's own runtime, beside Keras."""

import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from normwise.errors import EngineMissingError, ExportError, NormwiseError
from normwise.inference.agreement import deviation
from normwise.inference.formats import conversion, format, runtimes, tensorflow_writer, worker
from normwise.inference.formats.conversion import convert
from normwise.inference.formats.format import FORMATS, format_named, require
from normwise.inference.formats.runtimes import ports_of, runtime
from tests.surgery.randomize import randomize

layers = keras.layers


class Doubled(layers.Layer):
    """A layer that only its module knows."""

    def call(self, inputs):
        return 2 * inputs


def two_ways():
    """Two inputs and two outputs whose order by name is another than their own; any size."""
    first = keras.Input((None, None, 2), name="z_first")
    second = keras.Input((None, None, 2), name="a_second")
    x = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(first))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(second)
    both = Doubled(name="doubled")(layers.Concatenate()([x, y]))
    heads = [layers.Conv2D(1, 1, name="z_head")(both), layers.Conv2D(2, 1, name="a_head")(y)]
    return randomize(keras.Model([first, second], heads))


def up_by_lines():
    """What TensorFlow can't trace for a free size."""
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 3, strides=2, padding="same", name="down")(inputs)
    x = layers.UpSampling2D(interpolation="bilinear", name="up")(x)
    return randomize(keras.Model(inputs, layers.Conv2D(1, 1, name="head")(x)))


@pytest.fixture(scope="module")
def model():
    return two_ways()


def assert_converted(model, path, form):
    run = runtime(form, path, ports_of(model))
    for seed, size in enumerate([(2, 16, 24), (1, 32, 8)]):
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(size=(*size, 2)).astype(np.float32) for _ in model.inputs]
        wanted = [np.asarray(output) for output in model.predict_on_batch(arrays)]
        assert deviation(wanted, run(arrays)) < 1e-5
        # The control: inputs in another order are other inputs.
        assert deviation(wanted, run(arrays[::-1])) > 0.01


def installed(name):
    missing = FORMATS[name].missing
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=f"needs {missing}"))


@pytest.mark.parametrize("name", [installed(name) for name in FORMATS])
def test_inputs_outputs_and_free_sizes(model, tmp_path, name):
    form = FORMATS[name]
    path = tmp_path / f"model{form.suffix}"
    convert(model, path, form)
    assert_converted(model, path, form)


@pytest.mark.skipif(bool(format.SAVEDMODEL.missing), reason="needs TensorFlow")
def test_other_backends_convert_in_a_process_of_tensorflow(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    convert(model, tmp_path / "model", format.SAVEDMODEL)
    monkeypatch.undo()
    assert_converted(model, tmp_path / "model", format.SAVEDMODEL)


@pytest.mark.skipif(bool(format.SAVEDMODEL.missing), reason="needs TensorFlow")
def test_the_process_names_what_it_can_not_load(tmp_path, monkeypatch):
    inputs = keras.Input((4,))
    inside = type("Inside", (layers.Layer,), {"call": lambda self, x: x, "__module__": "__main__"})

    def in_this_process(command, **options):
        worker.main(Path(command[-1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(conversion.subprocess, "run", in_this_process)
    with pytest.raises(ExportError, match=r"savedmodel: TensorFlow.*can't load it.*Inside"):
        convert(keras.Model(inputs, inside()(inputs)), tmp_path / "model", format.SAVEDMODEL)
    failed = subprocess.CompletedProcess([], 1, "", "no memory")
    monkeypatch.setattr(conversion.subprocess, "run", lambda command, **options: failed)
    with pytest.raises(ExportError, match="the process that converts it failed: no memory"):
        convert(keras.Model(inputs, inputs * 2), tmp_path / "model", format.SAVEDMODEL)
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's limits")
def test_what_can_not_be_converted_is_named_and_leaves_nothing(tmp_path):
    model, form = up_by_lines(), format.SAVEDMODEL
    with pytest.raises(ExportError, match=r"savedmodel: layer 'up' \(UpSampling2D\) can't be"):
        convert(model, tmp_path / "model", form)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ExportError, match="the model can't be converted"):
        convert(model, tmp_path / "model", form, explain=False)
    convert(model, tmp_path / "model", form, sizes=(16, 24))
    image = np.random.default_rng(0).normal(size=(1, 16, 24, 2)).astype(np.float32)
    found = runtime(form, tmp_path / "model", ports_of(model))([image])
    assert deviation([np.asarray(model.predict_on_batch(image))], found) < 1e-5


@pytest.mark.parametrize("lost", [2, 9])
def test_a_conversion_to_onnx_that_lost_an_operation_is_made_again(
    model, tmp_path, monkeypatch, lost
):
    """tf2onnx at times takes out the last one, so that an output has an axis more."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    path, exported = tmp_path / "m.onnx", type(model).export
    made = []

    def export(self, *args, **options):
        exported(self, *args, **options)
        while not tensorflow_writer._has_axes_of(model, path):  # really lost, for once
            exported(self, *args, **options)
        made.append(path)
        if len(made) <= lost:
            written = onnx.load(path)
            written.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 1
            onnx.save(written, path)

    monkeypatch.setattr(type(model), "export", export)
    if lost == 2:
        convert(model, path, FORMATS["onnx"])
        assert_converted(model, path, FORMATS["onnx"])
        assert len(made) == 3
    else:
        with pytest.raises(ExportError, match="lost an operation, in each of 5"):
            convert(model, path, FORMATS["onnx"], explain=False)
        assert not path.exists()


def test_missing_packages_come_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(format, "find_spec", lambda name: None)
    with pytest.raises(EngineMissingError, match=r"pip install 'normwise\[onnx,tensorflow\]'"):
        require(format.ONNX)
    monkeypatch.setattr(format, "find_spec", lambda name: name == "tensorflow" or None)
    with pytest.raises(EngineMissingError, match=r"openvino needs openvino,.*normwise\[openvino\]"):
        require(format.OPENVINO)
    with pytest.raises(NormwiseError, match=r"'caffe'; allowed: savedmodel"):
        format_named("caffe")


def test_outputs_stand_in_the_models_order():
    many = {f"output_{i}": i for i in (10, 2, 0, 1)}
    assert runtimes._in_order(many) == ["output_0", "output_1", "output_2", "output_10"]
    assert runtimes._in_order({"b": 1, "a": 2}) == ["a", "b"]
