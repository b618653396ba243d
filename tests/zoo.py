"""Hand-made models that are awkward to read: one function a trap, all of them tiny."""

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
from keras import layers, ops

SIZE = 16


def conv(filters: int = 4, kernel: int = 3, strides: int = 1, **config: Any) -> Any:
    return layers.Conv2D(filters, kernel, strides=strides, padding="same", **config)


def image(channels: int = 3, size: int | None = SIZE, name: str | None = None) -> Any:
    return keras.Input((size, size, channels), name=name)


def block(channels: int = 4, name: str = "block") -> Any:
    inputs = keras.Input((None, None, channels))
    x = conv(channels, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.ReLU(name="relu")(x), name=name)


def nested_twice() -> Any:
    inputs = image()
    shared = block()
    x = shared(conv(name="stem")(inputs))
    y = shared(layers.MaxPooling2D(name="pool")(x))
    return keras.Model(inputs, [conv(1, name="head")(y), x], name="nested_twice")


def nested_in_nested() -> Any:
    outer_in = keras.Input((None, None, 4))
    outer = keras.Model(outer_in, block(name="inner")(block(name="first")(outer_in)), name="outer")
    inputs = image()
    return keras.Model(inputs, conv(2)(outer(conv()(inputs))), name="nested_in_nested")


def nested_output() -> Any:
    """The model's own output is the nested model's second call."""
    inputs = image(4)
    shared = block()
    return keras.Model(inputs, shared(shared(inputs)), name="nested_output")


def nested_called_outside() -> Any:
    """A nested model with a call that isn't part of this model: calls count inside it only."""
    shared = block()
    shared(image(4))
    inputs = image(4)
    return keras.Model(inputs, conv(1)(shared(inputs)), name="nested_called_outside")


def nested_several_outputs() -> Any:
    inner_in = [keras.Input((None, None, 2), name="a"), keras.Input((None, None, 2), name="b")]
    joined = layers.Concatenate(name="joined")(inner_in)
    ends = [conv(4, name="left")(joined), conv(5, name="right")(joined)]
    inner = keras.Model(inner_in, ends, name="inner")
    first, second = image(2, name="first"), image(2, name="second")
    left, right = inner([second, first])
    return keras.Model([first, second], layers.Concatenate()([right, left]), name="inner_outputs")


def nested_dictionaries() -> Any:
    """Dictionaries in another order than their keys', and in a third one at the call."""
    inner_in = {name: keras.Input((None, None, i), name=name) for i, name in enumerate("cab", 1)}
    joined = layers.Concatenate(name="joined")([inner_in[name] for name in "bca"])
    outputs = {"mask": conv(7, name="mask")(joined), "height": conv(5, name="height")(joined)}
    inner = keras.Model(inner_in, outputs, name="inner")
    given = {name: image("cab".index(name) + 1, name=f"image_{name}") for name in "bac"}
    made = inner(given)
    end = layers.Concatenate(name="end")([made["mask"], made["height"]])
    return keras.Model(list(given.values()), conv(2)(end), name="nested_dictionaries")


def sequential_with_input() -> Any:
    return keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), conv(4), layers.ReLU(), layers.Flatten(), layers.Dense(2)],
        name="sequential_with_input",
    )


def sequential_without_input() -> Any:
    model = keras.Sequential([conv(4), layers.BatchNormalization(), layers.ReLU()], name="bare")
    model.build((None, SIZE, SIZE, 3))
    return model


def sequential_in_functional() -> Any:
    inputs = image()
    inner = keras.Sequential([conv(4, name="c"), layers.BatchNormalization(name="n")], name="seq")
    x = inner(inputs)
    return keras.Model(inputs, conv(1)(layers.ReLU()(x)), name="sequential_in_functional")


def sequential_twice() -> Any:
    inputs = image(4)
    inner = keras.Sequential(
        [keras.Input((None, None, 4)), conv(4, name="c"), layers.BatchNormalization(name="n")],
        name="seq",
    )
    return keras.Model(inputs, inner(layers.ReLU()(inner(inputs))), name="sequential_twice")


def functional_in_sequential() -> Any:
    return keras.Sequential([keras.Input((SIZE, SIZE, 4)), block(), conv(1)], name="outside")


