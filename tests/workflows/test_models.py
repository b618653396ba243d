"""What names a model, and what is said where it can't be loaded."""

import keras
import pytest
from keras import ops

import normwise as nw
from normwise.errors import ModelReadError
from tests.zoo import conv, image


@keras.saving.register_keras_serializable("tests")
class Gone(keras.layers.Layer):
    """A class that nobody registers when the file is read."""

    def call(self, x):
        return 2.0 * x


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_functions_that_keras_writes_to_hdf5_and_cannot_read_are_named(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    inputs = image()
    x = ops.maximum(conv(2, activation="relu", name="a")(inputs), 0.5)
    keras.Model(inputs, conv(1, name="head")(x)).save(path)
    if suffix == ".keras":
        assert nw.place(path, "batch@post-activation").report.changed
        return
    with pytest.raises(ModelReadError, match=r"model\.h5.*'Maximum'\. Save the model as a \.keras"):
        nw.place(path, "batch@post-activation")


def test_a_class_that_is_not_registered_is_to_be_imported(tmp_path):
    path = tmp_path / "model.h5"
    inputs = image()
    x = conv(2, activation="relu", name="a")(Gone(name="own")(inputs))
    keras.Model(inputs, conv(1, name="head")(x)).save(path)
    del keras.saving.get_custom_objects()["tests>Gone"]
    with pytest.raises(ModelReadError, match=r"Gone.*--import MODULE"):
        nw.place(path, "batch@post-activation")
