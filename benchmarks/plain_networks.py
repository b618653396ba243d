"""The two networks as a user would write them in plain Keras, for comparison."""

import keras
from keras import layers


def question(size: int) -> keras.Model:
    """The question's network."""
    inputs = keras.Input((size, size, 9))
    x, convolutions = inputs, []
    for level in range(6):
        x = layers.Conv2D(16 * 2**level, 3, strides=2, padding="same", activation="relu")(x)
        convolutions.append(x)
        if level < 5:
            x = layers.BatchNormalization(axis=3)(x)
    x = layers.Dropout(0.25)(x)
    x = layers.Conv2DTranspose(256, 3, padding="same")(x)
    for filters in (128, 64, 32, 16):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
    x = layers.concatenate([x, convolutions[1]], axis=3)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    x = layers.concatenate([x, convolutions[0]], axis=3)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, strides=2, padding="same")(x))


def unet(size: int) -> keras.Model:
    """A U-Net with 32 filters and batch normalization before each activation."""

    def block(x: object, filters: int) -> object:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
        return x

    inputs = keras.Input((size, size, 9))
    x, skips = inputs, []
    for filters in (32, 64, 128, 256):
        x = block(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = block(x, 512)
    for filters in (256, 128, 64, 32):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = block(layers.concatenate([skips.pop(), x]), filters)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


NETWORKS = {"question": question, "unet": unet}