def shared_layer() -> Any:
    left, right = image(name="left"), image(name="right")
    shared = conv(4, name="shared")
    x = layers.Subtract()([shared(left), shared(right)])
    return keras.Model([left, right], layers.GlobalAveragePooling2D()(x), name="siamese")


def shared_norm() -> Any:
    inputs = image(4)
    shared = layers.BatchNormalization(name="shared")
    x = shared(conv(4, name="a")(inputs))
    return keras.Model(inputs, shared(conv(4, name="b")(x)), name="shared_norm")


def dict_in_and_out() -> Any:
    inputs = {"optical": image(4, name="optical"), "radar": image(2, name="radar")}
    x = layers.Concatenate()([inputs["optical"], inputs["radar"]])
    x = conv(4, activation="relu")(x)
    outputs = {"mask": conv(2, 1, name="mask")(x), "height": conv(1, 1, name="height")(x)}
    return keras.Model(inputs, outputs, name="dict_in_and_out")


def nested_structure() -> Any:
    a, b, c = (image(2, name=n) for n in "abc")
    x = layers.Add()([a, b, c])
    return keras.Model([a, [b, c]], {"first": x, "more": [conv(1)(x), conv(2)(x)]}, name="deep")


def keyword_tensors() -> Any:
    inputs = keras.Input((6, 8))
    memory = keras.Input((5, 8), name="memory")
    attend = layers.MultiHeadAttention(2, 4, name="attend")
    x = attend(query=inputs, value=memory, key=memory)
    return keras.Model([inputs, memory], layers.Add()([x, inputs]), name="keyword_tensors")


def operations() -> Any:
    inputs = image(4)
    x = ops.relu(inputs * 2.0 - 1.0)
    x = x + ops.mean(x, axis=(1, 2), keepdims=True)
    x = ops.concatenate([x, ops.tanh(inputs)], axis=-1)
    x = 1.0 / (ops.abs(x) + 1e-3)
    return keras.Model(inputs, ops.sigmoid(conv(1)(x)), name="operations")


def slices() -> Any:
    inputs = image(4)
    x = layers.Concatenate()([inputs[..., :2], inputs[:, :, :, 2:]])
    return keras.Model(inputs, conv(1)(x[:, 2:-2, 1:, :]), name="slices")


def several_outputs() -> Any:
    inputs = keras.Input((6, 8))
    x, hidden, cell = layers.LSTM(4, return_sequences=True, return_state=True)(inputs)
    x = layers.Multiply()([x, layers.RepeatVector(6)(layers.Add()([hidden, cell]))])
    return keras.Model(inputs, layers.Dense(2)(x), name="several_outputs")


def split_op() -> Any:
    inputs = image(4)
    first, second = ops.split(inputs, 2, axis=-1)
    return keras.Model(inputs, layers.Concatenate()([second, first]), name="split_op")


def double(x: Any) -> Any:
    return x * 2


def lambda_layer() -> Any:
    inputs = image()
    x = layers.Lambda(double, output_shape=(SIZE, SIZE, 3), name="twice")(inputs)
    return keras.Model(inputs, conv(1)(x), name="lambda_layer")


class Opaque(keras.layers.Layer):
    """A layer whose constructor takes an argument that it never writes."""

    def __init__(self, factor: Any, **config: Any) -> None:
        super().__init__(**config)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * 2.0

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def custom_without_config() -> Any:
    inputs = image()
    x = Opaque(object(), name="opaque")(conv(4)(inputs))
    return keras.Model(inputs, layers.BatchNormalization()(x), name="custom_without_config")


def channels_first() -> Any:
    inputs = keras.Input((3, SIZE, SIZE))
    first = {"data_format": "channels_first"}
    x = conv(4, use_bias=False, name="a", **first)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=1, name="a_norm")(x))
    skip = x
    x = layers.MaxPooling2D(data_format="channels_first")(x)
    x = conv(8, use_bias=False, name="b", **first)(x)
    x = layers.ReLU()(layers.BatchNormalization(axis=1, name="b_norm")(x))
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up", **first)(x)
    x = layers.Concatenate(axis=1)([x, skip])
    x = layers.UpSampling2D(data_format="channels_first")(x)
    x = layers.ZeroPadding2D(((1, 0), (2, 3)), data_format="channels_first")(x)
    return keras.Model(inputs, conv(1, 1, name="head", **first)(x), name="channels_first")


