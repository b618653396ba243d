"""Recalibration from folders of images, folding from files, and both on the command line."""

import json
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.errors import (
    DataError,
    ModelReadError,
    NetworkError,
    NormwiseError,
    OutputExistsError,
    RasterError,
)
from normwise.rasters import write_raster
from normwise.workflows.image_batches import ImageBatches, image_files
from normwise.workflows.model_images import fill_of
from normwise.workflows.rewrites import refuse_output
from tests.commands import normwise
from tests.surgery.models import outputs_of
from tests.surgery.randomize import randomize

RNG = np.random.default_rng(8)
SIZES = {"a": (20, 30), "b": (16, 16), "c": (7, 40)}


@pytest.fixture(scope="module")
def pictures():
    """Images of several sizes, some pixels of which are missing (-1)."""
    found = {}
    for name, (rows, columns) in SIZES.items():
        image = RNG.integers(0, 500, (rows, columns, 4)).astype(np.int16)
        image[2:4, 3:9] = -1
        found[name] = image
    return found


@pytest.fixture
def folder(tmp_path, pictures):
    for name, image in pictures.items():
        path = tmp_path / "data" / "images" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_raster(path, image)
    return tmp_path / "data"


def network(size=None):
    inputs = keras.Input((size, size, 4))
    x = layers.BatchNormalization(name="raw")(inputs)
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(3, 1, name="conv")(x))
    return randomize(keras.Model(inputs, layers.ReLU()(x)))


def valid_rows(pictures, bands=slice(None)):
    rows = np.concatenate([image.reshape(-1, 4) for image in pictures.values()])
    return rows[(rows != -1).any(axis=1)][:, bands].astype(np.float64)


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("tile", [16, 512])
def test_every_valid_pixel_of_a_folder_counts_once(folder, pictures, size, tile):
    done = nw.recalibrate(network(size), folder, nodata=-1, tile=tile, progress=False)
    rows = valid_rows(pictures)
    norm = done.model.get_layer("raw")
    mean, variance = (keras.ops.convert_to_numpy(v) for v in norm.weights[2:4])
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-5)
    with_missing = np.concatenate([i.reshape(-1, 4) for i in pictures.values()])
    assert not np.allclose(mean, with_missing.mean(axis=0), rtol=1e-3)


def test_batches_have_one_shape_and_are_counted(folder):
    batches = ImageBatches(image_files(folder), (16, 16), nodata=-1.0)
    arrays = list(batches)
    assert len(arrays) == len(batches) == 1
    assert arrays[0].shape == (2 * 2 + 1 + 3, 16, 16, 4)
    assert np.isnan(arrays[0]).any()
    small = ImageBatches(image_files(folder), (256, 256))
    assert [array.shape for array in small] == [(1, 256, 256, 4)] * 3
    assert len(small) == 3


def test_bands_and_scaling_of_each_image(folder, pictures):
    seen = []

    def scaled(pixels, nodata):
        seen.append((pixels.shape, nodata))
        return pixels / 100

    files = image_files(folder)
    chosen = ImageBatches(files, (64, 64), bands=(2, 0), nodata=-1.0, scaled=scaled)
    array = np.concatenate([batch.reshape(-1, 2) for batch in chosen])
    found = array[~np.isnan(array).all(axis=1)]
    expected = valid_rows(pictures, [2, 0]) / 100
    np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), rtol=1e-5)
    assert seen[0] == ((20, 30, 2), (-1.0,))


