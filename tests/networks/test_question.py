"""The question's network: its table layer by layer, its faults, and what mends them."""

from typing import Any

import keras
import numpy as np
import pytest

from normwise.errors import NetworkError, PlanError
from normwise.graph.graph import Graph
from normwise.keras_format import read_graph
from normwise.networks import build
from normwise.norms import NormPlan, infer_plan
from tests.surgery.models import outputs_of


def reads(graph: Graph, name: str) -> list[str]:
    return [graph.nodes[t.node].name for t in graph.node(name).inputs]


@pytest.fixture(scope="module")
def asked() -> Any:
    return build("question", (512, 512, 9))


def test_it_has_the_parameters_of_the_question(asked: Any) -> None:
    assert asked.count_params() == 3_151_121
    assert build("question", (None, None, 9)).count_params() == 3_151_121
    # What follows conv6 and is one affine map.
    after = [layer for layer in asked.layers if layer.name.startswith("upconv")]
    assert sum(layer.count_params() for layer in after) == 1_575_505


def test_the_table_layer_by_layer(asked: Any) -> None:
    told = {}
    for layer in asked.layers:
        if "conv" in layer.name and not layer.name.endswith("norm"):
            config = layer.get_config()
            assert config["kernel_size"] == (3, 3) and config["padding"] == "same"
            assert config["use_bias"] and config["data_format"] == "channels_last"
            told[layer.name] = (
                type(layer).__name__,
                config["filters"],
                config["strides"][0],
                config["activation"],
            )
    down = {
        f"conv{i}": ("Conv2D", filters, 2, "relu")
        for i, filters in enumerate((16, 32, 64, 128, 256, 512), start=1)
    }
    up = {
        f"upconv{i}": ("Conv2DTranspose", filters, 1 if i == 1 else 2, "linear")
        for i, filters in enumerate((256, 128, 64, 32, 16, 8, 1), start=1)
    }
    assert told == {**down, **up}
    norms = [x for x in asked.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert [x.name for x in norms] == [f"conv{i}_norm" for i in range(1, 6)]
    dropout = asked.get_layer("dropout")
    assert isinstance(dropout, keras.layers.Dropout) and dropout.rate == 0.25


def test_the_wiring_faults_included(asked: Any) -> None:
    graph = read_graph(asked)
    assert reads(graph, "conv1") == ["input"]
    for i in range(2, 7):
        assert reads(graph, f"conv{i}") == [f"conv{i - 1}_norm"]
        assert reads(graph, f"conv{i - 1}_norm") == [f"conv{i - 1}"]
    assert reads(graph, "dropout") == ["conv6"] and reads(graph, "upconv1") == ["dropout"]
    for i in range(2, 6):
        assert reads(graph, f"upconv{i}") == [f"upconv{i - 1}"]
    assert reads(graph, "concat2") == ["upconv5", "conv2"]  # before its normalization
    assert reads(graph, "upconv6") == ["concat2"]
    assert reads(graph, "concat1") == ["upconv6", "conv1"]  # before its normalization
    assert reads(graph, "upconv7") == ["concat1"]
    assert asked.output_shape == (None, 512, 512, 1)


def test_its_plan_is_the_default_one(asked: Any) -> None:
    same = build("question", (512, 512, 9), norm="batch@encoder:post-activation/raw-skip")
    assert str(infer_plan(read_graph(same))) == str(infer_plan(read_graph(asked)))
    assert str(infer_plan(read_graph(asked))) == "batch@before-downsampling/raw-skip"


def test_everything_after_conv6_is_one_affine_map() -> None:
    """f(a) + f(b) = f(a + b) + f(0) for the decoder; with an activation it is not."""
    for activation, linear in ((None, True), ("relu", False)):
        model = build("question", (64, 64, 3), filters=4, decoder_activation=activation)
        keras.utils.set_random_seed(1)
        for weight in model.weights:
            weight.assign(keras.random.normal(weight.shape, stddev=0.3))
        ends = [model.get_layer(n).output for n in ("conv6", "conv2", "conv1")]
        decoder = keras.Model(ends, model.output)
        chance = np.random.default_rng(0)

        def some(chance: Any = chance, ends: Any = ends) -> list[Any]:
            return [chance.normal(size=(1, *e.shape[1:])).astype("float32") for e in ends]

        a, b = some(), some()
        none, both = [x * 0 for x in a], [x + y for x, y in zip(a, b, strict=True)]
        first, second, joint, zero = (outputs_of(decoder, x)[0] for x in (a, b, both, none))
        close = np.allclose(first + second, joint + zero, rtol=1e-3, atol=1e-3)
        assert close is linear


def test_normalized_skips_mend_the_wiring() -> None:
    graph = read_graph(build("question", (64, 64, 3), filters=2, normalized_skips=True))
    assert reads(graph, "concat2") == ["upconv5", "conv2_norm"]
    assert reads(graph, "concat1") == ["upconv6", "conv1_norm"]
    assert str(infer_plan(graph)) == "batch@before-downsampling"


def test_a_decoder_activation_mends_the_affine_map() -> None:
    model = build("question", (64, 64, 3), filters=2, decoder_activation="relu")
    activations = {f"upconv{i}": model.get_layer(f"upconv{i}").activation for i in range(1, 8)}
    names = {name: function.__name__ for name, function in activations.items()}
    assert names == {**{f"upconv{i}": "relu" for i in range(1, 7)}, "upconv7": "linear"}


def test_filters_outputs_channels_and_dropout_are_free() -> None:
    model = build("question", (128, 64, 5), 3, filters=4, dropout=0.5)
    assert model.input_shape == (None, 128, 64, 5) and model.output_shape == (None, 128, 64, 3)
    assert model.get_layer("conv6").filters == 128 and model.get_layer("upconv6").filters == 2
    assert model.get_layer("dropout").rate == 0.5


def test_no_normalization_at_all() -> None:
    graph = read_graph(build("question", (64, 64, 3), norm="none", filters=2))
    assert str(infer_plan(graph)) == "none"
    assert reads(graph, "conv2") == ["conv1"]


@pytest.mark.backends
def test_any_size_of_the_stride_runs() -> None:
    model = build("question", (None, None, 2), filters=2)
    for height, width in ((64, 64), (128, 192)):
        made = model.predict_on_batch(np.zeros((2, height, width, 2), "float32"))
        assert made.shape == (2, height, width, 1) and made.dtype == np.float32


def test_the_first_layers_have_no_bias_where_a_norm_cancels_it() -> None:
    model = build("question", (64, 64, 3), norm="batch@pre-activation", filters=2)
    assert not any(model.get_layer(f"conv{i}").use_bias for i in range(1, 7))
    assert all(model.get_layer(f"upconv{i}").use_bias for i in range(1, 8))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("batch@decoder:pre-activation", ["decoder_activation='relu'", "'decoder:pre-activation'"]),
        ("batch@decoder:post-activation", ["have no activation"]),
        ("batch@head:pre-activation", ["the head is linear"]),
        ("batch@bottleneck:before-downsampling", ["nothing is down-sampled after the bottleneck"]),
        ("batch@decoder:before-downsampling", ["nothing is down-sampled in the decoder"]),
        ("batch@encoder:after-merge", ["the merges stand in the decoder"]),
        ("batch@decoder:skip", ["the skips start in the encoder"]),
        ("batch@head:skip", ["no such place"]),
    ],
)
def test_plans_that_cannot_hold_say_why(plan: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        build("question", (None, None, 3), norm=plan, filters=2)
    for word in [*words, "can't hold", plan]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_shape": (500, 512, 9)}, ["height 500", "stride 64", "448 or 512", "None"]),
        ({"input_shape": (512, 32, 9)}, ["width 32", "64 or 128"]),
        ({"input_shape": (512, 512)}, ["(height, width, channels)"]),
        ({"input_shape": (512, 512, None)}, ["known number of channels"]),
        ({"input_shape": (512, 512, 0)}, ["known number of channels"]),
        ({"outputs": 0}, ["outputs is 0"]),
        ({"outputs": True}, ["outputs is True"]),
        ({"filters": 3}, ["filters is 3", "even"]),
        ({"filters": 2.0}, ["filters is 2.0", "whole number"]),
        ({"depth": 6}, ["unknown option 'depth'", "it takes filters, decoder_activation"]),
        ({"dropout": 1.0}, ["dropout is 1.0"]),
        ({"dropout": -0.1}, ["dropout is -0.1"]),
        ({"decoder_activaton": "relu"}, ["Did you mean 'decoder_activation'?"]),
    ],
)
def test_options_that_cannot_be_say_what_fits(options: dict[str, Any], words: list[str]) -> None:
    shape = options.pop("input_shape", (64, 64, 3))
    with pytest.raises(NetworkError) as caught:
        build("question", shape, **options)
    for word in ["question", *words]:
        assert word in str(caught.value)


def test_a_parsed_plan_is_a_plan() -> None:
    model = build("question", (64, 64, 3), norm=NormPlan.parse("rms@skip"), filters=2)
    assert str(infer_plan(read_graph(model))) == "rms@skip"