def residual_post() -> Any:
    inputs = image(4)
    x = layers.ReLU()(layers.BatchNormalization(name="n1")(conv(4, use_bias=False)(inputs)))
    x = layers.BatchNormalization(name="n2")(conv(4, use_bias=False)(x))
    x = layers.ReLU()(layers.Add()([inputs, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x), name="residual_post")


def residual_pre() -> Any:
    inputs = image(4)
    x = conv(4)(layers.ReLU()(layers.BatchNormalization(name="n1")(inputs)))
    x = conv(4)(layers.ReLU()(layers.BatchNormalization(name="n2")(x)))
    x = layers.Add()([inputs, x])
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)), name="residual_pre")


def squeeze_excite() -> Any:
    inputs = image(4)
    x = conv(8, activation="relu")(inputs)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(2, activation="relu")(gate)
    gate = layers.Dense(8, activation="sigmoid")(gate)
    gate = layers.Reshape((1, 1, -1))(gate)
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, conv(1)(layers.MaxPooling2D()(x)), name="squeeze_excite")


def one_dimension() -> Any:
    inputs = keras.Input((20, 2))
    x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")(inputs)
    x = layers.AveragePooling1D(2)(layers.BatchNormalization()(x))
    x = layers.SeparableConv1D(6, 3, padding="valid", depth_multiplier=2)(x)
    x = layers.DepthwiseConv1D(2, strides=2, padding="same")(x)
    x = layers.UpSampling1D(3)(layers.Cropping1D((1, 1))(layers.ZeroPadding1D((2, 0))(x)))
    x = layers.Conv1DTranspose(2, 3, strides=2, padding="valid")(x)
    return keras.Model(inputs, layers.Permute((2, 1))(x), name="one_dimension")


def three_dimensions() -> Any:
    inputs = keras.Input((8, 9, 10, 1))
    x = layers.Conv3D(2, 3, strides=(1, 2, 2), padding="same")(inputs)
    x = layers.MaxPooling3D(2, padding="same")(layers.BatchNormalization()(x))
    x = layers.UpSampling3D((1, 2, 2))(layers.ZeroPadding3D(1)(x))
    x = layers.Cropping3D(((0, 1), (1, 1), (2, 0)))(x)
    x = layers.Conv3DTranspose(1, 2, strides=2)(x)
    return keras.Model(inputs, layers.GlobalMaxPooling3D()(x), name="three_dimensions")


def depthwise() -> Any:
    inputs = image(4)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(6, 3, strides=2, depth_multiplier=2)(x)
    x = layers.Conv2D(12, 3, groups=3, dilation_rate=2)(x)
    return keras.Model(inputs, x, name="depthwise")


def resizing() -> Any:
    inputs = image()
    x = conv(4, strides=2)(inputs)
    x = layers.Resizing(SIZE, SIZE, interpolation="bilinear")(x)
    y = ops.image.resize(x, (8, 8))
    return keras.Model(inputs, [conv(1)(x), y], name="resizing")


def space_to_depth() -> Any:
    inputs = image()
    x = ops.space_to_depth(inputs, 2)
    x = conv(8, activation="relu")(x)
    return keras.Model(inputs, conv(1)(ops.depth_to_space(x, 2)), name="space_to_depth")


def prelu() -> Any:
    inputs = image(4)
    x = layers.PReLU(shared_axes=[1, 2])(conv(4)(inputs))
    x = layers.PReLU()(conv(2)(x))
    return keras.Model(inputs, layers.LeakyReLU()(x), name="prelu")


def time_distributed() -> Any:
    inputs = keras.Input((3, SIZE, SIZE, 2))
    x = layers.TimeDistributed(conv(4), name="each")(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    return keras.Model(inputs, layers.Dense(2)(x), name="time_distributed")


def all_norms() -> Any:
    inputs = image(4)
    x = layers.Normalization(mean=[0.0] * 4, variance=[1.0] * 4)(inputs)
    x = layers.BatchNormalization(center=False)(conv(8)(x))
    x = layers.BatchNormalization(renorm=True)(x)
    x = layers.GroupNormalization(groups=4)(x)
    x = layers.GroupNormalization(groups=-1)(x)
    x = layers.LayerNormalization(axis=[1, 2, 3])(x)
    x = layers.RMSNormalization()(layers.LayerNormalization(scale=False)(x))
    return keras.Model(inputs, layers.UnitNormalization()(x), name="all_norms")


def frozen_and_mixed() -> Any:
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    inputs = image(4)
    x = conv(4, dtype=policy)(inputs)
    x = layers.BatchNormalization(dtype=policy, trainable=False)(x)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x), name="mixed")


