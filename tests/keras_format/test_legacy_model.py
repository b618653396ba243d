"""Live models from genuine Keras 2 files compute what their weights say."""

import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import ModelReadError
from normwise.keras_format import read_graph
from normwise.keras_format.legacy_model import legacy_model

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ("operations", "nested", "ends_nested", "sequential", "keywords")


def stored(name):
    """Every array in a fixture, by the end of its name: `conv/kernel`."""
    found = {}
    with h5py.File(FIXTURES / f"{name}.h5", "r") as file:
        file["model_weights"].visititems(
            lambda path, item: (
                found.update({"/".join(path.split("/")[-2:]).partition(":")[0]: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def convolved(x, kernel, bias):
    """A convolution with the padding `same`, in plain NumPy."""
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.einsum("brcixy,xyio->brco", windows, kernel) + bias


def normalized(x, arrays, name):
    gamma, beta, mean, variance = (
        arrays[f"{name}/{k}"] for k in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def pooled(x):
    b, r, c, n = x.shape
    return x.reshape(b, r // 2, 2, c // 2, 2, n).max(axis=(2, 4))


def relu(x):
    return np.maximum(x, 0)


def layer(arrays, name):
    return lambda x: convolved(x, arrays[f"{name}/kernel"], arrays[f"{name}/bias"])


def reference_operations(x, w):
    skip = relu(normalized(layer(w, "a")(x), w, "a_norm"))
    x = relu(layer(w, "b")(pooled(skip)))
    x = np.concatenate([x.repeat(2, 1).repeat(2, 2), skip], axis=-1)
    x = 2 * (x + layer(w, "c")(x)) - 1
    return [layer(w, "head")(x)]


def reference_nested(x, w):
    block = lambda x: relu(normalized(layer(w, "conv")(x), w, "norm"))
    chain = lambda x: relu(layer(w, "c")(x))
    x = chain(chain(block(pooled(block(layer(w, "stem")(x))))))
    return [block(x), layer(w, "head")(x)]


def reference_ends_nested(x, w):
    return [layer(w, "c")(layer(w, "c")(x))]


REFERENCES = {
    "operations": reference_operations,
    "nested": reference_nested,
    "ends_nested": reference_ends_nested,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_outputs_are_those_of_the_stored_weights(name):
    model = legacy_model(FIXTURES / f"{name}.h5")
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:]))
    found = keras.tree.flatten(model(x.astype("float32"), training=False))
    for a, b in zip(REFERENCES[name](x, stored(name)), found, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(b), a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_fixture_is_built_with_its_weights(name):
    model, told = (
        legacy_model(FIXTURES / f"{name}.h5"),
        json.loads((FIXTURES / f"{name}.told.json").read_text()),
    )
    assert model.count_params() == told["parameters"]
    wanted = stored(name)
    named = {"/".join(v.path.split("/")[-2:]): v for v in model.variables if "seed" not in v.path}
    assert named.keys() == wanted.keys()
    for path, variable in named.items():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), wanted[path])


def test_the_one_that_keras_loads_by_itself_is_the_same():
    own = legacy_model(FIXTURES / "sequential.h5")
    theirs = keras.saving.load_model(FIXTURES / "sequential.h5", compile=False)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(own(x), theirs(x))
    assert [v.path for v in own.variables] == [v.path for v in theirs.variables]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".h5", ".json"])
def test_passes_take_keras_2_files(name, suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    shutil.copy(FIXTURES / f"{name}{suffix}", path)
    done = nw.place(path, "batch@input")
    assert [c for c in done.report.changed if "inserted" in c.action]
    done.model.save(tmp_path / "placed.keras")
    assert nw.plan_of(tmp_path / "placed.keras") == nw.plan_of(done.model)
    if suffix == ".h5":
        assert done.report.max_difference <= 1e-5
        assert nw.fold(path).report.max_difference <= 1e-5


def changed(name, tmp_path, change):
    """A fixture with another configuration."""
    path = tmp_path / f"{name}.h5"
    shutil.copy(FIXTURES / f"{name}.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"], file)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_what_keras_3_lacks_is_named(tmp_path):
    def unknown_class(layers, file):
        next(x for x in layers if x["class_name"] == "MaxPooling2D")["class_name"] = "MyPooling"

    def unknown_function(layers, file):
        next(x for x in layers if x["class_name"] == "TFOpLambda")["config"]["function"] = "fft"

    def unknown_setting(layers, file):
        next(x for x in layers if x["class_name"] == "Conv2D")["config"]["colour"] = "red"

    for change, said in (
        (unknown_class, "layer 'pool' of class MyPooling can't be built in Keras 3"),
        (unknown_function, "no counterpart of TensorFlow's fft"),
        (unknown_setting, "layer 'a' of class Conv2D can't be built"),
    ):
        path = changed("operations", tmp_path, change)
        with pytest.raises(ModelReadError, match=said):
            nw.place(path, "batch@input")
        assert read_graph(path).nodes  # it can be looked at all the same


def test_weights_that_do_not_fit_are_named(tmp_path):
    def fewer_filters(layers, file):
        next(x for x in layers if x["name"] == "head")["config"]["filters"] = 5

    def exchanged(layers, file):
        group = file["model_weights"]["a_norm"]
        names = list(group.attrs["weight_names"])
        group.attrs["weight_names"] = [names[1], names[0], *names[2:]]

    def cut(layers, file):
        del file["model_weights"]["a"]

    for change, said in (
        (fewer_filters, "layer 'head' has the weights kernel"),
        (exchanged, "layer 'a_norm' has the weights gamma"),
        (cut, "no readable weights of Keras 2"),
    ):
        with pytest.raises(ModelReadError, match=said):
            legacy_model(changed("operations", tmp_path, change))
