"""Stride and halo of single layers, of random chains and of every network, beside measured ones."""

from collections.abc import Callable
from math import lcm
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from normwise.errors import NetworkError
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.graph.receptive_field import tiling_of_graph
from normwise.graph.tiling import Obstacle, Tiling
from normwise.inference.blending import row_of
from normwise.keras_format import read_graph
from normwise.networks import build
from tests import unets
from tests.graph.measured_halo import double_precision, measured_halo
from tests.zoo import built, conv, image


def tiling(model: Any) -> Tiling:
    return tiling_of_graph(read_graph(model))


def chain(*made: Any, rank: int = 1, channels: int = 2) -> Any:
    inputs = x = keras.Input((*[None] * rank, channels))
    for layer in made:
        x = layer(x)
    return keras.Model(inputs, x)


def check(model: Any, tile: int = 0, seeds: int = 1) -> Tiling:
    """The halo is enough, and it is the smallest."""
    found = tiling(model)
    assert found.exact, found.reasons
    side = tile or (4 * sum(max(found.halo)) // lcm(*found.stride) + 3) * lcm(*found.stride)
    assert tuple(measured_halo(model, found.stride, side, seeds)) == found.halo
    return found


SINGLE: dict[str, Callable[[], list[Any]]] = {
    "conv": lambda: [layers.Conv1D(2, 4, padding="same")],
    "dilated": lambda: [layers.Conv1D(2, 3, dilation_rate=3, padding="same")],
    "causal": lambda: [layers.Conv1D(2, 3, dilation_rate=2, padding="causal")],
    "valid": lambda: [layers.Conv1D(2, 4)],
    "strided": lambda: [layers.Conv1D(2, 3, strides=2, padding="same")],
    "strided 5 by 3": lambda: [layers.Conv1D(2, 5, strides=3, padding="same")],
    "strided 1 by 2": lambda: [layers.Conv1D(2, 1, strides=2, padding="same")],
    "strided valid": lambda: [layers.Conv1D(2, 5, strides=3)],
    "after valid": lambda: [layers.Conv1D(2, 4), layers.Conv1D(2, 3, strides=2, padding="same")],
    "separable": lambda: [layers.SeparableConv1D(2, 4, strides=2, padding="same")],
    "depthwise": lambda: [layers.DepthwiseConv1D(5, padding="same")],
    "average": lambda: [layers.AveragePooling1D(3, strides=2, padding="same")],
    "average valid": lambda: [layers.AveragePooling1D(3, strides=2)],
    "maximum": lambda: [layers.MaxPooling1D(3, strides=1, padding="same")],
    "halves": lambda: [layers.MaxPooling1D(2)],
    "nearest": lambda: [layers.UpSampling1D(3), layers.Conv1D(1, 3, padding="same")],
    "up and down": lambda: [layers.UpSampling1D(3), layers.AveragePooling1D(2)],
    "padding": lambda: [layers.ZeroPadding1D((2, 1))],
    "padded valid": lambda: [layers.ZeroPadding1D((2, 1)), layers.Conv1D(2, 4)],
    "cropping": lambda: [layers.Cropping1D((3, 1)), layers.Conv1D(2, 3, padding="same")],
    "transposed": lambda: [layers.Conv1DTranspose(2, 3, strides=2, padding="same")],
    "transposed 4": lambda: [layers.Conv1DTranspose(2, 4, strides=2, padding="same")],
    "transposed 2": lambda: [layers.Conv1DTranspose(2, 2, strides=2)],
    "transposed 1 by 2": lambda: [layers.Conv1DTranspose(2, 1, strides=2, padding="same")],
    "transposed valid": lambda: [layers.Conv1DTranspose(2, 5, strides=2)],
    "transposed 5 by 3": lambda: [layers.Conv1DTranspose(2, 5, strides=3, padding="same")],
    "transposed 1": lambda: [layers.Conv1DTranspose(2, 3, padding="same")],
    "transposed extra": lambda: [
        layers.Conv1DTranspose(2, 3, strides=3, padding="same", output_padding=1)
    ],
    "transposed valid extra": lambda: [
        layers.Conv1DTranspose(2, 3, strides=2, output_padding=1)
    ],
    "down and up": lambda: [
        layers.Conv1D(2, 3, strides=2, padding="same"),
        layers.Conv1DTranspose(2, 3, strides=2, padding="same"),
    ],
    "slices": lambda: [lambda x: x[:, 2:-1, :], layers.Conv1D(1, 3, padding="same")],
    "every second": lambda: [lambda x: x[:, 1::2], layers.Conv1D(1, 3, padding="same")],
    "zeros by hand": lambda: [lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0)))],
    "reflected": lambda: [
        lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0)), mode="reflect"), layers.Conv1D(2, 4)
    ],
    "symmetric": lambda: [
        layers.Conv1D(2, 3, strides=2, padding="same"),
        lambda x: ops.pad(x, ((0, 0), (2, 1), (0, 0)), mode="symmetric"), layers.Conv1D(2, 4)
    ],
    "batch norm": lambda: [layers.Conv1D(2, 3, padding="same"), layers.BatchNormalization()],
}  # fmt: skip