def test_volumes(tmp_path):
    volume = RNG.normal(size=(5, 9, 10, 2)).astype(np.float32)
    np.save(tmp_path / "volume.npy", volume)
    inputs = keras.Input((None, None, None, 2))
    model = keras.Model(inputs, layers.BatchNormalization(name="raw")(inputs))
    done = nw.recalibrate(model, tmp_path, tile=4, progress=False)
    mean = keras.ops.convert_to_numpy(done.model.get_layer("raw").moving_mean)
    np.testing.assert_allclose(mean, volume.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    with pytest.raises(RasterError, match=r"volume.npy: is a volume"):
        nw.recalibrate(network(), tmp_path, progress=False)


def test_images_are_found_in_a_plain_folder_and_in_splits(tmp_path, pictures):
    with pytest.raises(DataError, match="no images; expected files that end in"):
        image_files(tmp_path)
    write_raster(tmp_path / "one.npy", pictures["a"])
    assert [path.name for path in image_files(tmp_path)] == ["one.npy"]
    for split in ("train", "val"):
        (tmp_path / split / "images").mkdir(parents=True)
        write_raster(tmp_path / split / "images" / f"{split}.npy", pictures["b"])
    assert [path.name for path in image_files(tmp_path)] == ["train.npy", "val.npy"]


def test_arrays_need_no_folder(pictures):
    data = RNG.normal(size=(4, 16, 16, 4)).astype(np.float32)
    done = nw.recalibrate(network(), iter([data]), fast=True, progress=False)
    mean = keras.ops.convert_to_numpy(done.model.get_layer("raw").moving_mean)
    np.testing.assert_allclose(mean, data.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)


def test_an_array_fits_a_model_that_was_made_with_a_list_or_a_mapping(folder, pictures):
    for made in (lambda x: [x], lambda x: {"image": x}):
        inputs = keras.Input((None, None, 4), name="image")
        outputs = layers.BatchNormalization(name="raw")(inputs)
        model = keras.Model(made(inputs), outputs)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="The structure of `inputs`")
            done = nw.recalibrate(model, folder, nodata=-1, progress=False)
            nw.check(model, data=folder, nodata=-1, progress=False)
        mean = keras.ops.convert_to_numpy(done.model.get_layer("raw").moving_mean)
        np.testing.assert_allclose(mean, valid_rows(pictures).mean(axis=0), rtol=1e-5)


def test_what_a_folder_can_not_do(tmp_path):
    with pytest.raises(DataError, match="no such folder of images"):
        nw.recalibrate(network(), tmp_path / "gone", progress=False)
    inputs = keras.Input((4,))
    flat = keras.Model(inputs, layers.BatchNormalization()(inputs))
    with pytest.raises(NetworkError, match="needs one input"):
        nw.recalibrate(flat, tmp_path, progress=False)


def test_outputs_are_keras_files_that_may_be_written(tmp_path):
    with pytest.raises(NormwiseError, match=r"written as \.keras files"):
        refuse_output(tmp_path / "model.h5", overwrite=False)
    with pytest.raises(NormwiseError, match=r"model\.KERAS: models are written as \.keras files"):
        refuse_output(tmp_path / "model.KERAS", overwrite=False)
    (tmp_path / "model.keras").touch()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        refuse_output(tmp_path / "model.keras", overwrite=False)
    refuse_output(tmp_path / "model.keras", overwrite=True)


def test_the_command_line(folder, tmp_path):
    path = tmp_path / "model.keras"
    model = network()
    model.save(path)
    new, folded = tmp_path / "new.keras", tmp_path / "folded.keras"
    done = normwise("recalibrate", path, "--data", folder, "--nodata", "-1", "-o", new)
    assert done.returncode == 0, done.stderr
    assert "raw: the old mean was off by up to" in done.stdout
    assert "2 passes over" in done.stdout
    assert "statistics, depth 2 of 2: " in done.stderr
    done = normwise("fold", new, "-o", folded, "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [change["layer"] for change in report["changed"]] == ["raw", "norm"]
    data = RNG.normal(size=(1, 16, 16, 4)).astype(np.float32)
    before, after = (outputs_of(keras.saving.load_model(p), data)[0] for p in (new, folded))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())
    done = normwise("fold", new, "-o", folded)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr


