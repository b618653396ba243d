"""Encoder, bottleneck, decoder and head; merges and skips; of networks of every build."""

import random
from typing import Any

import keras
import pytest

from normwise.graph.regions import Layout, _falling, layout_of
from normwise.graph.resolution import area
from normwise.keras_format import read_graph
from normwise.networks import build
from tests import unets
from tests.zoo import built, conv, image

layers = keras.layers


def layout(model: Any) -> Layout:
    return layout_of(read_graph(model))


def regions(found: Layout) -> dict[str, str]:
    return {node.name: r for node, r in zip(found.graph.nodes, found.regions, strict=True)}


def skips(found: Layout) -> dict[str, list[tuple[str, str]]]:
    name = [node.name for node in found.graph.nodes]
    return {name[m.node]: [(name[a], name[b]) for a, b in m.skips] for m in found.merges}


HAND_MADE = [name for name in unets.SAME_SIZE if name not in {"two_inputs", "stacked", "flat"}]
TWO_LEVELS = [name for name in HAND_MADE if name not in {"deep", "residual_unet"}]


@pytest.mark.parametrize("name", TWO_LEVELS)
def test_regions_of_hand_made_u_nets(name: str) -> None:
    found = layout(unets.SAME_SIZE[name][0]())
    where = regions(found)
    assert [where[n] for n in ("input", "enc0", "enc1")] == ["encoder"] * 3
    assert where["mid"] == "bottleneck" and where["head"] == "head"
    assert [where[n] for n in ("dec1", "dec0")] == ["decoder"] * 2
    assert set(where.values()) == {"encoder", "bottleneck", "decoder", "head"}
    assert len(found.downsampling) == 2


@pytest.mark.parametrize("name", TWO_LEVELS)
def test_skips_of_hand_made_u_nets(name: str) -> None:
    found = layout(unets.SAME_SIZE[name][0]())
    how = {"added": "add", "plus": "add"}.get(name, "concatenate")
    assert [merge.how for merge in found.merges] == [how, how]
    taps = [[tap for tap, _ in ends] for ends in skips(found).values()]
    assert taps == [["enc1"], ["enc0"]]


@pytest.mark.parametrize("name", ["bridged", "cropped"])
def test_a_skip_starts_at_the_way_down_not_on_its_bridge(name: str) -> None:
    found = layout(unets.SAME_SIZE[name][0]())
    for ends in skips(found).values():
        ((tap, first),) = ends
        assert tap.startswith("enc") and regions(found)[first] == "encoder"
        assert found.graph.index[first] not in found.trunk


def test_residual_adds_are_no_skips() -> None:
    found = layout(unets.residual_unet())
    assert skips(found) == {
        "within_enc": [],
        "within_mid": [],
        "join": [("within_enc", "join")],
        "within_dec": [],
    }


def test_two_inputs() -> None:
    found = layout(unets.two_inputs())
    assert skips(found) == {"early": [], "join": [("enc_a", "join")]}
    where = regions(found)
    assert {where[n] for n in ("input", "second", "enc_a", "enc_b", "early")} == {"encoder"}


def test_stacked_hourglasses_end_in_one_decoder() -> None:
    found = layout(unets.stacked())
    where = regions(found)
    assert where["mid0"] == where["mid1"] == "bottleneck"
    assert where["up1"] == where["dec1"] == "decoder"
    assert where["stem"] == where["dec0"] == "encoder"  # what stands before the last way down
    assert skips(found)["join1"] == [("dec0", "join1")]


def test_a_network_of_one_resolution_is_all_encoder() -> None:
    found = layout(unets.flat())
    assert regions(found) == {
        "input": "encoder",
        "a": "encoder",
        "b": "encoder",
        "join": "encoder",
        "head": "head",
    }
    assert not found.downsampling and found.stride == (1, 1)


def test_a_network_that_only_goes_up_has_no_encoder() -> None:
    where = regions(layout(unets.super_resolution()))
    assert where == {
        "input": "bottleneck",
        "a": "bottleneck",
        "up": "decoder",
        "b": "decoder",
        "head": "head",
    }


