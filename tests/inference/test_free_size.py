"""Models that were built for one size, copied for any: the same where that can be, else left."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.errors import SurgeryError
from normwise.inference import free_size
from normwise.inference.free_size import for_any_size, size_note
from normwise.inference.whole import predict_whole
from normwise.networks import build
from tests.surgery.randomize import randomize
from tests.zoo import conv


def small(side=32, channels=2, **options):
    given = {"filters": 2, "depth": 1, **options}
    return randomize(build("unet", (side, side, channels), **given))


def pixels(*size, channels=2):
    return np.random.default_rng(0).normal(size=(*size, channels)).astype(np.float32)


def free_twin(model, **options):
    twin = small(None, **options)
    twin.set_weights(model.get_weights())
    return twin


@pytest.mark.backends
def test_a_copy_makes_what_a_network_of_free_size_makes():
    model = small()
    before, calls = model.get_weights(), [len(layer._inbound_nodes) for layer in model.layers]
    found = for_any_size(model)
    assert found.copied and not found.held and found.model is not model
    assert found.model.input_shape == (None, None, None, 2)
    for size in ((32, 32), (50, 38), (9, 70)):
        wanted = predict_whole(free_twin(model), pixels(*size))
        np.testing.assert_array_equal(predict_whole(found.model, pixels(*size)), wanted)
    # The control: side by side it makes something else.
    seams = predict_whole(model, pixels(50, 38))
    assert np.abs(seams - predict_whole(found.model, pixels(50, 38))).max() > 1e-3
    assert model.input_shape == (None, 32, 32, 2)
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def sequential():
    made = [layers.MaxPooling2D(), layers.BatchNormalization(), layers.UpSampling2D()]
    return randomize(keras.Sequential([keras.Input((16, 24, 2)), conv(4), *made, conv(1)]))


def nested():
    inner_in = keras.Input((16, 24, 2))
    inner = keras.Model(inner_in, layers.BatchNormalization()(conv(2)(inner_in)), name="inner")
    inputs = keras.Input((16, 24, 2))
    return randomize(keras.Model(inputs, conv(1)(inner(inner(inputs)))))


def partly():
    inputs = keras.Input((None, 24, 2))
    return randomize(keras.Model(inputs, conv(1)(inputs)))


def volume():
    inputs = keras.Input((8, 8, 8, 2))
    return randomize(keras.Model(inputs, layers.Conv3D(1, 3, padding="same")(inputs)))


def of_bytes():
    inputs = keras.Input((16, 24, 2), dtype="uint8")
    return randomize(keras.Model(inputs, conv(1)(layers.Rescaling(1 / 255)(inputs))))


@pytest.mark.parametrize("made", [sequential, nested, partly, volume, of_bytes])
def test_models_of_all_kinds_are_copied(made):
    model = made()
    copy = for_any_size(model).model
    assert copy is not model and set(copy.input_shape[1:-1]) == {None}
    size = tuple(side or 20 for side in model.input_shape[1:-1])
    image = 255 * np.random.default_rng(1).random((*size, 2))
    np.testing.assert_array_equal(predict_whole(copy, image), predict_whole(model, image))
    assert predict_whole(copy, np.zeros((*(side + 9 for side in size), 2))).any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_copies_keep_their_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = small()
    finally:
        keras.config.set_dtype_policy(before)
    found = for_any_size(model)
    assert found.copied
    wanted, copies = (
        [layer.dtype_policy.name for layer in one.layers[1:]] for one in (model, found.model)
    )
    assert wanted == copies and policy in copies


def test_models_of_free_size_and_those_that_predict_no_images_are_left():
    free = small(None)
    assert for_any_size(free) == free_size.Sized(free)
    inputs = keras.Input((8, 8, 2))
    two = keras.Model([inputs, keras.Input((8, 8, 2))], conv(1)(inputs))
    several = keras.Model(inputs, [conv(1)(inputs), conv(1)(inputs)])
    line = keras.Input((8, 2))
    for model in (two, several, keras.Model(line, layers.Dense(1)(line))):
        found = for_any_size(model)
        assert found.model is model and not found.held


def test_what_sees_the_whole_image_keeps_its_size():
    inputs = keras.Input((16, 16, 2))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(inputs)
    gates = [layers.Softmax(axis=1, name=f"gate{i}")(inputs) for i in range(2)]
    model = keras.Model(inputs, layers.Multiply()([inputs, squeezed, *gates]))
    found = for_any_size(model)
    assert found.model is model and not found.copied
    first = "squeeze: looks at all pixels of an image; gate0: weighs pixels against each other"
    assert found.held == f"{first} and 1 more"


class Doubling(keras.Model):
    """A model that predicts otherwise than it is called, until it is copied."""

    def __init__(self, inputs, outputs, name=None, twice=True):
        super().__init__(inputs, outputs, name=name)
        self.twice = twice

    def predict_step(self, data):
        return super().predict_step(data) * (2 if self.twice else 1)


class Noisy(keras.Model):
    """Draws other numbers each time."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True, mask=mask)


