"""What every network but the question's keeps to, in images and in volumes."""

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

from normwise.errors import NetworkError, PlanError
from normwise.graph.catalogue import Role, role_of
from normwise.graph.regions import layout_of
from normwise.keras_format import read_graph
from normwise.keras_format.stride import stride_of
from normwise.networks import NETWORKS, build
from normwise.norms import NormPlan, infer_plan
from normwise.norms.positions import Placement
from tests.surgery.models import outputs_of

FAMILIES = ("unet", "residual", "attention", "nested")
FREE = {2: (None, None, 2), 3: (None, None, None, 2)}
NO_EFFECT = 1e-4
"""Gradients below are rounding."""
SIZES = {2: ((4, 4), (8, 12)), 3: ((4, 4, 4), (4, 8, 12))}


def small(network: str, rank: int, outputs: int = 1, **options: Any) -> Any:
    if network == "residual":
        options = {"blocks": 1, **options}
    return build(network, FREE[rank], outputs, **{"filters": 4, "depth": 2, **options})


def test_all_networks_are_here() -> None:
    assert set(NETWORKS) >= {"question", *FAMILIES}


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("network", FAMILIES)
def test_any_size_of_the_stride_runs(network: str, rank: int) -> None:
    model = small(network, rank, 3)
    assert stride_of(model) == 4 and model.name == network
    for size in SIZES[rank]:
        (made,) = outputs_of(model, np.ones((1, *size, 2), "float32"))
        assert made.shape == (1, *size, 3) and made.dtype == np.float32
        assert np.isfinite(made).all()


@pytest.mark.backends
@pytest.mark.parametrize(
    ("network", "rank"), [("unet", 3), ("residual", 2), ("attention", 3), ("nested", 2)]
)
def test_a_step_trains_every_weight_and_keeps_the_plan(network: str, rank: int) -> None:
    """Also that every head of a deeply supervised network reaches the loss."""
    keras.utils.set_random_seed(1)
    model = small(network, rank, deep_supervision=True)
    chance = np.random.default_rng(0)
    given = chance.normal(size=(2, *SIZES[rank][1], 2)).astype("float32")
    targets = [chance.normal(size=made) for made in model.compute_output_shape(given.shape)]
    model.compile(keras.optimizers.SGD(0.1), loss=["mse"] * len(targets))
    before = [np.array(w) for w in model.get_weights()]
    model.train_on_batch(given, targets)
    still = [
        weight.path
        for weight, was, now in zip(model.weights, before, model.get_weights(), strict=True)
        if np.array_equal(was, now)
    ]
    assert not still
    assert str(infer_plan(read_graph(model))) == "batch@pre-activation"


# The default plan has no fault. ---------------------------------------------------------------


@cache
def placement(network: str, rank: int, norm: str | None = None) -> Placement:
    return Placement(layout_of(read_graph(small(network, rank, norm=norm))))


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("network", FAMILIES)
def test_the_default_plan_normalizes_every_site_and_nothing_else(network: str, rank: int) -> None:
    found = placement(network, rank)
    plan = infer_plan(found.graph)
    assert str(plan) == "batch@pre-activation" and not plan.residue
    hidden = [s for s in found.sites if s.activation not in found.layout.masks]
    assert hidden and all(site.between for site in hidden)
    between = {norm for site in hidden for norm in site.between}
    assert set(found.norms) == between


@pytest.mark.parametrize("network", FAMILIES)
def test_no_linear_layer_reads_another_but_through_a_join_or_an_up_convolution(
    network: str,
) -> None:
    found = placement(network, 2)
    graph, nodes = found.graph, found.graph.nodes
    for index, node in enumerate(nodes):
        if role_of(node) is not Role.LINEAR or "Transpose" in node.class_name:
            continue
        for producer in graph.producers[index]:
            source = nodes[found.skeleton(producer)]
            linear = role_of(source) is Role.LINEAR and "Transpose" not in source.class_name
            assert not linear, (node.name, source.name)


def plain(network: str, **options: Any) -> dict[str, bool]:
    model = small(network, 2, **options)
    return {x.name: x.use_bias for x in model.layers if hasattr(x, "use_bias")}


@pytest.mark.parametrize(
    "norm",
    ["none", "batch@pre-activation", "batch@after-merge", "batch@encoder:pre-activation",
     "batch@decoder:pre-activation+after-merge", "rms@pre-activation,instance@after-merge"],
)  # fmt: skip
@pytest.mark.parametrize("network", FAMILIES)
def test_every_bias_has_an_effect_where_normalizations_use_the_batch(
    network: str, norm: str
) -> None:
    keras.utils.set_random_seed(3)
    model = small(network, 2, norm=norm, activation="softplus")  # no unit is ever off
    assert not dead_biases(model)


