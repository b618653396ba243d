"""Weights are read a layer at a time, by full paths, from every format."""

import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest

from normwise.errors import ModelReadError, WeightsTooLargeError
from normwise.keras_format.archive import read_keras_version
from normwise.keras_format.live_weights import LiveWeights
from normwise.keras_format.plain_hdf5 import Dataset
from normwise.keras_format.weights_file import WeightsFile
from tests.surgery.models import shaken

layers = keras.layers


def model():
    inner_in = keras.Input((None, None, 4))
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(3, 1, name="conv")(inner_in))
    inner = keras.Model(inner_in, y, name="inner")
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(inputs))
    x = keras.Sequential([layers.Conv2D(2, 1, name="conv")], name="seq")(inner(x))
    return shaken(keras.Model(inputs, layers.Dropout(0.5)(x), name="m"))


PATHS = ["conv", "norm", "inner/conv", "inner/norm", "seq/conv"]


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_every_layer_by_its_full_path(suffix, tmp_path):
    made, path = model(), tmp_path / f"model{suffix}"
    made.save_weights(path) if suffix == ".weights.h5" else made.save(path)
    live = LiveWeights(made)
    with WeightsFile(path) as stored:
        for name in PATHS:
            for one, two in zip(stored.of(name), live.of(name), strict=True):
                np.testing.assert_array_equal(one, two)
        assert stored.of("dropout") is None and live.of("dropout") is None
        assert stored.of("gone") is None and live.of("gone") is None
    norms = [live.of(name) for name in ("norm", "inner/norm")]
    assert norms[0][0].shape != norms[1][0].shape


def test_a_packed_archive_is_read_too(tmp_path):
    made = model()
    made.save(tmp_path / "model.keras")
    packed = zipfile.ZipFile(tmp_path / "packed.keras", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "model.keras") as old, packed as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with WeightsFile(tmp_path / "packed.keras") as stored:
        np.testing.assert_array_equal(stored.of("conv")[0], made.get_layer("conv").kernel)


def test_half_precision_is_read_as_numbers(tmp_path):
    inputs = keras.Input((4,))
    made = keras.Model(inputs, layers.Dense(3, name="d", dtype="bfloat16")(inputs))
    made.save(tmp_path / "model.keras")
    with WeightsFile(tmp_path / "model.keras") as stored:
        kernel = stored.of("d")[0]
    expected = np.asarray(made.get_layer("d").kernel, dtype=np.float32)
    np.testing.assert_array_equal(kernel, expected)


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    model().save(tmp_path / "model.keras")
    read = []
    original = Dataset.values

    def counted(dataset, *args):
        read.append(dataset.name)
        return original(dataset, *args)

    monkeypatch.setattr(Dataset, "values", counted)
    with WeightsFile(tmp_path / "model.keras") as stored:
        assert not read
        stored.of("inner/norm")
    assert len(read) == 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + b"\0" * 40])
def test_a_broken_file_is_a_clear_error(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="no readable weights"):
        stored.of("conv")


def test_weights_in_other_files_are_not_read(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("other.h5", "/x")
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="in another file"):
        stored.of("conv")


def test_a_layer_beyond_all_bounds_is_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "conv"
        group.create_dataset("0", shape=(10**6, 10**4), dtype="float32", chunks=(10**3, 10**3))
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="bytes"):
        stored.of("conv")


def of_norms(path, *, libver=None, compression=None, **channels):
    """Weights of batch normalizations, as Keras 3 keeps them."""
    with h5py.File(path, "w", libver=libver) as file:
        for name, width in channels.items():
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for index in range(4):
                values = np.full(width, index, "float32")
                group.create_dataset(str(index), data=values, compression=compression)