@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_network_of_the_question(activation: str | None) -> None:
    model = build("question", (None, None, 9), filters=2, decoder_activation=activation)
    found = layout(model)
    where = regions(found)
    assert {n for n in where if where[n] == "head"} == {"upconv7"}
    assert {where[f"conv{i}"] for i in range(1, 6)} == {"encoder"}
    assert {where[n] for n in ("conv6", "dropout", "upconv1")} == {"bottleneck"}
    assert {where[f"upconv{i}"] for i in range(2, 7)} == {"decoder"}
    assert skips(found) == {"concat2": [("conv2", "concat2")], "concat1": [("conv1", "concat1")]}
    names = [found.graph.nodes[i].name for i in sorted(found.downsampling)]
    assert names == [f"conv{i}" for i in range(1, 7)]
    assert found.stride == (64, 64)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_u_nets(depth: int, upsampling: str) -> None:
    shape = (16, 16, 3) if upsampling == "bilinear" else (None, None, 3)
    found = layout(build("unet", shape, filters=2, depth=depth, upsampling=upsampling))
    where = regions(found)
    assert found.stride == (2**depth,) * 2 and len(found.downsampling) == depth
    for name, region in where.items():
        part = name.partition("_")[0].rstrip("0123456789")
        expected = {"input": "encoder", "bottleneck": "bottleneck", "head": "head"}.get(part, part)
        if name == f"encoder{depth}_pool":
            expected = "bottleneck"
        assert region == expected, name
    taps = [tap for ends in skips(found).values() for tap, _ in ends]
    assert [t.partition("_")[0] for t in taps] == [f"encoder{i}" for i in range(depth, 0, -1)]


def test_a_normalization_on_a_skip_belongs_to_the_encoder() -> None:
    found = layout(build("unet", (None, None, 3), norm="batch@skip", filters=2, depth=2))
    where = regions(found)
    assert where["encoder1_skip_norm"] == where["encoder2_skip_norm"] == "encoder"
    assert skips(found)["decoder1_concat"] == [("encoder1_conv2", "encoder1_skip_norm")]


@pytest.mark.parametrize(
    ("name", "stride", "head"),
    [
        ("ResNet50", 32, "predictions"),
        ("MobileNetV2", 32, "predictions"),
        ("VGG16", 32, "predictions"),
    ],
)
def test_classification_networks_have_no_decoder(name: str, stride: int, head: str) -> None:
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=4)
    found = layout(model)
    where = regions(found)
    assert set(where.values()) == {"encoder", "bottleneck", "head"}
    assert [n for n in where if where[n] == "head"] == [head]
    assert found.stride == (stride, stride)
    assert all(not merge.skips for merge in found.merges)


def test_a_feature_extractor_has_no_head() -> None:
    inputs = image(4)
    x = layers.BatchNormalization()(conv(4, name="last")(layers.MaxPooling2D()(inputs)))
    model = keras.Model(inputs, layers.ReLU()(x))
    assert "head" not in layout(model).regions
    # With an output activation it is a prediction.
    assert "head" in layout(keras.Model(inputs, layers.Activation("sigmoid")(x))).regions


def test_every_output_has_a_head() -> None:
    inputs = image(4)
    x = conv(4, activation="relu", name="body")(inputs)
    outputs = [conv(1, name="first")(x), layers.Softmax(name="end")(conv(2, name="second")(x))]
    where = regions(layout(keras.Model(inputs, outputs)))
    assert {n for n in where if where[n] == "head"} == {"first", "second", "end"}


def test_gates_are_the_branches_of_squeeze_and_excite() -> None:
    found = layout(built("squeeze_excite"))
    names = {found.graph.nodes[i].name for i in found.gates}
    assert {"dense", "dense_1", "global_average_pooling2d"} <= names
    assert not any(name.startswith("conv") for name in names)
    assert not layout(unets.pooled()).gates


