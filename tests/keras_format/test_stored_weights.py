"""Weights are read by layer name from every format that Keras has written."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from normwise.errors import ModelReadError
from normwise.keras_format.stored_weights import read_weights

layers = keras.layers


def model() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(4, 3, name="apart")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = keras.Sequential(
        [layers.Conv2D(2, 1, name="deep"), layers.PReLU(name="bend")], name="inner"
    )(x)
    return keras.Model(inputs, layers.Dropout(0.5)(x))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_every_format(suffix: str, tmp_path: Path) -> None:
    made = model()
    made.compile("adam", "mse")
    made.fit(np.ones((2, 8, 8, 3), "float32"), np.zeros((2, 6, 6, 2), "float32"), verbose=0)
    path = tmp_path / f"model{suffix}"
    made.save_weights(path) if suffix == ".weights.h5" else made.save(path)
    found = read_weights(path)
    leaves = [*made.layers[1:3], *made.get_layer("inner").layers]
    assert {name for name in found if name != "adam"} == {layer.name for layer in leaves}
    for layer in leaves:
        for one, two in zip(found[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


def legacy(path: Path, groups: dict[str, dict[str, Any]], pieces: bool = False) -> Path:
    """As Keras 2 wrote the weights of keras.applications."""
    with h5py.File(path, "w") as file:
        names = [name.encode() for name in groups]
        if pieces:
            file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
        else:
            file.attrs["layer_names"] = names
        for name, weights in groups.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, values in weights.items():
                group[weight] = values
    return path


@pytest.mark.parametrize("pieces", [False, True])
def test_weights_of_keras_2(pieces: bool, tmp_path: Path) -> None:
    groups = {
        "block1_conv1": {"block1_conv1_W_1:0": np.ones((3, 3)), "block1_conv1_b_1:0": np.ones(3)},
        "pool": {},
        "bn": {"bn_1/gamma:0": np.zeros(2), "bn_1/beta:0": np.full(2, 5.0)},
        "stem": {"stem/conv/kernel:0": np.ones(4), "stem/ln/gamma:0": np.full(4, 2.0)},
    }
    found = read_weights(legacy(tmp_path / "old_notop.h5", groups, pieces))
    assert list(found) == ["block1_conv1", "bn", "conv", "ln"]
    assert [a.shape for a in found["block1_conv1"]] == [(3, 3), (3,)]
    np.testing.assert_array_equal(found["bn"][1], [5, 5])
    np.testing.assert_array_equal(found["ln"][0], [2, 2, 2, 2])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def refused(name: str, words: str) -> None:
        with pytest.raises(ModelReadError, match=words):
            read_weights(tmp_path / name)

    refused("none.h5", r"none\.h5: no such file")
    (tmp_path / "a.txt").write_text("x")
    refused("a.txt", "no weights file; expected one in .weights.h5, .keras")
    (tmp_path / "cut.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 40)
    refused("cut.weights.h5", "no readable weights")
    with zipfile.ZipFile(tmp_path / "bare.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    refused("bare.keras", r"the archive holds no model\.weights\.h5")
    legacy(tmp_path / "empty.h5", {"conv": {}})
    refused("empty.h5", "holds no weights")
    legacy(tmp_path / "text.h5", {"conv": {"conv/kernel:0": b"words"}})
    refused("text.h5", "holds no numbers")
    twice = {"a": {"a/x/k": np.ones(1), "a/y/k": np.ones(1)}, "x": {"x/k": np.ones(1)}}
    legacy(tmp_path / "twice.h5", twice)
    refused("twice.h5", "two layers are named 'x'")


def test_weights_without_names_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(ModelReadError, match=r"doesn't name its layer; Keras before 3\.4"):
        read_weights(tmp_path / "old.weights.h5")


def test_nothing_is_read_from_another_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.ones(3)
    path = legacy(tmp_path / "linked.h5", {"conv": {"conv/kernel:0": np.ones(1)}})
    with h5py.File(path, "a") as file:
        del file["conv"]
        file["conv"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ModelReadError, match="lies in another file"):
        read_weights(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"k"]
        group.create_dataset("k", (3,), "f4", external=[(str(tmp_path / "secret.h5"), 0, 12)])
    with pytest.raises(ModelReadError, match="lies in another file"):
        read_weights(path)


@pytest.fixture
def secret(tmp_path):
    """Values in a file of their own, which another file could point to."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["values"] = np.arange(3.0)
    return tmp_path / "secret.h5"


def legacy_file(path, fill):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"conv/kernel:0"]
        fill(group.create_group("conv"), "kernel:0")
    return path


def modern_file(path, fill):
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        group.attrs["name"] = "conv"
        fill(group, "0")
    return path


def linked(group, name):
    group[name] = h5py.ExternalLink("secret.h5", "/values")


def virtual(group, name):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("secret.h5", "values", (3,))
    group.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("make", [legacy_file, modern_file])
@pytest.mark.parametrize("fill", [linked, virtual])
def test_single_weights_of_another_file_are_not_read(tmp_path, secret, make, fill):
    with pytest.raises(ModelReadError, match="another file"):
        read_weights(make(tmp_path / "w.weights.h5", fill))
    own = make(tmp_path / "own.weights.h5", lambda group, name: group.__setitem__(name, [1.0]))
    assert read_weights(own)["conv"][0] == 1
