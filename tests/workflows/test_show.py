"""The table of a network: positions, skips, and how many values are behind each statistic."""

import json
import re

import keras
import pytest
from keras import layers

import normwise as nw
from normwise.errors import NetworkError
from normwise.norms import NormPlan
from normwise.workflows.show import show, tiling
from tests import zoo


def rows(model, **options):
    return {row.name: row for row in show(model, **options).rows}


def test_the_question_as_asked():
    table = rows(nw.build("question", (512, 512, 9)), batch_size=4)
    assert table["concat1"].skip == "conv1, 16 channels: UN-NORMALIZED"
    assert table["conv2_norm"].elements == 4 * 128 * 128
    assert table["conv2_norm"].batch == 4
    assert table["conv1"].batch is None
    assert table["conv6"].region == "bottleneck"
    assert table["upconv7"].region == "head"


def test_what_a_skip_carries_when_two_norms_are_on_it():
    model = nw.build("question", (64, 64, 3), norm="batch@post-activation,instance@skip", filters=4)
    assert rows(model)["concat1"].skip.endswith("normalized by conv1_skip_norm")
    mended = nw.build("question", (64, 64, 3), normalized_skips=True, filters=4)
    assert rows(mended)["concat1"].skip.endswith("normalized by conv1_norm")


def test_a_free_size_is_said_in_letters_or_numbers():
    model = nw.build("unet", (None, None, 3), filters=2, depth=2)
    assert rows(model)["encoder2_conv1_norm"].elements_text == "8\u00b7H/2\u00b7W/2"
    assert rows(model, size=(64, 32))["encoder2_conv1_norm"].elements == 8 * 32 * 16
    assert rows(model, size=64)["encoder2_conv1_norm"].elements == 8 * 32 * 32


def network_of(shape):
    inputs = keras.Input(shape)
    x = layers.BatchNormalization(name="norm")(layers.Dense(2)(inputs))
    return keras.Model(inputs, layers.Dense(1)(layers.ReLU()(x)), name="net")


@pytest.mark.parametrize(
    ("shape", "size", "said"),
    [
        ((None, None, 3), (64,), "size is 64; 'net' has 2 axes over space: give a number for each"),
        ((None, None, 3), (8, 8, 8), "size is 8 x 8 x 8; 'net' has 2 axes over space"),
        ((None, None, 3), (64, 0), "size is 64 x 0; expected numbers above 0"),
        ((None, 3), (8, 8), "'net' has 1 axis over space: give a number for each"),
        ((5,), 32, "size is 32; 'net' has no axes over space."),
        ((None, 16, 3), (64, 32), "size is 64 x 32; 'net' takes images of free x 16 only"),
        ((64, 64, 3), 32, "size is 32 x 32; 'net' takes images of 64 x 64 only"),
    ],
)
def test_a_size_that_would_do_nothing_is_refused(shape, size, said):
    with pytest.raises(NetworkError, match=re.escape(said)):
        show(network_of(shape), size=size)


@pytest.mark.parametrize("shape", [(None, None, 3), (None, 16, 3), (64, 16, 3)])
def test_a_size_that_the_network_takes(shape):
    assert rows(network_of(shape), size=(64, 16))["norm"].elements == 8 * 64 * 16


def test_of_several_inputs_one_has_to_take_the_size():
    free, fixed = keras.Input((None, None, 2)), keras.Input((8, 8, 2))
    both = [layers.Conv2D(1, 1)(free), layers.Conv2D(1, 1)(fixed)]
    model = keras.Model([free, fixed], both)
    assert show(model, size=(64, 32)).rows
    with pytest.raises(NetworkError, match="takes images of 8 x 8 or 16 x 16 only"):
        sides = [keras.Input((side, side, 2)) for side in (8, 16)]
        show(keras.Model(sides, [layers.Conv2D(1, 1)(side) for side in sides]), size=64)


def test_the_tiling_for_json():
    model = nw.build("unet", (None, None, 3), filters=2, depth=1, norm="instance@pre-activation")
    told, found = tiling(model), nw.tiling_of(model)
    assert told["stride"] == [2, 2] and not told["exact"]
    assert told["halo"] == [list(sides) for sides in found.halo]
    first = found.reasons[0]
    assert told["reasons"][0] == {"layer": first.layer, "reason": first.reason}
    assert [(row["tile"], row["wasted"]) for row in told["table"]] == list(found.table) != []
    assert json.loads(json.dumps(told)) == told


def test_channels_first_counts_pixels_and_channels():
    first = {"data_format": "channels_first"}
    inputs = keras.Input((4, 64, 64))
    x = layers.Conv2D(5, 3, padding="same", name="c", **first)(inputs)
    a = layers.ReLU(name="a")(layers.BatchNormalization(axis=1, name="n")(x))
    x = layers.MaxPooling2D(2, **first)(a)
    x = layers.Conv2D(5, 3, padding="same", activation="relu", **first)(x)
    x = layers.UpSampling2D(2, **first)(x)
    x = layers.Concatenate(axis=1, name="m")([a, x])
    table = rows(keras.Model(inputs, layers.Conv2D(1, 1, **first)(x)))
    assert table["n"].elements == 8 * 64 * 64
    assert table["m"].skip.startswith("a, 5 channels")


def test_space_to_depth_by_reshapes_keeps_the_resolution():
    inputs = keras.Input((32, 32, 2))
    x = layers.Reshape((16, 2, 16, 2, 2))(inputs)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    x = layers.Reshape((16, 16, 8))(x)
    x = layers.BatchNormalization(name="n")(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.UpSampling2D(2)(layers.ReLU()(x))
    x = layers.Concatenate(name="m")([x, inputs])
    model = keras.Model(inputs, layers.Conv2D(1, 1)(x))
    found = show(model)
    table = {row.name: row for row in found.rows}
    assert found.stride == (2, 2)
    assert table["n"].elements == 8 * 16 * 16
    assert table["n"].region == "bottleneck"
    assert table["m"].region == "decoder"
    assert str(found.plan) == str(NormPlan.parse("batch@pre-activation"))


def test_every_model_of_the_zoo_has_a_table():
    for make in zoo.ZOO.values():
        assert show(make()).to_dict()["layers"]


def test_skips_between_the_nodes_of_a_nested_network_are_told():
    options = {"filters": 2, "depth": 2}
    post = rows(nw.build("nested", (8, 8, 3), norm="batch@decoder:post-activation", **options))
    assert post["decoder1_2_concat"].skip == (
        "encoder1_conv2, 2 channels: UN-NORMALIZED; "
        "decoder1_1_conv2, 2 channels: normalized by decoder1_1_conv2_norm"
    )
    usual = rows(nw.build("nested", (8, 8, 8, 3), **options))
    assert usual["decoder1_2_concat"].skip.count("normalized pre-activation") == 2


def test_what_a_gated_skip_carries():
    model = nw.build("attention", (8, 8, 3), filters=4, depth=1, norm="batch@skip")
    told = "encoder1_conv2, 4 channels: normalized by encoder1_skip_norm"
    assert [rows(model)[n].skip for n in ("decoder1_concat", "decoder1_gate_add")] == [told] * 2
    raw = nw.build("attention", (8, 8, 3), filters=4, depth=1, norm="none")
    assert rows(raw)["decoder1_concat"].skip.endswith("UN-NORMALIZED")