def test_the_u_net_of_the_paper_with_valid_convolutions() -> None:
    inputs, taps = keras.Input((60, 60, 1), name="input"), []
    x = inputs
    for level in range(2):
        x = layers.Conv2D(2, 3, activation="relu", name=f"enc{level}")(x)
        taps.append(x)
        x = layers.MaxPooling2D(name=f"down{level}")(x)
    x = layers.Conv2D(2, 3, activation="relu", name="mid")(x)
    for level in (1, 0):
        x = layers.Conv2DTranspose(2, 2, strides=2, name=f"up{level}")(x)
        border = (taps[level].shape[1] - x.shape[1]) // 2
        odd = (taps[level].shape[1] - x.shape[1]) % 2
        skip = layers.Cropping2D(((border, border + odd),) * 2, name=f"crop{level}")(taps[level])
        x = layers.Concatenate(name=f"join{level}")([x, skip])
        x = layers.Conv2D(2, 3, activation="relu", name=f"dec{level}")(x)
    found = layout(keras.Model(inputs, conv(1, 1, name="head")(x)))
    assert found.stride == (4, 4)
    assert skips(found) == {"join1": [("enc1", "crop1")], "join0": [("enc0", "crop0")]}
    assert regions(found)["mid"] == "bottleneck" and regions(found)["dec1"] == "decoder"


def test_nested_models_are_opened() -> None:
    found = layout(built("nested_twice"))
    assert "block:1/conv" in regions(found) and found.stride == (2, 2)


def test_chains_of_residual_adds_take_no_time() -> None:
    """Ways that part and meet again n times are 2**n ways; nothing may follow each of them."""
    from normwise.norms import infer_plan

    inputs = image(4)
    x = conv(4, name="first")(inputs)
    for _ in range(40):
        x = layers.Add()([x, layers.BatchNormalization()(x)])
    plan = infer_plan(read_graph(keras.Model(inputs, conv(1, name="head")(x))))
    assert len(plan.residue) == 40


# Nested U-Nets and gates. ---------------------------------------------------------------------


def test_the_inner_nodes_of_a_nested_u_net_are_the_decoders() -> None:
    """They neither lead to the coarsest resolution nor come from it; they were up-sampled."""
    found = layout(build("nested", (None, None, 3), filters=2, depth=3, norm="none"))
    where = regions(found)
    inner = [n for n in where if n.startswith("decoder")]
    assert len(inner) == 6 * 4 and {where[n] for n in inner} == {"decoder"}
    assert [where[n] for n in ("encoder3_conv2", "bottleneck_conv1", "head")] == [
        "encoder", "bottleneck", "head",
    ]  # fmt: skip


def test_skips_of_a_nested_u_net_start_in_the_encoder_and_at_earlier_nodes() -> None:
    found = layout(build("nested", (None, None, None, 3), filters=2, depth=3, norm="none"))
    assert skips(found)["decoder1_3_concat"] == [
        ("encoder1_conv2", "decoder1_3_concat"),
        ("decoder1_1_conv2", "decoder1_3_concat"),
        ("decoder1_2_conv2", "decoder1_3_concat"),
    ]
    assert [tap for tap, _ in skips(found)["decoder3_1_concat"]] == ["encoder3_conv2"]
    index = found.graph.index
    assert found.is_skip(index["encoder2_conv2"], index["decoder2_1_concat"])
    assert not found.is_skip(index["encoder2_conv2"], index["decoder1_1_up"])
    assert not found.is_skip(index["encoder2_conv2"], index["encoder2_pool"])


def test_a_gated_skip_is_followed_through_its_gate() -> None:
    found = layout(build("attention", (None, None, 3), filters=2, depth=2, norm="none"))
    assert skips(found) == {
        "decoder2_gate_add": [("encoder2_conv2", "decoder2_gate_skip")],
        "decoder2_concat": [("encoder2_conv2", "decoder2_gate_multiply")],
        "decoder1_gate_add": [("encoder1_conv2", "decoder1_gate_skip")],
        "decoder1_concat": [("encoder1_conv2", "decoder1_gate_multiply")],
    }
    masks = {found.graph.nodes[i].name for i in found.masks}
    assert masks == {"decoder1_gate_mask", "decoder2_gate_mask"}