def dead_biases(model: Any) -> list[str]:
    """Measured: the layers whose bias does nothing to the outputs in training mode.

    One gradient tells of all of them, where each moved by itself would take a call of the model.
    """
    import tensorflow as tf

    chance = np.random.default_rng(2)
    for weight in model.trainable_weights:
        if len(weight.shape) == 1:
            weight.assign(chance.uniform(0.3, 0.9, size=weight.shape))
    given = chance.normal(size=(3, 8, 8, 2)).astype("float32")
    biased = [layer for layer in model.layers if getattr(layer, "use_bias", False)]
    with tf.GradientTape() as tape:
        made = model(given, training=True)
        # Unlike weights, for an effect may be without one on the sum of all pixels.
        told = tf.reduce_sum(made * chance.normal(size=made.shape).astype("float32"))
    effects = tape.gradient(told, [layer.bias.value for layer in biased])
    return [
        layer.name
        for layer, effect in zip(biased, effects, strict=True)
        if np.abs(effect).max() < NO_EFFECT
    ]


def test_dead_biases_are_seen() -> None:
    layers = keras.layers
    inputs = keras.Input((8, 8, 2))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, name="dead")(inputs))
    x = layers.Conv2D(1, 1, name="alive")(layers.Activation("softplus")(x))
    assert dead_biases(keras.Model(inputs, x)) == ["dead"]


def names(network: str, ending: str) -> set[str]:
    return {name for name in plain(network, norm="none") if name.endswith(ending)}


@pytest.mark.parametrize("network", FAMILIES)
def test_a_bias_is_left_out_only_where_it_is_cancelled(network: str) -> None:
    assert all(plain(network, norm="none").values())
    assert all(plain(network, norm="layer@pre-activation,rms@after-merge").values())
    kept = {n for n, has in plain(network).items() if has}
    assert kept == {"head"} | names(network, "_mask") | (
        names(network, "_up") - names(network, "_gate_up")
    )
    merged = {n for n, has in plain(network, norm="batch@decoder:after-merge").items() if not has}
    gates = names(network, "_gate_skip") | names(network, "_gate_up")
    assert merged == names(network, "_up") | gates


def test_a_norm_behind_the_add_cancels_both_of_its_biases() -> None:
    without = {
        n for n, has in plain("residual", norm="batch@encoder:after-merge").items() if not has
    }
    assert without == {f"encoder{x}" for x in ("1_1_conv2", "2_1_conv2", "2_1_project")}


# Options. -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("network", FAMILIES)
def test_deep_supervision_adds_heads(network: str, rank: int) -> None:
    model = small(network, rank, 3, depth=3, deep_supervision=True)
    assert model.output_names == ["head", "head_2", "head_3"]
    made = outputs_of(model, np.ones((1, *(8,) * rank, 2), "float32"))
    sides = [8, 8, 8] if network == "nested" else [8, 4, 2]
    assert [x.shape for x in made] == [(1, *(side,) * rank, 3) for side in sides]
    plain_names = {layer.name for layer in small(network, rank, 3, depth=3).layers}
    added = {layer.name for layer in model.layers} - plain_names
    assert added == {"head_2", "head_3"}


