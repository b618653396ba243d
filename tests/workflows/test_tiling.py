"""`nw.tiling_of` of whatever names a model."""

import subprocess
import sys

import keras
import pytest

import normwise as nw
from normwise.errors import ModelReadError
from tests.zoo import conv


def test_a_file_and_a_live_model_say_the_same(tmp_path):
    inputs = keras.Input((None, None, 2))
    x = conv(4, strides=2, name="down")(inputs)
    x = keras.layers.GroupNormalization(groups=2, name="group")(x)
    model = keras.Model(inputs, conv(1)(keras.layers.UpSampling2D()(x)))
    model.save(tmp_path / "model.keras")
    found = nw.tiling_of(model)
    assert found == nw.tiling_of(tmp_path / "model.keras") == nw.tiling_of(str(tmp_path))
    assert found.stride == (2, 2) and not found.exact
    assert [reason.layer for reason in found.reasons] == ["group"]
    with pytest.raises(ModelReadError):
        nw.tiling_of(tmp_path / "gone.keras")


def test_a_file_is_read_without_a_backend(tmp_path):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, conv(1)(inputs))
    (tmp_path / "model.json").write_text(model.to_json())
    code = (
        f"import normwise as nw, sys; print(nw.tiling_of({str(tmp_path / 'model.json')!r}).halo);"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "((1, 1), (1, 1))"
