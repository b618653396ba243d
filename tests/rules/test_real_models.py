"""Rules on models that Keras itself built and wrote: live, and from every format."""

import keras
import pytest
from keras import layers, ops

import normwise as nw
from normwise.rules import Severity


def backbone(trainable=True):
    inputs = keras.Input((None, None, 3))
    x = inputs
    for level in range(3):
        x = layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"norm{level}")(x))
    model = keras.Model(inputs, x, name="backbone")
    model.trainable = trainable
    return model


def transfer(base, **call):
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs, **call))
    return keras.Model(inputs, layers.Dense(2)(x), name="transfer")


def found(model, severity=Severity.WARNING):
    return [(f.name, f.layers) for f in nw.check(model).at_least(severity)]


def written(model, suffix, folder):
    path = folder / f"model{suffix}"
    path.write_text(model.to_json()) if suffix == ".json" else model.save(path)
    return path


NORMS = tuple(f"backbone/norm{level}" for level in range(3))


@pytest.mark.parametrize("suffix", [None, ".keras", ".h5", ".json"])
def test_the_usual_ways_of_transfer_learning(suffix, tmp_path):
    def at(model):
        return model if suffix is None else written(model, suffix, tmp_path)

    assert found(at(transfer(backbone(False), training=False))) == []
    assert found(at(transfer(backbone(False)))) == []
    assert found(at(transfer(backbone(True)))) == []
    fine_tuned = [("frozen-batch-norm", NORMS)]
    assert found(at(transfer(backbone(True), training=False))) == fine_tuned
    half = backbone(False)
    for layer in half.layers:
        layer.trainable = isinstance(layer, layers.BatchNormalization)
    assert found(at(transfer(half))) == fine_tuned


def test_raw_ops_count_like_layers():
    inputs = keras.Input((16, 16, 3))
    tap = layers.Conv2D(4, 3, padding="same", name="tap")(inputs)
    x = ops.relu(layers.BatchNormalization(name="norm")(tap))
    x = layers.BatchNormalization(name="after")(ops.relu(layers.Conv2D(4, 3, padding="same")(x)))
    x = ops.relu(x) * 2.0
    x = ops.concatenate([x, tap], axis=-1)
    model = keras.Model(inputs, ops.sigmoid(layers.Conv2D(1, 1)(x)))
    names = [name for name, _ in found(model)]
    assert names == ["double-activation", "unnormalized-skip"]


def test_a_decoder_without_activations_in_raw_ops():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    for level in range(3):
        x = layers.Conv2DTranspose(8, 2, strides=2, name=f"up{level}")(x) + 0.5
    model = keras.Model(inputs, x)
    assert found(model) == [("affine-chain", ("up0", "up1", "up2"))]


def test_a_mask_that_a_convolution_loses(tmp_path):
    inputs = keras.Input((12,), dtype="int32")
    x = layers.Embedding(20, 4, mask_zero=True)(inputs)
    x = layers.LSTM(4, return_sequences=True)(x)
    x = layers.BatchNormalization(name="norm")(layers.Conv1D(4, 3, name="conv")(x))
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))
    expected = [("mask-dropped", ("conv", "norm"))]
    assert found(model) == found(written(model, ".keras", tmp_path)) == expected


def test_a_mask_that_keras_hands_on_is_no_second_input():
    inputs = keras.Input((12,), dtype="int32")
    x = layers.Embedding(20, 4, mask_zero=True)(inputs)
    x = layers.Dense(4, activation="relu", name="dense")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))
    assert found(model) == [("double-activation", ("dense", "norm", "relu"))]


def test_channels_first_from_a_file(tmp_path):
    inputs = keras.Input((3, 16, 16))
    first = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(4, 3, **first)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.LayerNormalization(name="layer")(layers.Conv2D(4, 3, **first)(x))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, **first)(layers.ReLU()(x)))
    model = keras.Model(inputs, layers.Conv2D(1, 1, **first)(layers.ReLU()(x)))
    expected = [("wrong-axis", ("norm",)), ("layer-norm-axis", ("layer",))]
    assert found(model) == found(written(model, ".json", tmp_path)) == expected


def test_a_tower_that_keras_calls_twice():
    inputs = [keras.Input((16, 16, 3)) for _ in range(2)]
    tower = backbone()
    apart = layers.Subtract()([tower(x) for x in inputs])
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling2D()(apart)))
    assert found(model) == []
    shared = [("shared-batch-norm", (n,)) for n in NORMS]
    assert found(model, Severity.INFO) == [*shared, ("unfoldable-norm", NORMS)]


def test_drop_connect_and_dropout_as_keras_writes_them(tmp_path):
    def network(**noise):
        inputs = keras.Input((16, 16, 3))
        x = layers.Conv2D(4, 3, activation="relu")(inputs)
        x = layers.Conv2D(4, 3, use_bias=False)(layers.Dropout(0.3, name="drop", **noise)(x))
        x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
        return keras.Model(inputs, layers.Conv2D(1, 1)(x))

    assert found(written(network(), ".keras", tmp_path)) == [
        ("dropout-before-norm", ("drop", "norm"))
    ]
    assert found(written(network(noise_shape=(None, 1, 1, 1)), ".keras", tmp_path)) == []


class Mine(keras.layers.Layer):
    """A layer of the user's own with a name that Keras has too."""

    def call(self, x):
        return x


class Conv2D(Mine):
    """Likewise."""


def test_a_users_layer_of_a_known_name_is_not_taken_for_it():
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for level in range(4):
        x = Conv2D(name=f"own{level}")(x)
    x = layers.BatchNormalization(axis=1)(x)
    assert found(keras.Model(inputs, layers.Dense(1)(x))) == []
