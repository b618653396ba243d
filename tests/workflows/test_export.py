"""Exports: what is written, what is compared, and what isn't left behind."""

import json
import re

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import (
    DataError,
    DeviationError,
    EngineMissingError,
    ExportError,
    ModelReadError,
    NetworkError,
    NormwiseError,
    OutputExistsError,
)
from normwise.inference.formats import exporting
from normwise.inference.formats.format import FORMATS, SAVEDMODEL
from normwise.rasters import write_raster
from tests.commands import normwise
from tests.surgery.randomize import randomize

layers = keras.layers
HERE = tuple(name for name, form in FORMATS.items() if not form.missing)

pytestmark = pytest.mark.skipif(bool(SAVEDMODEL.missing), reason="exports go through TensorFlow")


def network(bilinear=False):
    inputs = keras.Input((None, None, 2))
    x = layers.Rescaling(1 / 1000, name="scaling")(inputs)
    x = layers.MaxPooling2D(name="down")(layers.Conv2D(3, 3, padding="same")(x))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    lines = layers.UpSampling2D(interpolation="bilinear", name="up")
    x = lines(x) if bilinear else layers.Conv2DTranspose(3, 2, strides=2)(x)
    return randomize(keras.Model(inputs, layers.Conv2D(1, 1, name="head")(x)))


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture
def wrong(monkeypatch):
    """Runtimes whose results are a little off; which formats, the test says."""
    names, before = set(), exporting.runtime

    def off(form, path, ports):
        run = before(form, path, ports)
        return (
            (lambda arrays: [x + 1e-2 * np.ptp(x) for x in run(arrays)])
            if form.name in names
            else run
        )

    monkeypatch.setattr(exporting, "runtime", off)
    return names


def test_every_format_at_once(model, tmp_path):
    images = np.random.default_rng(0).integers(0, 3000, (80, 70, 2)).astype(np.uint16)
    (tmp_path / "images").mkdir()
    write_raster(tmp_path / "images" / "a.tif", images, nodata=0)
    done = nw.export(model, tmp_path / "out" / "net", HERE, data=tmp_path / "images")
    assert [file.format for file in done.files] == list(HERE) and not done.failed
    written = {"savedmodel": ["net"], "onnx": ["net.onnx"], "openvino": ["net.bin", "net.xml"],
               "litert": ["net.tflite"]}  # fmt: skip
    expected = sorted(name for form in HERE for name in written[form])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == expected
    for file in done.files:
        assert file.difference < 1e-5 and file.size > 500 and file.seconds > 0
    assert "1 of 1 batch normalizations folded" in done.notes
    assert re.fullmatch(
        r"compared on random input and on 80x70 pixels of .*a\.tif, filled up to \d+x\d+",
        done.notes[1],
    )
    assert json.dumps(done.to_dict())
    assert model.get_layer("norm") is not None


def test_a_file_that_differs_is_not_left_behind(model, tmp_path, wrong):
    wrong |= {"savedmodel"}
    with pytest.raises(DeviationError, match=r"differs from Keras by .*e-02 of an output's range"):
        nw.export(model, tmp_path / "net", "savedmodel")
    assert not list(tmp_path.iterdir())
    # With --overwrite the old one stays.
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "saved_model.pb").write_text("old")
    with pytest.raises(DeviationError):
        nw.export(model, tmp_path / "net", "savedmodel", overwrite=True)
    assert (tmp_path / "net" / "saved_model.pb").read_text() == "old"