ON_EVERY_BACKEND = ("strided", "transposed", "transposed 4", "transposed extra")
WITH_MARKS = [
    pytest.param(name, marks=pytest.mark.backends) if name in ON_EVERY_BACKEND else name
    for name in SINGLE
]


@pytest.mark.parametrize("name", WITH_MARKS)
def test_the_halo_of_layers(name: str) -> None:
    with double_precision():
        check(chain(*SINGLE[name]()), seeds=2)


PLANES: dict[str, Callable[[], list[Any]]] = {
    "uneven": lambda: [layers.Conv2D(2, (3, 4), strides=(1, 2), padding="same")],
    "bilinear": lambda: [layers.UpSampling2D((2, 3), interpolation="bilinear")],
    "bicubic": lambda: [layers.UpSampling2D(2, interpolation="bicubic")],
    "blocks": lambda: [
        lambda x: ops.space_to_depth(x, 2), conv(8), lambda x: ops.depth_to_space(x, 2)
    ],
    "channels": lambda: [
        lambda x: ops.concatenate([x[..., :1], ops.relu(x * np.array([1.0, 2.0])) + x], -1), conv(2)
    ],
    "attention over channels": lambda: [
        lambda x: x * ops.sigmoid(conv(1)(ops.mean(x, axis=-1, keepdims=True)))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PLANES)
def test_the_halo_of_layers_over_planes(name: str) -> None:
    if name.startswith("bi") and keras.backend.backend() == "tensorflow":
        check_interpolation(name)
        return
    with double_precision():
        check(chain(*PLANES[name](), rank=2))


def check_interpolation(name: str) -> None:
    """Keras can't run it at free size on TensorFlow, so one model a size is made."""
    with double_precision():
        found = tiling(chain(*PLANES[name](), rank=2))
    factors = {"bilinear": (2, 3), "bicubic": (2, 2)}[name]
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(1, 24, 24, 1)).astype("float32")
    for axis, factor in enumerate(factors):
        cut = [slice(None)] * 4
        cut[axis + 1] = slice(8, 16)
        whole, part = (
            ops.image.resize(
                x, [side * f for side, f in zip(x.shape[1:3], factors, strict=True)], name
            )
            for x in (sample, sample[tuple(cut)])
        )
        whole, part = (np.moveaxis(ops.convert_to_numpy(x), axis + 1, 0) for x in (whole, part))
        shift = 8 * factor
        wrong = np.abs(whole[shift : shift + len(part)] - part).reshape(len(part), -1).max(-1)
        bad = np.flatnonzero(wrong > 1e-5)
        first = max((i + 1 for i in bad if i < len(part) / 2), default=0)
        last = min((i for i in bad if i > len(part) / 2), default=len(part))
        assert (-(-first // factor), -(-(len(part) - last) // factor)) == found.halo[axis]


def test_the_halo_of_layers_over_volumes() -> None:
    with double_precision():
        down = layers.Conv3D(2, (3, 2, 3), strides=(1, 2, 2), padding="same")
        up = layers.Conv3DTranspose(1, (1, 2, 3), strides=(1, 2, 2), padding="same")
        found = check(chain(down, up, rank=3))
    assert found.stride == (1, 2, 2)


STEPS = st.one_of(
    st.builds(
        lambda k, s, p: ("Conv1D", {"kernel_size": k, "strides": s, "padding": p}),
        st.integers(1, 4), st.integers(1, 3), st.sampled_from(["same", "valid"]),
    ),
    st.builds(
        lambda k, s, p: ("Conv1DTranspose", {"kernel_size": k, "strides": s, "padding": p}),
        st.integers(1, 4), st.integers(1, 3), st.sampled_from(["same", "valid"]),
    ),
    st.builds(lambda a, b: ("ZeroPadding1D", {"padding": (a, b)}), *[st.integers(0, 2)] * 2),
    st.builds(lambda n: ("UpSampling1D", {"size": n}), st.integers(1, 3)),
    st.builds(
        lambda k, s: ("AveragePooling1D", {"pool_size": k, "strides": s, "padding": "same"}),
        st.integers(1, 3), st.integers(1, 3),
    ),
)  # fmt: skip


@settings(max_examples=6)
@given(st.lists(STEPS, min_size=2, max_size=4))
def test_the_halo_of_random_chains_is_enough(steps: list[tuple[str, dict[str, Any]]]) -> None:
    """It may be more where samples lie in gaps that nothing reads."""
    with double_precision():
        made = [
            getattr(layers, name)(*([2] if "Conv" in name else []), **settings)
            for name, settings in steps
        ]
        model = chain(*made)
    found = tiling(model)
    side = (4 * sum(found.halo[0]) // found.stride[0] + 6) * found.stride[0]
    for told, shown in zip(found.halo[0], measured_halo(model, found.stride, side)[0], strict=True):
        assert shown <= told


# Whole networks. ---------------------------------------------------------------------------------

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"depth": 2},
    "residual": {"depth": 2, "blocks": 1},
    "attention": {"depth": 1},
    "nested": {"depth": 2},
    "nearest": {"depth": 2, "upsampling": "nearest"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_halo_of_our_networks(name: str) -> None:
    network = name if name != "nearest" else "unet"
    with double_precision():
        model = build(network, (None, None, 1), filters=3, activation="tanh", **NETWORKS[name])
    check(model, seeds=2)


@pytest.mark.parametrize("name", ["strided", "averaged", "rearranged", "by_three", "cropped"])
def test_the_halo_of_hand_made_networks(name: str) -> None:
    with double_precision():
        model, stride = unets.SAME_SIZE[name][0](), unets.SAME_SIZE[name][1]
    found = tiling(model)
    assert found.exact and found.stride == (stride, stride)
    shown = measured_halo(model, found.stride, 12 * stride, seeds=2)
    # Relu and the largest of a pool may hide that a sample is wrong, but never make one right.
    for (told, _), (seen, _) in zip(found.halo, shown, strict=True):
        assert told - stride < seen <= told


def test_the_question_s_network() -> None:
    with double_precision():
        model = build("question", (None, None, 1), filters=2)
    found = tiling(model)
    assert found.exact and found.stride == (64, 64)
    shown = measured_halo(model, found.stride, 512, seeds=2)
    for sides, seen in zip(found.halo, shown, strict=True):
        assert all(t - 64 < s <= t for t, s in zip(sides, seen, strict=True))


# What isn't exact. --------------------------------------------------------------------------------


def only_reason(*made: Any, rank: int = 2, shape: Any = None) -> tuple[str, str]:
    inputs = x = keras.Input(shape or (*[None] * rank, 4))
    for layer in made:
        x = layer(x)
    (reason,) = tiling(keras.Model(inputs, x)).reasons
    return reason.layer, reason.reason


class Conv2D(layers.Layer):
    """A user's own of a known name."""

    def call(self, x: Any) -> Any:
        return x


def test_each_obstacle_names_its_layer_and_what_it_does() -> None:
    group = layers.GroupNormalization(groups=-1, name="norm")
    assert only_reason(conv(4), group) == ("norm", "takes the statistics of all pixels of an image")
    over = layers.LayerNormalization(axis=[1, 2, 3], name="norm")
    assert "all pixels" in only_reason(over, shape=(8, 8, 4))[1]
    assert only_reason(Conv2D(name="own"))[1].endswith("isn't known (Conv2D)")
    weights = layers.PReLU(name="prelu")
    assert only_reason(weights, shape=(8, 8, 4)) == ("prelu", "has a weight for each place")
    assert tiling(chain(layers.PReLU(shared_axes=[1, 2]), rank=2)).exact
    over_channels = tiling(chain(layers.LayerNormalization(), conv(2), rank=2))
    assert over_channels.exact and over_channels.halo == ((1, 1), (1, 1))
    pixels = layers.Softmax(axis=1, name="pixels")
    assert only_reason(pixels) == ("pixels", "weighs pixels against each other")
    fixed = layers.Resizing(8, 8, name="fixed")
    assert only_reason(fixed) == ("fixed", "it resizes whatever it gets to a fixed size")
    assert only_reason(layers.Flatten(name="flat"), layers.Dense(2), shape=(8, 8, 4)) == (
        "flat",
        "rearranges the pixels of an image",
    )
    lambda_, training = layers.Lambda(lambda x: x, name="any"), layers.BatchNormalization(name="bn")
    assert only_reason(lambda_)[0] == "any"
    assert "training=True" in only_reason(lambda x: training(x, training=True))[1]
    place = np.ones((8, 8, 1), "float32")
    assert only_reason(lambda x: x * place, shape=(8, 8, 4))[1] == "holds a number for each place"
    assert "fixed place" in only_reason(lambda x: x[:, :4], shape=(8, 8, 4))[1]


@pytest.mark.parametrize(
    "mode", ["wrap", "mean", "median", "maximum", "minimum", "linear_ramp", "circular", "empty"]
)
def test_padding_with_more_than_the_edge_of_an_image_is_not_exact(mode: str) -> None:
    told = only_reason(lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode))
    assert told[1] == f"it pads with more than an image's edge ({mode})"


@pytest.mark.parametrize("mode", ["constant", "edge", "symmetric", "reflect"])
def test_the_smallest_tile_has_to_see_what_continues_an_image(mode: str) -> None:
    found = tiling(unets.continued(mode))
    assert found.halo[0] == (10, 0) and found.smallest[0] == 11
    told = ["pads with more of an image than small tiles see"]
    assert [r.reason for r in found.reasons] == told * (mode in ("symmetric", "reflect"))
    wider = tiling(unets.continued(mode, 11))  # of which tiles see as much for other reasons
    assert wider.exact and wider.smallest[0] == 21


def test_a_factor_between_fixed_sizes_is_a_factor() -> None:
    inputs = image(4)
    x = layers.Resizing(8, 8)(conv(4)(inputs))
    found = tiling(keras.Model(inputs, layers.UpSampling2D()(conv(2)(x))))
    assert found.exact and found.stride == (2, 2)


def test_gates_over_space_and_nested_models_are_seen() -> None:
    inputs = keras.Input((None, None, 4))
    inner = keras.Input((None, None, 4))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(inner)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    block = keras.Model(inner, layers.Multiply()([inner, gate]), name="excite")
    found = tiling(keras.Model(inputs, conv(1)(block(conv(4)(inputs)))))
    assert [str(reason) for reason in found.reasons] == [
        "excite/squeeze: looks at all pixels of an image"
    ]
    assert found.halo == ((2, 2), (2, 2))  # that of the convolutions


def test_channels_first() -> None:
    found = tiling(built("channels_first"))
    assert found.stride == (2, 2) and found.exact
    inputs = keras.Input((4, None, None))
    x = layers.Conv2D(4, 3, padding="same", data_format="channels_first")(inputs)
    softmax = layers.Activation("softmax", name="wrong")
    assert tiling(keras.Model(inputs, softmax(x))).reasons[0].layer == "wrong"


@pytest.mark.parametrize("strides", [0, -1, "two", (1, 2, 3), None, float("inf"), {"a": 1}])
def test_broken_settings_are_obstacles(strides: Any) -> None:
    entry = Node("x", "x", "InputLayer", outputs=(TensorSpec((None, 8, 8, 1)),))
    config = freeze({"strides": strides, "kernel_size": "three" if strides is None else (3, 3)})
    odd = Node(
        "c", "c", "Conv2D", config=config, args=(Tensor(0),),
        outputs=(TensorSpec((None, 8, 8, 1)),),
    )  # fmt: skip
    found = tiling_of_graph(Graph("m", "Functional", (entry, odd), Tensor(0), Tensor(1)))
    assert [reason.layer for reason in found.reasons] == ["c"]


def test_what_takes_no_images_is_refused() -> None:
    with pytest.raises(NetworkError, match="rows, columns, channels"):
        tiling(built("integer_input"))


# The table. --------------------------------------------------------------------------------------


def test_the_share_of_work_on_halos_is_counted() -> None:
    found = Tiling((16, 16), ((24, 20), (24, 20)))
    assert found.smallest == (64, 64)
    assert found.core((128, 256)) == (80, 208)
    # Every pixel is computed as often as tiles see it: so many tiles on a long row, counted.
    starts = range(0, 16 * 80, 80)
    assert found.wasted(128) == pytest.approx(1 - (len(starts) * 80 / (len(starts) * 128)) ** 2)
    assert found.wasted(48) == 1
    assert [size for size, _ in found.table] == [128, 256, 512, 1024, 2048, 4096]
    shares = [share for _, share in found.table]
    assert shares == sorted(shares, reverse=True)
    assert "halo 24+20, 24+20 pixels, exact" in str(found)


def test_the_share_of_work_on_overlaps_is_that_of_tiles_that_are_blended() -> None:
    found = Tiling((16, 16), ((24, 20), (24, 20)), (Obstacle("norm", "sees all"),))
    for tile in (64, 128, 1024):  # half of them, the halo, a quarter
        many = 200
        row = row_of(many * tile, tile, 16, (24, 20))
        computed = (len(row.spans) * tile / (many * tile)) ** 2
        assert found.wasted(tile) == pytest.approx(1 - 1 / computed, abs=0.01)
    assert [size for size, _ in found.table] == [128, 256, 512, 1024, 2048, 4096]
    assert "tiles of 1024: 44% of the work on overlaps" in str(found)