def integer_input() -> Any:
    inputs = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(11, 4)(inputs)
    return keras.Model(inputs, layers.Dense(2)(ops.cast(x, "float32")), name="integer_input")


def pass_through() -> Any:
    """An input that is also an output, and one that nothing reads."""
    inputs, unused = image(name="used"), image(1, name="unused")
    return keras.Model([inputs, unused], [inputs, conv(1)(inputs)], name="pass_through")


def free_size() -> Any:
    inputs = image(size=None)
    x = conv(4, strides=2, activation="relu")(inputs)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, conv(1)(layers.Concatenate()([x, inputs])), name="free_size")


def odd_names() -> Any:
    inputs = image(name="an input")
    x = conv(4, name="block 1-conv:0")(inputs)
    return keras.Model(inputs, conv(1, name="Ende äöü")(x), name="odd names")


def sequential_augmented() -> Any:
    """No rule tells the shape of what turns images, and everything comes from it."""
    parts = [layers.RandomRotation(0.1, seed=1), layers.Rescaling(1 / 255)]
    parts += [conv(4, activation="relu"), layers.Flatten()]
    parts += [layers.Dense(5, activation="relu"), layers.Dense(2)]
    return keras.Sequential([image(), *parts], name="sequential_augmented")


def sequential_of_tokens() -> Any:
    parts = [layers.Embedding(11, 4), layers.LSTM(6)]
    parts += [layers.Dense(5, activation="relu"), layers.Dense(2)]
    tokens = keras.Input((7,), dtype="int32", name="tokens")
    return keras.Sequential([tokens, *parts], name="sequential_of_tokens")


def sequential_of_steps() -> Any:
    """Inside a functional model, built by its call."""
    parts = [layers.TimeDistributed(layers.Dense(4), name="each"), layers.GRU(6, name="gru")]
    parts += [layers.Dense(5, activation="relu", name="mix")]
    inputs = keras.Input((5, 3))
    inner = keras.Sequential(parts, name="steps")
    return keras.Model(inputs, layers.Dense(2)(inner(inputs)), name="sequential_of_steps")


ZOO: dict[str, Callable[[], Any]] = {
    function.__name__: function
    for function in (
        nested_twice,
        nested_in_nested,
        nested_output,
        nested_called_outside,
        nested_several_outputs,
        nested_dictionaries,
        sequential_with_input,
        sequential_without_input,
        sequential_in_functional,
        sequential_twice,
        functional_in_sequential,
        shared_layer,
        shared_norm,
        dict_in_and_out,
        nested_structure,
        keyword_tensors,
        operations,
        slices,
        several_outputs,
        split_op,
        lambda_layer,
        custom_without_config,
        channels_first,
        residual_post,
        residual_pre,
        squeeze_excite,
        one_dimension,
        three_dimensions,
        depthwise,
        resizing,
        space_to_depth,
        prelu,
        time_distributed,
        all_norms,
        frozen_and_mixed,
        integer_input,
        pass_through,
        free_size,
        odd_names,
        sequential_augmented,
        sequential_of_tokens,
        sequential_of_steps,
    )
}
"""Every member by its name."""

UNCOUNTED = frozenset(
    {
        "keyword_tensors",
        "several_outputs",
        "lambda_layer",
        "custom_without_config",
        "time_distributed",
        "integer_input",
        "sequential_augmented",
        "sequential_of_tokens",
        "sequential_of_steps",
    }
)
"""Members with a layer whose parameters can't be told from its configuration."""

NOT_SAVED = frozenset({"custom_without_config"})
"""Members that Keras itself refuses to write."""


@cache
def built(name: str) -> Any:
    """The model of that name, with layer names that don't depend on what ran before."""
    keras.backend.clear_session(free_memory=False)
    return ZOO[name]()
