"""Networks that TensorFlow traces for one shape only, applied to batches of any."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.inference.members import member_of
from normwise.inference.one_shape import _KEPT, traced_for_each_shape
from normwise.keras_format import read_graph
from tests.surgery.randomize import randomize
from tests.zoo import conv

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def interpolating(how="bilinear", side=None):
    inputs = keras.Input((side, side, 2))
    x = conv(3, strides=2, activation="tanh")(inputs)
    up = keras.layers.UpSampling2D(interpolation=how)
    return randomize(keras.Model(inputs, conv(1)(up(x))))


def pixels(*size):
    return np.random.default_rng(0).normal(size=(*size, 2)).astype(np.float32)


@pytest.mark.backends
@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_images_of_several_sizes_are_predicted_by_one_model(engine):
    model, fixed = interpolating(), interpolating(side=40)
    for size in ((16, 16), (40, 22), (16, 16), (32, 24)):
        found = nw.predict(model, pixels(*size), engine=engine, progress=False)
        padded = np.pad(pixels(*size), ((0, 40 - size[0]), (0, 40 - size[1]), (0, 0)))
        wanted = fixed.predict_on_batch(padded[None])[0][: size[0] - 6, : size[1] - 6]
        np.testing.assert_allclose(found[: size[0] - 6, : size[1] - 6], wanted, atol=1e-5)
    assert nw.predict(model, pixels(60, 50), tile=24).shape == (60, 50, 1)


def test_a_shape_is_traced_once():
    model, traced = interpolating(), []
    before = keras.layers.UpSampling2D.call
    up = next(layer for layer in model.layers if isinstance(layer, keras.layers.UpSampling2D))
    up.call = lambda x: traced.append(x.shape) or before(up, x)
    member = member_of(model)
    for _ in range(3):
        for side in (16, 20, 24):
            member.predict(pixels(side, side))
    assert len(traced) == 3 or not ON_TENSORFLOW
    for side in range(26, 26 + 2 * _KEPT, 2):
        member.predict(pixels(side, side))
    count = len(traced)
    member.predict(pixels(16, 16))  # the first are forgotten
    assert len(traced) == count + 1 or not ON_TENSORFLOW
    assert model.predict(pixels(50, 50)[None], verbose=0).shape == (1, 50, 50, 1)


def test_others_are_left_to_keras():
    for model in (interpolating("nearest"), nw.build("unet", (None, None, 2), filters=2, depth=1)):
        assert traced_for_each_shape(model, read_graph(model)) is None
        assert member_of(model).engine is None
    model = interpolating()
    assert (member_of(model).engine is not None) == ON_TENSORFLOW