def test_a_folder_that_is_no_saved_model_is_never_replaced(model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match=r"thesis holds something else \(chapter\.tex\)"):
        nw.export(model, tmp_path / "thesis", "savedmodel", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"
    with pytest.raises(OutputExistsError) as caught:
        nw.export(model, tmp_path / "thesis", "savedmodel")
    assert "--overwrite" not in str(caught.value)
    (tmp_path / "net.tflite").mkdir()
    with pytest.raises(OutputExistsError, match=r"net\.tflite is a folder"):
        nw.export(model, tmp_path / "net.tflite", "litert", overwrite=True)


def test_the_other_formats_are_written_all_the_same(model, tmp_path, wrong):
    wrong |= {"savedmodel"}
    model.save(tmp_path / "net.keras")
    formats = "--format", "savedmodel", "--format", "litert"
    done = normwise("export", "net.keras", "-o", "net", *formats, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "1 of 2 formats exported" in done.stderr and "differs from Keras" in done.stderr
    assert "not written" in done.stdout and "net.tflite" in done.stdout
    assert "max difference" in done.stdout and "keras" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.keras", "net.tflite"]


def test_a_runtime_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def broken(form, path, ports):
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setattr(exporting, "runtime", broken)
    with pytest.raises(DeviationError, match="can't be run: no such kernel"):
        nw.export(model, tmp_path / "net", "savedmodel")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's limits")
def test_a_layer_that_needs_its_size_is_named_and_the_size_helps(tmp_path):
    lines = network(bilinear=True)
    with pytest.raises(
        ExportError, match=r"layer 'up' \(UpSampling2D\)(.|\n)*--size 512"
    ) as caught:
        nw.export(lines, tmp_path / "net", "savedmodel")
    assert not isinstance(caught.value, DeviationError) and not list(tmp_path.iterdir())
    done = nw.export(lines, tmp_path / "net", "savedmodel", size=(16, 24))
    assert done.files[0].difference < 1e-5


def test_what_is_refused_before_any_work(model, tmp_path, monkeypatch):
    (tmp_path / "there.tflite").touch()
    with pytest.raises(OutputExistsError, match=r"there\.tflite exists already"):
        nw.export("gone.keras", tmp_path / "there", ["savedmodel", "litert"])
    for name in ("savedmodel", "onnx"):
        with pytest.raises(OutputExistsError, match=r"there\.tflite is a file, not a folder"):
            nw.export("gone.keras", tmp_path / "there.tflite" / "net", name, overwrite=True)
    with pytest.raises(NormwiseError, match="format is 'caffe'; allowed: savedmodel"):
        nw.export(model, tmp_path / "net", "caffe")
    with pytest.raises(NormwiseError, match="no format is named"):
        nw.export(model, tmp_path / "net", [])
    with pytest.raises(NormwiseError, match=r"net\.onnx: names a file of the format onnx"):
        nw.export(model, tmp_path / "net.onnx", "litert")
    for out in (".", ".."):
        with pytest.raises(NormwiseError, match=rf"^{re.escape(out)}: is a folder; .* {out}/model"):
            nw.export(model, out, ["litert", "onnx"])
    with pytest.raises(ModelReadError, match="no such file"):
        nw.export(tmp_path / "gone.keras", tmp_path / "net", "litert")
    with pytest.raises(NetworkError, match="takes anyxany pixels"):
        nw.export(model, tmp_path / "net", "litert", size=(8, 8, 8))
    for size in (True, "8", 8.0, (8, True), 0):
        with pytest.raises(NetworkError, match="takes anyxany pixels"):
            nw.export(model, tmp_path / "net", "litert", size=size)
    # A number of NumPy is none of that: it comes to what is refused next.
    with pytest.raises(DataError, match="no such folder"):
        nw.export(model, tmp_path / "net", "litert", size=np.int64(32), data=tmp_path / "gone")
    monkeypatch.setattr("normwise.inference.formats.format.find_spec", lambda name: None)
    with pytest.raises(EngineMissingError, match="pip install"):
        nw.export(model, tmp_path / "net", ["litert", "onnx"])
    assert [path.name for path in tmp_path.iterdir()] == ["there.tflite"]


def test_what_stands_beside_the_model_is_said(tmp_path):
    """A run whose data are gone, images scaled as a whole, findings of the check."""
    inputs = keras.Input((8, 8, 2), name="input_percentiles_1_99")
    x = layers.BatchNormalization(name="last")(layers.Conv2D(1, 1)(inputs))
    model = randomize(keras.Model(inputs, x))
    done = nw.export(model, tmp_path / "net.tflite", "litert")
    assert any("percentiles, each over the whole image" in note for note in done.notes)
    assert any("name real images with --data" in note for note in done.notes)
    assert done.findings.findings


def test_a_small_image_is_not_said_to_be_as_large_as_the_tile(model, tmp_path):
    for name, size in (("a", (600, 600)), ("b", (80, 700))):
        write_raster(tmp_path / f"{name}.tif", np.ones((*size, 2), np.uint16))
    done = nw.export(model, tmp_path / "net", SAVEDMODEL.name, data=tmp_path)
    told = r"on random input and on 80x512 pixels of .*b\.tif, filled up to 512x512"
    assert re.search(told, done.notes[1])
    done = nw.export(model, tmp_path / "other", SAVEDMODEL.name, data=tmp_path, size=(64, 96))
    assert re.search(r"on 64x96 pixels of .*b\.tif$", done.notes[1])
