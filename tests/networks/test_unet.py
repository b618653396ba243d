"""The U-Net: golden counts, biases, sizes, the input's scaling."""

from typing import Any

import keras
import numpy as np
import pytest

from normwise.errors import NetworkError, PlanError
from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.norms import infer_plan
from tests.weightless import weightless

FREE = (None, None, 3)


def trainable(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@weightless()
@pytest.mark.parametrize(
    ("channels", "outputs", "filters", "norm", "count", "how"),
    [
        (3, 1, 64, "none", 31_031_745, "all"),
        (3, 1, 64, "batch@pre-activation", 31_037_633, "trainable"),
        (3, 2, 64, "batch@pre-activation", 31_037_698, "trainable"),
        (3, 1, 32, "batch@pre-activation", 7_763_041, "trainable"),
        (9, 1, 64, "none", 31_035_201, "all"),
        (9, 1, 64, "batch@pre-activation", 31_052_865, "all"),
    ],
)
def test_golden_counts(
    channels: int, outputs: int, filters: int, norm: str, count: int, how: str
) -> None:
    shape = (None, None, channels)
    model = build("unet", shape, outputs, norm=norm, filters=filters, depth=4)
    assert (model.count_params() if how == "all" else trainable(model)) == count
    counted = total_parameters(read_graph(model))
    assert counted is not None
    assert (counted.total if how == "all" else counted.trainable) == count


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_two_convolutions_a_level(depth: int, upsampling: str) -> None:
    model = build("unet", (16, 16, 3), filters=2, depth=depth, upsampling=upsampling)
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    names = [n for n in names if not n.endswith("_up")]
    levels = [f"encoder{i}" for i in range(1, depth + 1)] + ["bottleneck"]
    levels += [f"decoder{i}" for i in range(depth, 0, -1)]
    assert sorted(names) == sorted([f"{x}_conv{i}" for x in levels for i in (1, 2)] + ["head"])
    for step in range(1, depth + 1):
        up = model.get_layer(f"decoder{step}_up")
        if upsampling == "transposed":
            assert (up.kernel_size, up.strides) == ((2, 2), (2, 2))
            assert up.filters == 2 * 2 ** (step - 1)
        else:
            assert up.interpolation == upsampling and up.size == (2, 2)
    widths = [model.get_layer(f"{x}_conv2").filters for x in levels]
    assert widths[: depth + 1] == [2 * 2**i for i in range(depth + 1)]
    assert widths[depth + 1 :] == widths[:depth][::-1]
    head = model.get_layer("head")
    assert head.kernel_size == (1, 1) and head.activation.__name__ == "linear"


def biases(norm: str, **options: Any) -> dict[str, bool]:
    model = build("unet", FREE, norm=norm, filters=4, depth=1, **options)
    return {x.name: x.use_bias for x in model.layers if hasattr(x, "use_bias")}


CONVOLUTIONS = {f"{x}_conv{i}" for x in ("encoder1", "bottleneck", "decoder1") for i in (1, 2)}


@pytest.mark.parametrize(
    ("norm", "without"),
    [
        ("none", set()),
        ("batch@pre-activation", CONVOLUTIONS),
        ("instance@pre-activation", CONVOLUTIONS),
        ("batch-renorm@pre-activation", CONVOLUTIONS),
        ("layer@pre-activation", set()),
        ("rms@pre-activation", set()),
        ("group(groups=2)@pre-activation", set()),
        ("batch@post-activation", set()),
        ("batch@skip+after-merge+input", {"decoder1_up"}),
        ("group(groups=2)@after-merge", set()),
        ("batch@encoder:pre-activation", {"encoder1_conv1", "encoder1_conv2"}),
        # 4 groups of 4 channels have one channel each; of the bottleneck's 8 they have two.
        ("group(groups=4)@pre-activation", {c for c in CONVOLUTIONS if "bottleneck" not in c}),
    ],
)
def test_a_bias_stands_where_no_norm_cancels_it(norm: str, without: set[str]) -> None:
    assert {name for name, has in biases(norm).items() if not has} == without


def test_a_cancelled_bias_has_no_effect_and_another_has() -> None:
    """What a bias before each kind does to the output, measured."""
    chance = np.random.default_rng(0)
    given = chance.normal(size=(2, 6, 6, 4)).astype("float32")
    layers = keras.layers
    for layer, cancels in (
        (layers.GroupNormalization(-1), True),
        (layers.GroupNormalization(4), True),
        (layers.GroupNormalization(2), False),
        (layers.LayerNormalization(), False),
        (layers.RMSNormalization(), False),
    ):
        bias = chance.normal(size=4).astype("float32")
        plain, shifted = (keras.ops.convert_to_numpy(layer(x)) for x in (given, given + bias))
        assert np.allclose(plain, shifted, rtol=1e-4, atol=1e-4) is cancels


@pytest.mark.backends
@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_any_size_of_the_stride_runs(upsampling: str) -> None:
    model = build("unet", (None, None, 2), 3, filters=2, depth=2, upsampling=upsampling)
    for height, width in ((4, 4), (8, 20)):
        made = model.predict_on_batch(np.ones((1, height, width, 2), "float32"))
        assert made.shape == (1, height, width, 3) and made.dtype == np.float32


@pytest.mark.backends
def test_bilinear_runs_at_a_known_size() -> None:
    model = build("unet", (8, 12, 2), 1, filters=2, depth=2, upsampling="bilinear")
    assert model.predict_on_batch(np.ones((1, 8, 12, 2), "float32")).shape == (1, 8, 12, 1)


@pytest.mark.backends
def test_bilinear_of_a_free_size_is_refused_where_it_cannot_run() -> None:
    options = {"filters": 2, "depth": 2, "upsampling": "bilinear"}
    if keras.backend.backend() != "tensorflow":
        model = build("unet", (None, None, 2), 1, **options)
        made = model.predict_on_batch(np.ones((1, 8, 12, 2), "float32"))
        assert made.shape == (1, 8, 12, 1)
        return
    with pytest.raises(NetworkError, match="use upsampling='nearest'"):
        build("unet", (None, None, 2), 1, **options)


def test_a_fixed_size_is_fixed() -> None:
    assert build("unet", (16, 32, 1), filters=2, depth=2).input_shape == (None, 16, 32, 1)


@pytest.mark.backends
def test_standardize_at_the_input_standardizes() -> None:
    chance = np.random.default_rng(3)
    mean, variance = np.array([5.0, -2.0, 100.0]), np.array([4.0, 0.25, 900.0])
    raw = chance.normal(mean, np.sqrt(variance), size=(2, 8, 8, 3)).astype("float32")
    model = build(
        "unet",
        FREE,
        norm="standardize@input",
        filters=2,
        depth=1,
        input_statistics=(mean, variance),
    )
    plain = build("unet", FREE, norm="none", filters=2, depth=1)
    plain.set_weights(model.get_weights())
    scaled = ((raw - mean) / np.sqrt(variance)).astype("float32")
    expected = plain.predict_on_batch(scaled)
    np.testing.assert_allclose(model.predict_on_batch(raw), expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(plain.predict_on_batch(raw), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.backends
def test_standardize_is_a_fixed_map() -> None:
    model = build(
        "unet",
        FREE,
        norm="standardize@input",
        filters=2,
        depth=1,
        input_statistics=([1.0] * 3, [4.0] * 3),
    )
    layer = model.get_layer("input_norm")
    assert not layer.trainable_weights and not layer.non_trainable_weights
    given = np.full((1, 2, 2, 3), 5.0, "float32")
    first = keras.ops.convert_to_numpy(layer(given))
    np.testing.assert_allclose(first, np.full_like(given, 2.0), rtol=1e-6, atol=0)
    model.compile("sgd", "mse")
    model.fit(given, np.zeros((1, 2, 2, 1), "float32"), epochs=2, verbose=0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(given)), first)


def test_without_statistics_standardizing_changes_nothing() -> None:
    model = build("unet", FREE, norm="standardize@input", filters=2, depth=1)
    given = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype("float32")
    made = keras.ops.convert_to_numpy(model.get_layer("input_norm")(given))
    np.testing.assert_allclose(made, given, rtol=1e-6, atol=1e-6)


def test_statistics_of_other_channels_are_refused() -> None:
    with pytest.raises(PlanError, match="statistics of 2 and 3 channels for an input of 3"):
        build("unet", FREE, norm="standardize@input", input_statistics=([0.0] * 2, [1.0] * 3))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("batch@head:pre-activation", ["the head is linear"]),
        ("batch@head:post-activation", ["the head is linear"]),
        ("batch@bottleneck:before-downsampling", ["nothing is down-sampled after the bottleneck"]),
        ("batch@decoder:before-downsampling", ["nothing is down-sampled in the decoder"]),
        ("batch@encoder:after-merge", ["the merges stand in the decoder"]),
        ("batch@bottleneck:skip", ["the skips start in the encoder"]),
        ("batch@decoder:skip", ["the skips start in the encoder"]),
        ("batch@head:after-merge", ["no such place"]),
    ],
)
def test_plans_that_cannot_hold_say_why(plan: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        build("unet", FREE, norm=plan, filters=2, depth=1)
    for word in [*words, "can't hold", plan]:
        assert word in str(caught.value)


def test_two_norms_for_one_tensor_are_refused() -> None:
    for plan in (
        "batch@post-activation,rms@before-downsampling",
        "batch@post-activation/raw-skip+before-downsampling",
    ):
        with pytest.raises(PlanError, match="mean the same tensor after encoder1_conv2"):
            build("unet", FREE, norm=plan, filters=2, depth=1)


def test_groups_that_do_not_divide_name_those_that_do() -> None:
    with pytest.raises(PlanError) as caught:
        build("unet", FREE, norm="group@pre-activation", filters=12, depth=1)
    message = str(caught.value)
    assert "12 channels" in message and "32 groups" in message
    assert "1, 2, 3, 4, 6, 12" in message and "group(groups=4)" in message
    with pytest.raises(PlanError, match="input_norm would normalize 3 channels"):
        build("unet", FREE, norm="group(groups=2)@input", filters=4, depth=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_shape": (30, 32, 3), "depth": 3}, ["height 30", "stride 8", "24 or 32"]),
        ({"input_shape": (32, 4, 3), "depth": 3}, ["width 4", "8 or 16"]),
        ({"depth": 0}, ["depth is 0"]),
        ({"depth": "2"}, ["depth is '2'"]),
        ({"filters": -1}, ["filters is -1"]),
        ({"outputs": 1.5}, ["outputs is 1.5"]),
        ({"upsampling": "cubic"}, ["upsampling is 'cubic'", "'transposed', 'nearest', 'bilinear'"]),
        ({"upsample": "nearest"}, ["unknown option 'upsample'", "Did you mean 'upsampling'?"]),
    ],
)
def test_options_that_cannot_be_say_what_fits(options: dict[str, Any], words: list[str]) -> None:
    shape = options.pop("input_shape", FREE)
    with pytest.raises(NetworkError) as caught:
        build("unet", shape, **options)
    for word in ["unet", *words]:
        assert word in str(caught.value)


def test_activations_are_free() -> None:
    model = build("unet", FREE, norm="batch@pre-activation", filters=2, depth=1, activation="elu")
    activations = [x.activation.__name__ for x in model.layers if type(x).__name__ == "Activation"]
    assert activations == ["elu"] * 6
    assert str(infer_plan(read_graph(model))) == "batch@pre-activation"


def test_normalized_and_raw_skips() -> None:
    for plan, tap in (
        ("batch@before-downsampling", "encoder1_conv2_norm"),
        ("batch@before-downsampling/raw-skip", "encoder1_conv2"),
        ("batch@skip", "encoder1_skip_norm"),
    ):
        graph = read_graph(build("unet", FREE, norm=plan, filters=2, depth=1))
        read = [graph.nodes[t.node].name for t in graph.node("decoder1_concat").inputs]
        assert read == [tap, "decoder1_up"]