@pytest.mark.parametrize(
    ("width", "form"),
    [
        (2**19 + 1, {}),
        (2**19 + 1, {"compression": "gzip"}),
        (2**21 + 1, {"compression": "gzip", "libver": "latest"}),
    ],
)
def test_what_is_merely_wide_is_left_unread(width, form, tmp_path):
    path = tmp_path / "model.weights.h5"
    of_norms(path, wide=width, narrow=3, **form)
    with WeightsFile(path) as stored:
        said = rf"'wide' are {4 * width:,} numbers; .* unread"
        with pytest.raises(WeightsTooLargeError, match=said):
            stored.of("wide")
        assert [values.tolist() for values in stored.of("narrow")] == [[i] * 3 for i in range(4)]


def test_as_wide_as_is_read(tmp_path):
    path = tmp_path / "model.weights.h5"
    of_norms(path, one=2**19, two=2**19, three=2**10)
    with WeightsFile(path) as stored:
        assert all(stored.of(name)[3].shape == (2**19,) for name in ("one", "two"))
        with pytest.raises(WeightsTooLargeError, match="unread"):
            stored.of("three")


def test_more_than_the_file_has_is_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    of_norms(path, norm=12_347)
    content = path.read_bytes()
    for told, stated in ((12_347, 3_000_000), (4 * 12_347, 4 * 3_000_000)):
        assert content.count(struct.pack("<Q", told)) >= 4
        content = content.replace(struct.pack("<Q", told), struct.pack("<Q", stated))
    path.write_bytes(content)
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="are referred to") as it:
        stored.of("norm")
    assert it.type is not WeightsTooLargeError


def test_the_version_of_keras(tmp_path):
    model().save(tmp_path / "model.keras")
    model().save(tmp_path / "model.h5")
    expected = tuple(int(part) for part in keras.__version__.split(".")[:3])
    assert read_keras_version(tmp_path / "model.keras") == expected
    assert read_keras_version(tmp_path / "model.h5") == expected
    (tmp_path / "model.json").write_text("{}")
    assert read_keras_version(tmp_path / "model.json") is None
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04")
    assert read_keras_version(tmp_path / "broken.keras") is None


def legacy(path, groups):
    """As Keras 2 wrote whole models; the names of the weights of one layer come in pieces."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in groups]
        for name, weights in groups.items():
            group = root.create_group(name)
            half = len(weights) // 2
            names = [weight.encode() for weight in weights]
            group.attrs["weight_names0"], group.attrs["weight_names1"] = names[:half], names[half:]
            for weight, values in weights.items():
                group[weight] = values


def test_files_of_keras_2(tmp_path):
    path = tmp_path / "model.h5"
    inner = {f"inner/conv/{n}:0": np.ones(3) for n in ("kernel", "bias")}
    norm = {f"norm/{n}:0": np.full(2, i) for i, n in enumerate(("gamma", "beta"))}
    legacy(path, {"norm": norm, "inner": {**inner, "inner/end/kernel:0": np.zeros(1)}})
    with WeightsFile(path) as stored:
        assert [a.tolist() for a in stored.of("norm")] == [[0, 0], [1, 1]]
        assert [a.tolist() for a in stored.of("inner/conv")] == [[1, 1, 1], [1, 1, 1]]
        assert [a.tolist() for a in stored.of("inner/end")] == [[0]]
        assert stored.of("inner") is None


@pytest.mark.parametrize("kind", ["text", "elsewhere"])
def test_what_is_no_array_of_numbers_is_refused(kind, tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        if kind == "text":
            group["0"] = np.array([b"a", b"b"])
        else:
            group.create_dataset("0", (2,), "f4", external=[(str(tmp_path / "x"), 0, 8)])
    words = "no numbers" if kind == "text" else "in another file"
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match=words):
        stored.of("dense")


def test_groups_without_end_are_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("a")["b"] = h5py.SoftLink("/a")
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="without end"):
        stored.of("dense")


def test_names_beyond_ascii(tmp_path):
    path = tmp_path / "model.h5"
    legacy(path, {"größe": {"größe/kernel:0": np.ones(3)}, "plain": {"plain/bias:0": np.zeros(2)}})
    with WeightsFile(path) as stored:
        assert stored.of("größe")[0].tolist() == [1, 1, 1]
        assert stored.of("plain")[0].tolist() == [0, 0]
