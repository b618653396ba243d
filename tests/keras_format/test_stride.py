"""The total stride as one number (tests/graph/test_resolution.py measures it)."""

from pathlib import Path

import keras
import pytest

from normwise.keras_format.stride import stride_of
from normwise.networks import build
from tests import unets
from tests.zoo import conv, image


@pytest.mark.parametrize(("name", "stride"), [("pooled", 4), ("flat", 1), ("deep", 16)])
def test_strides(name: str, stride: int) -> None:
    assert stride_of(unets.SAME_SIZE[name][0]()) == stride


def test_axes_that_differ_give_a_number_for_both() -> None:
    inputs = image(2, None)
    model = keras.Model(inputs, conv(1, strides=(2, 3))(inputs))
    assert stride_of(model) % 2 == 0 and stride_of(model) % 3 == 0


def test_models_without_extent() -> None:
    inputs = keras.Input((4,))
    assert stride_of(keras.Model(inputs, keras.layers.Dense(2)(inputs))) == 1


def test_files(tmp_path: Path) -> None:
    build("unet", (None, None, 1), filters=2, depth=3).save(tmp_path / "m.keras")
    assert stride_of(tmp_path / "m.keras") == 8