def test_an_unkept_promise_is_exit_1_and_writes_nothing(tmp_path, monkeypatch, capsys):
    from normwise.cli import app

    path, out, model = tmp_path / "model.keras", tmp_path / "folded.keras", network()
    model.save(path)
    monkeypatch.setattr(
        "normwise.surgery.fold_plan.folded_after", lambda kind, weights, *_: weights
    )
    monkeypatch.setattr(sys, "argv", ["normwise", "fold", str(path), "-o", str(out)])
    with pytest.raises(SystemExit) as stopped:
        app.main()
    assert stopped.value.code == 1
    assert not out.exists()
    assert f"layer {model.layers[-1].name!r} differs by" in capsys.readouterr().err


def test_images_of_several_files_are_one_each(tmp_path):
    pixels = RNG.normal(size=(20, 12, 2)).astype(np.float32)
    for name in ("a", "b"):
        for band in range(2):
            path = tmp_path / "images" / name / f"band{band}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, pixels[..., band] + (name == "b"))
    arrays = list(ImageBatches(image_files(tmp_path), (20, 12)))
    np.testing.assert_array_equal(np.concatenate(arrays), np.stack([pixels, pixels + 1]))
    (tmp_path / "images" / "b" / "band1.npy").unlink()
    with pytest.raises(DataError, match="b"):
        image_files(tmp_path)


def test_compressed_volumes_of_a_folder_are_found(tmp_path):
    volume = RNG.normal(size=(4, 6, 5, 1)).astype(np.float32)
    write_raster(tmp_path / "images" / "scan.nii.gz", volume)
    (array,) = ImageBatches(image_files(tmp_path), (4, 6, 5))
    np.testing.assert_array_equal(array[0], volume)


def test_channels_may_come_first():
    inputs = keras.Input((4, None, None))
    x = layers.BatchNormalization(axis=1, name="raw")(inputs)
    pool = layers.MaxPooling2D(data_format="channels_first")
    model = randomize(keras.Model(inputs, pool(x)))
    mean = keras.ops.convert_to_numpy(model.get_layer("raw").moving_mean)
    np.testing.assert_allclose(fill_of(model), mean, rtol=1e-6)
    with pytest.raises(NetworkError, match="needs one input"):
        nw.recalibrate(model, Path(__file__).parent, progress=False)


def own_class():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x, training=None):
            return self.norm(x, training=training)

    model = Own()
    model(np.zeros((1, 8, 8, 4), "float32"))
    return model


@pytest.mark.parametrize("make", [own_class, lambda: keras.Sequential([layers.Conv2D(3, 3)])])
def test_a_model_without_a_graph(make, folder):
    data = [np.zeros((1, 8, 8, 4), np.float32)]
    with pytest.raises(ModelReadError, match="model"):
        nw.recalibrate(make(), data, progress=False)
    with pytest.raises(ModelReadError, match="model"):
        nw.recalibrate(make(), folder, progress=False)
    with pytest.raises(ModelReadError, match="model"):
        nw.place(make(), "batch@pre-activation", data=data)


def test_images_with_other_bands_are_named(tmp_path):
    for name, bands in (("a", 4), ("b", 3)):
        write_raster(tmp_path / f"{name}.npy", np.zeros((16, 16, bands), np.float32))
    with pytest.raises(DataError, match=r"b\.npy: 3 bands, but .*a\.npy has 4"):
        list(ImageBatches(image_files(tmp_path), (16, 16)))
    with pytest.raises(DataError, match=r"b\.npy: 3 bands, but the model takes 4\. Name those"):
        nw.recalibrate(network(), tmp_path, progress=False)
    arrays = list(ImageBatches(image_files(tmp_path), (16, 16), bands=[0, 2]))
    assert arrays[0].shape == (2, 16, 16, 2)
    (tmp_path / "a.npy").unlink()
    for wrong in (nw.recalibrate, lambda model, data, **_: nw.check(model, data=data)):
        with pytest.raises(DataError, match=r"b\.npy: 3 bands, but the model takes 4"):
            wrong(network(), tmp_path, progress=False)
