"""Mixed precision while a network trains: which layers compute so, and what is saved."""

import keras
import numpy as np
import pytest

from normwise.keras_format.precision import set_precision
from normwise.training.determinism import seed_run
from normwise.training.fit import fit
from normwise.training.output import finished_model, segmentation_output
from normwise.training.run_files import LAST

from .stand_in import Batches, network, recipe, validate, weights_of


def policies(model):
    return {layer.name.rstrip("_0123456789"): layer.compute_dtype for layer in model.layers}


def test_layers_that_need_every_digit_stay_whole():
    inputs = keras.layers.Input((None, None, 2))
    x = keras.layers.Normalization(mean=[0, 0], variance=[1, 1])(inputs)
    x = keras.layers.Conv2D(3, 3, name="inner")(x)
    x = keras.layers.Rescaling(1 / 3, name="inside")(x)
    nested = keras.Sequential([keras.layers.Input((None, None, 3)), keras.layers.ReLU()])
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="last")(nested(x)))
    set_precision(model, "mixed_bfloat16")
    found = policies(model)
    assert found["inner"] == "bfloat16"
    assert nested.layers[0].compute_dtype == "bfloat16"
    assert found["normalization"] == found["inside"] == found["last"] == "float32"
    image = np.full((1, 4, 4, 2), 10_001.0, np.float32)
    scaled = keras.Model(inputs, model.layers[1].output)(image)
    assert np.array_equal(np.unique(keras.ops.convert_to_numpy(scaled)), [10_001.0])
    set_precision(model, "float32")
    assert set(policies(model).values()) == {"float32"}


def trained(precision, folder):
    """The model, the loss of each epoch, and how layers computed while they were trained."""
    during = {}

    def measure(model):
        during.update(policies(model))
        return validate(model)

    seed_run(0)
    model = network()
    standing = fit(model, Batches(), measure, recipe(precision=precision, epochs=2), folder)
    return model, [row["loss"] for row in standing.history], during


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The losses of steps in single precision."""
    return trained("float32", tmp_path_factory.mktemp("whole"))[1]


@pytest.mark.backends
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_steps_are_mixed_and_what_is_kept_is_whole(precision, whole, tmp_path):
    model, losses, during = trained(precision, tmp_path / "run")
    assert during["batch_normalization"] == precision.removeprefix("mixed_")
    assert set(policies(model).values()) == {"float32"}
    assert {str(variable.dtype) for variable in model.weights} == {"float32"}
    np.testing.assert_allclose(losses, whole, rtol=0.05, atol=0)
    assert losses != whole
    path = tmp_path / "model.keras"
    finished_model(model, segmentation_output(["a", "b"])).save(path)
    again = keras.saving.load_model(path)
    assert {layer.compute_dtype for layer in again.layers} == {"float32"}
    assert all(np.array_equal(a, b) for a, b in zip(weights_of(model), weights_of(again),
                                                    strict=True))  # fmt: skip


def test_overflowing_gradients_are_skipped_and_the_scale_finds_itself(tmp_path):
    """The first scale of 2**15 is far too high for errors of ten thousand."""
    seed_run(0)
    model = network()

    class Large(Batches):
        def __getitem__(self, step):
            x, y, weight = super().__getitem__(step)
            return x, y[..., None] * np.float32(10_000), weight[..., None]

    settings = recipe(precision="mixed_float16", epochs=1, loss="mean-squared")
    fit(model, Large(), validate, settings, tmp_path)
    scale = float(keras.ops.convert_to_numpy(model.optimizer.dynamic_scale))
    assert 1 <= scale < 2**15
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) < 4
    with np.load(tmp_path / LAST) as archive:
        assert any(np.array_equal(archive[name], np.float32(scale)) for name in archive.files)