def mean_of_all(x):
    return x - ops.mean(x)


def of_the_size(x):
    return x if x.shape[1] in (None, 16) and ops.shape(x)[1] == 16 else x[:, :, :, :, None]


UNLIKE = {
    "whole": (lambda i: keras.Model(i, conv(2, activation=mean_of_all)(i)), "differs by"),
    "step": (lambda i: Doubling(i, conv(2)(i)), "differs by"),
    "noise": (lambda i: Noisy(i, layers.Dropout(0.5)(conv(2)(i))), "differs by"),
    "size": (lambda i: keras.Model(i, conv(2, activation=of_the_size)(i)), "no copy for any size"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_a_copy_that_makes_something_else_is_not_used(name):
    make, told = UNLIKE[name]
    model = make(keras.Input((16, 16, 2)))
    found = for_any_size(model)
    assert found.model is model and not found.copied and told in found.held


def test_what_was_found_out_is_not_tried_again(monkeypatch):
    model = small()
    tried = []
    monkeypatch.setattr(free_size, "_difference", lambda *args: tried.append(args) or "")
    assert for_any_size(model, decided=False) == free_size.Sized(model)
    copy = for_any_size(model, decided=True).model
    assert copy.input_shape == (None, None, None, 2) and not tried
    inputs = keras.Input((8, 8, 2))
    with pytest.raises(SurgeryError):
        for_any_size(keras.Model(inputs, Stubborn(3)(inputs)), decided=True)


class Stubborn(layers.Layer):
    """Its configuration says something else than it was made with."""

    def __init__(self, number, **options):
        super().__init__(**options)
        self.kernel = self.add_weight(shape=(number,))

    def call(self, x):
        return x + ops.sum(self.kernel)

    def get_config(self):
        return {"number": len(self.kernel) + 1}


def test_the_copy_of_a_live_model_is_kept_and_has_its_weights(monkeypatch):
    model, image = small(), pixels(40, 50)
    copy = for_any_size(model).model
    randomize(model, 5)
    assert for_any_size(model).model is copy
    wanted = predict_whole(free_twin(model), image)
    np.testing.assert_array_equal(predict_whole(copy, image), wanted)
    # One whose layers were changed is copied again.
    model.get_layer("encoder1_conv1_relu").activation = keras.activations.tanh
    again = for_any_size(model).model
    assert again is not copy
    assert np.abs(predict_whole(again, image) - wanted).max() > 1e-3


@pytest.mark.parametrize("norm", ["batch@pre-activation", "instance@pre-activation"])
def test_what_is_kept_of_a_model_goes_with_it(norm):
    model = small(norm=norm)
    assert for_any_size(model).copied == norm.startswith("batch")
    assert len(free_size._made) >= 1
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("shape", "unused", "end"),
    [
        ((16, 24, 2), "", "(why): tiles are of that size."),
        ((16, 24, 2), "--tile", "that size. --tile isn't used."),
        ((16, 24, 2), "--tile and --memory", "that size. --tile and --memory aren't used."),
        ((None, 24, 2), "--memory", "that size. --memory holds along the other axes alone."),
    ],
)
def test_the_size_is_said_with_what_is_not_used_for_it(shape, unused, end):
    inputs = keras.Input(shape)
    said = size_note(keras.Model(inputs, inputs), "why", unused)
    size = "x".join(str(side or "any") for side in shape[:-1])
    assert said.startswith(f"The model takes {size} pixels and no other size (why)")
    assert said.endswith(end)