def test_a_mask_that_is_made_coarser_and_up_sampled_is_one() -> None:
    """As in the paper, where the gate works at the coarser resolution."""
    inputs = image(4, None, name="input")
    tap = conv(4, activation="relu", name="enc")(inputs)
    x = conv(4, activation="relu", name="mid")(layers.MaxPooling2D()(tap))
    both = layers.Add()([conv(4, strides=2, name="theta")(tap), conv(4, 1, name="phi")(x)])
    mask = conv(1, 1, activation="sigmoid", name="mask")(layers.ReLU()(both))
    gated = layers.Multiply(name="gated")([tap, layers.UpSampling2D()(mask)])
    x = layers.Concatenate(name="join")([layers.UpSampling2D()(x), gated])
    found = layout(keras.Model(inputs, conv(1, name="head")(x)))
    assert {found.graph.nodes[i].name for i in found.masks} == {"mask"}
    assert skips(found)["join"] == [("enc", "gated")]


def test_a_swish_by_hand_and_a_used_sigmoid_are_no_masks() -> None:
    inputs = image(4, None, name="input")
    x = conv(4, name="a")(inputs)
    x = layers.Multiply()([x, layers.Activation("sigmoid", name="swish")(x)])
    used = conv(4, activation="sigmoid", name="used")(x)
    x = layers.Add()([layers.Multiply()([x, used]), used])
    assert not layout(keras.Model(inputs, conv(1, name="head")(x))).masks


def next_change_is_down(found: Layout, index: int) -> bool:
    """Breadth first to the next other resolution: slow, and an independent reference."""
    own, pending, seen = found.scales[index], [index], {index}
    while pending:
        for reader in found.graph.consumers[pending.pop(0)]:
            scale = found.scales[reader]
            if scale and own and area(scale) != area(own):
                return area(scale) < area(own)
            if reader not in seen:
                seen.add(reader)
                pending.append(reader)
    return False


def wandering(seed: int) -> Any:
    """A network that goes up and down and joins what it made before, at random."""
    chance = random.Random(seed)
    made = {4: [image(4, 64, name="input")]}
    x, side = made[4][0], 4
    for _ in range(12):
        step = chance.choice(["down", "up", "conv", "join"])
        if step == "down" and side > 0:
            x, side = layers.MaxPooling2D()(x), side - 1
        elif step == "up" and side < 4:
            x, side = layers.UpSampling2D()(x), side + 1
        elif step == "conv":
            x = conv(4, activation="relu")(x)
        elif made.get(side):
            x = layers.Add()([x, chance.choice(made[side])])
        made.setdefault(side, []).append(x)
    return keras.Model(made[4][0], conv(1, name="head")(x), name=f"wandering{seed}")


@pytest.mark.parametrize("seed", range(12))
def test_the_way_between_two_bottlenecks_is_encoder_where_it_goes_down_next(seed: int) -> None:
    found = layout(wandering(seed))
    coarsest = min(area(scale) for scale in found.scales if scale)
    falling = _falling(found.graph, found.scales)
    for index, scale in enumerate(found.scales):
        assert falling[index] == next_change_is_down(found, index)
        if scale and area(scale) == coarsest and found.stride != (1, 1):
            assert found.regions[index] in ("bottleneck", "head")


def test_several_outputs_have_heads_of_their_own() -> None:
    inputs = image(4, None, name="input")
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(conv(4, name="a")(inputs)))
    ends = [x, conv(1, name="one")(x), layers.ReLU(name="bent")(conv(1, name="two")(x))]
    where = regions(layout(keras.Model(inputs, ends)))
    # The first output has a norm and a relu behind its last layer: features, and no head.
    heads = {name for name, region in where.items() if region == "head"}
    assert heads == {"one", "two", "bent"}
