"""Random functional models: branches, merges, sharing, nesting, and structures of ins and outs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from hypothesis import strategies as st
from keras import layers, ops

from tests.zoo import block, conv

WIDTH, SIZE = 4, 8
Step = tuple[str, int, int]

STRUCTURES = ("single", "list", "dict")
"""How inputs and outputs are held together."""


class Parts:
    """The layers and models of a network that several of its steps call."""

    def __init__(self) -> None:
        self.shared = conv(WIDTH, activation="relu", name="shared")
        self.inner = block(WIDTH, name="inner")
        self.pair = _pair()
        self.series = keras.Sequential(
            [keras.Input((None, None, WIDTH)), conv(WIDTH), layers.BatchNormalization()]
        )
        self.deep = _deep()


def _pair() -> Any:
    """Dictionaries in and out, in another order than their keys'."""
    ins = {name: keras.Input((None, None, WIDTH), name=name) for name in ("right", "left")}
    x = conv(WIDTH, 1, name="mixed")(layers.Concatenate(name="both")([ins["right"], ins["left"]]))
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(ins, {"wide": x, "gated": layers.Multiply()([x, ins["left"]])}, name="pair")


def _deep() -> Any:
    """A model with a model in it that it calls twice."""
    inputs = keras.Input((None, None, WIDTH))
    within = block(WIDTH, name="within")
    x = within(conv(WIDTH, activation="elu", name="first")(inputs))
    return keras.Model(inputs, layers.Add(name="sum")([within(x), inputs]), name="deep")


def _down(x: Any, turn: int) -> Any:
    if turn % 3 == 0:
        return layers.MaxPooling2D(2, padding="same")(x)
    if turn % 3 == 1:
        return layers.AveragePooling2D(2, padding="same")(x)
    return conv(WIDTH, strides=2, activation="relu")(x)


def _up(x: Any, turn: int) -> Any:
    if x.shape[1] >= SIZE:
        return conv(WIDTH)(x)
    if turn % 2:
        return layers.Conv2DTranspose(WIDTH, 2, strides=2, activation="relu")(x)
    return layers.UpSampling2D()(x)


def _linear(x: Any, turn: int) -> Any:
    """One of the other linear layers, with a norm before or behind its activation."""
    kinds = (
        lambda: layers.DepthwiseConv2D(3, padding="same"),
        lambda: layers.SeparableConv2D(WIDTH, 3, padding="same"),
        lambda: layers.Conv2DTranspose(WIDTH, 3, padding="same"),
        lambda: layers.Dense(WIDTH, use_bias=False),
        lambda: conv(WIDTH, groups=2, dilation_rate=2),
    )
    x, norm = kinds[turn % 5]()(x), layers.BatchNormalization()
    return layers.ReLU()(norm(x)) if turn % 2 else norm(layers.LeakyReLU()(x))


def _merged(step: str, x: Any, y: Any, turn: int) -> Any:
    if x.shape != y.shape:
        y = layers.Resizing(*x.shape[1:3])(y)
    if step == "add":
        return layers.Add()([x, y]) if turn % 2 else x + y
    return conv(WIDTH, 1)(layers.Concatenate()([x, y]))


APPLIED: dict[str, Callable[[Any, int, Parts], Any]] = {
    "fused": lambda x, turn, parts: conv(WIDTH, activation="relu")(x),
    "plain": lambda x, turn, parts: layers.Activation("tanh")(conv(WIDTH)(x)),
    "raw": lambda x, turn, parts: ops.relu(conv(WIDTH, use_bias=bool(turn % 2))(x)),
    "norm": lambda x, turn, parts: layers.ReLU()(
        layers.BatchNormalization()(conv(WIDTH, use_bias=False)(x))
    ),
    "behind": lambda x, turn, parts: layers.BatchNormalization()(conv(WIDTH, activation="relu")(x)),
    "ahead": lambda x, turn, parts: conv(WIDTH)(layers.ReLU()(layers.BatchNormalization()(x))),
    "linear": lambda x, turn, parts: _linear(x, turn),
    "drop": lambda x, turn, parts: layers.Dropout(0.3)(x),
    "down": lambda x, turn, parts: _down(x, turn),
    "up": lambda x, turn, parts: _up(x, turn),
    "shared": lambda x, turn, parts: parts.shared(x),
    "nested": lambda x, turn, parts: parts.inner(x),
    "series": lambda x, turn, parts: layers.ReLU()(parts.series(x)),
    "deep": lambda x, turn, parts: parts.deep(x),
}
"""What a step makes of one tensor; its number says which of several variants."""

STEPS = (*APPLIED, "add", "concatenate", "pair")

STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9))


def network(steps: Sequence[Step], structure: str = "single") -> Any:
    """A network whose tensors all have the same width; a step reads one or two earlier ones."""
    names = ("input",) if structure == "single" else ("second", "first")
    inputs = {name: keras.Input((SIZE, SIZE, WIDTH), name=name) for name in names}
    made, parts = list(inputs.values()), Parts()
    for step, first, second in steps:
        x, y = made[first % len(made)], made[second % len(made)]
        if step == "pair":
            y = y if y.shape == x.shape else layers.Resizing(*x.shape[1:3])(y)
            both = parts.pair({"left": x, "right": y})
            made += [both["wide"], both["gated"]]
        elif step in APPLIED:
            made.append(APPLIED[step](x, second, parts))
        else:
            made.append(_merged(step, x, y, second))
    head = conv(2, 1, name="head")(made[-1])
    if structure == "single":
        return keras.Model(inputs["input"], head)
    if structure == "list":
        return keras.Model(list(inputs.values()), [head, made[len(made) // 2]])
    return keras.Model(inputs, {"mask": head, "early": [made[len(made) // 2], made[0]]})