@pytest.mark.parametrize("network", FAMILIES)
def test_the_first_output_is_the_network_without_deep_supervision(network: str) -> None:
    one, all_of_them = (small(network, 2, deep_supervision=deep) for deep in (False, True))
    chance = np.random.default_rng(5)
    for layer in one.layers:
        values = [chance.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
        layer.set_weights(values)
        all_of_them.get_layer(layer.name).set_weights(values)
    given = chance.normal(size=(1, 8, 8, 2)).astype("float32")
    (expected,), made = outputs_of(one, given), outputs_of(all_of_them, given)
    np.testing.assert_allclose(made[0], expected, rtol=1e-5, atol=1e-5)
    if network == "nested":
        assert not np.allclose(made[1], expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("network", FAMILIES)
def test_options_that_cannot_be(network: str) -> None:
    for options, words in (
        (
            {"depth": 1, "deep_supervision": True},
            "deep_supervision puts .* Use a depth of 2 or more",
        ),
        ({"deep_supervision": "yes"}, "deep_supervision is 'yes'; expected true or false"),
        ({"filters": [4, 8]}, "filters is .*3 of them"),
        ({"upsampling": "cubic"}, "upsampling is 'cubic'; expected one of 'transposed'"),
        ({"activation": "rule"}, "activation is 'rule'"),
        ({"depth": 0}, "depth is 0"),
        ({"deep": True}, "unknown option 'deep'; it takes .*deep_supervision"),
    ):
        with pytest.raises(NetworkError, match=f"{network}: {words}"):
            small(network, 2, **options)
    with pytest.raises(NetworkError, match=rf"{network}: slices 6 .*stride 4; use 4 or 8"):
        build(network, (6, 8, 8, 1), filters=2, depth=2)
    with pytest.raises(NetworkError, match=r"nearest voxel alone.*upsampling='nearest'"):
        build(network, (8, 8, 8, 1), filters=2, depth=2, upsampling="bilinear")
    with pytest.raises(PlanError, match="nothing is down-sampled in the decoder"):
        small(network, 2, norm="batch@decoder:before-downsampling")


def test_blocks_are_one_number_or_one_a_level() -> None:
    with pytest.raises(NetworkError, match=r"residual: blocks is \[1, 2\]; .* 3 of them"):
        small("residual", 2, blocks=[1, 2])
    with pytest.raises(NetworkError, match="unet: unknown option 'blocks'"):
        small("unet", 2, blocks=2)


def test_the_question_is_for_images() -> None:
    with pytest.raises(NetworkError, match=r"question: .*expected \(height, width, channels\)"):
        build("question", (64, 64, 64, 1))


# What the networks compute. -------------------------------------------------------------------


@pytest.mark.parametrize("rank", [2, 3])
def test_a_gate_multiplies_the_skip_with_its_mask(rank: int) -> None:
    """A mask of zeros leaves the decoder what it reads from below; one of ones leaves the skip."""
    model = small("attention", rank, norm="none")
    mask = model.get_layer("decoder1_gate_mask")
    ends = ("encoder1_conv2", "decoder1_gate_multiply")
    parts = keras.Model(model.input, [model.get_layer(n).output for n in ends])
    given = np.random.default_rng(0).normal(size=(1, *(8,) * rank, 2)).astype("float32")
    kernel = np.zeros_like(mask.kernel)
    for bias, factor in ((-50.0, 0.0), (50.0, 1.0), (0.0, 0.5)):
        mask.set_weights([kernel, np.array([bias])])
        skip, gated = outputs_of(parts, given)
        np.testing.assert_allclose(gated, factor * skip, rtol=1e-5, atol=1e-6)
        assert np.abs(skip).max() > 0.1


def test_a_residual_block_is_the_identity_where_its_second_convolution_is_zero() -> None:
    model = small("residual", 2, norm="none")
    block = model.get_layer("encoder1_1_conv2")
    parts = keras.Model(
        model.input, [model.get_layer(n).output for n in ("stem_conv1", "encoder1_1_relu")]
    )
    given = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype("float32")
    read, made = outputs_of(parts, given)
    assert not np.allclose(read, made, rtol=1e-3, atol=1e-3)
    block.set_weights([np.zeros_like(w) for w in block.get_weights()])
    read, made = outputs_of(parts, given)
    np.testing.assert_allclose(made, read, rtol=1e-6, atol=1e-6)


def test_nested_nodes_read_all_earlier_nodes_of_their_row() -> None:
    graph = read_graph(small("nested", 2, norm="none", depth=3))
    read = {
        node.name: [graph.nodes[t.node].name for t in node.inputs]
        for node in graph.nodes
        if node.class_name == "Concatenate"
    }
    assert read == {
        f"decoder{row}_{column}_concat": [
            f"encoder{row}_conv2",
            *(f"decoder{row}_{before}_conv2" for before in range(1, column)),
            f"decoder{row}_{column}_up",
        ]
        for row, column in ((1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (1, 3))
    }
    for row, column in ((1, 1), (2, 1), (1, 2), (2, 2), (1, 3)):
        below = f"encoder{row + 1}" if column == 1 else f"decoder{row + 1}_{column - 1}"
        up = graph.node(f"decoder{row}_{column}_up")
        assert graph.nodes[up.inputs[0].node].name == f"{below}_conv2"


def test_group_norms_of_a_gated_network_leave_its_masks_alone() -> None:
    """A mask has one channel, which no number of groups but one divides."""
    model = small("attention", 2, norm="group(groups=2)@pre-activation")
    assert NormPlan.parse("group(groups=2)@pre-activation") == infer_plan(read_graph(model))
