"""Where a rule draws its line: on both sides of it, beyond the examples in its file."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from normwise.graph.graph import TensorSpec
from normwise.graph.shapes import with_shapes
from normwise.norms.mends import Reread
from normwise.rules import BY_NAME, Context, Severity, Training, check
from normwise.rules.sketches import Sketch
from normwise.rules.structure.frozen_batch_norm import _frozen_but_for_norms
from normwise.rules.structure.groups_mismatch import fitting


def findings(name, draw, **known):
    """What one rule finds in a network; `draw` gets the sketch and its input of 32x32x3."""
    net = Sketch()
    ends = draw(net, net.input(32, 32, 3, name="in"))
    return list(BY_NAME[name].check(net.context(*(ends if isinstance(ends, tuple) else (ends,)),
                                                **known)))  # fmt: skip


def severities(name, draw, **known):
    return [str(finding.severity) for finding in findings(name, draw, **known)]


def head(net, x):
    return net.conv(1, x, size=1)


def chain(*layers, end=True):
    """Layers one behind the other: a class name, or a pair of it and its settings."""

    def draw(net, x):
        for layer in layers:
            name, config = (layer, {}) if isinstance(layer, str) else layer
            convolves = name == "Conv2D"
            given = {"filters": 8, "kernel_size": (3, 3), "padding": "same"} if convolves else {}
            x = net.add(name, x, **{**given, **config})
        return head(net, x) if end else x

    return draw


BN, CONV, LN = "BatchNormalization", "Conv2D", "LayerNormalization"
INSTANCE = ("GroupNormalization", {"groups": -1})
RELU = ("Activation", {"activation": "relu"})
BENT = (CONV, {"activation": "relu"})
FREE = (CONV, {"use_bias": False})
PLAIN = {"center": False, "scale": False}
L2 = {"class_name": "L2", "config": {"l2": 1e-4}}


def frozen(layer):
    name, config = (layer, {}) if isinstance(layer, str) else layer
    return name, {**config, "trainable": False}


LINES: list[tuple[str, Callable[..., object], list[str]]] = [
    # wrong-axis: only where a layer over space says what the channels are
    (
        "wrong-axis",
        chain(("Reshape", {"target_shape": (64, 48)}), (BN, {"axis": 1}), end=False),
        [],
    ),
    ("wrong-axis", chain(CONV, (LN, {"axis": 1})), []),
    ("wrong-axis", chain(CONV, (BN, {"axis": (3,)})), []),
    ("wrong-axis", chain(CONV, (BN, {"axis": (1,)})), ["error"]),
    # redundant-bias
    ("redundant-bias", chain(FREE, BN), []),
    ("redundant-bias", chain(CONV, RELU), []),
    ("redundant-bias", chain(frozen(CONV), frozen(BN)), ["info"]),
    ("redundant-bias", chain(CONV, frozen(BN)), []),
    ("redundant-bias", chain(CONV, (BN, {"axis": 1})), []),
    ("redundant-bias", chain(CONV, ("Dropout", {"rate": 0.2}), BN), []),
    ("redundant-bias", chain(CONV, "Normalization"), []),
    ("redundant-bias", chain((CONV, {"bias_regularizer": L2}), BN), ["info"]),
    # missing-bias
    ("missing-bias", chain((CONV, {"use_bias": False, "activation": "relu"}), RELU), []),
    ("missing-bias", chain((BN, {"center": False}), FREE, RELU, BN), ["warning"]),
    ("missing-bias", chain(BN, "MaxPooling2D", FREE, RELU, BN), ["info"]),
    ("missing-bias", chain(FREE, "Dropout", BN), []),
    # mixed-order
    ("mixed-order", chain(BENT, BN, CONV, BN, RELU), ["info"]),
    ("mixed-order", chain(*[BENT, BN] * 9, CONV, BN, RELU), []),
    ("mixed-order", chain(*[BENT, BN] * 8, *[CONV, BN, RELU] * 2), ["info"]),
    ("mixed-order", chain(BENT, LN, CONV, BN, RELU), []),
    ("mixed-order", chain(BENT, BN, RELU, CONV, BN, RELU), []),
    # double-activation
    ("double-activation", chain(BENT, BN, "Dropout", RELU), ["warning"]),
    ("double-activation", chain((CONV, {"activation": "sigmoid"}), BN, RELU), []),
    ("double-activation", chain(BENT, BN, ("Activation", {"activation": "softmax"})), []),
    # stacked-norm
    ("stacked-norm", chain(BN, INSTANCE), ["warning"]),
    ("stacked-norm", chain(LN, LN), ["warning"]),
    ("stacked-norm", chain(LN, BN), ["info"]),
    ("stacked-norm", chain(BN, ("Dropout", {"rate": 0.2}), BN), []),
    ("stacked-norm", chain(LN, RELU, BN), ["info"]),
    ("stacked-norm", chain(BENT, RELU, BN), []),
    ("stacked-norm", chain(BN, RELU, BN, RELU), ["info"]),
    ("stacked-norm", chain(BN, RELU, BN, RELU, "MaxPooling2D"), ["warning"]),
    ("stacked-norm", chain(BN, RELU, BN, RELU, "Dropout", end=False), ["warning"]),
    ("stacked-norm", chain(BN, RELU, BN, RELU, ("Mine", {}), end=False), ["info"]),
    # affine-chain
    ("affine-chain", chain(CONV, BN, "AveragePooling2D", CONV), ["warning"]),
    ("affine-chain", chain(CONV, "MaxPooling2D", CONV), []),
    ("affine-chain", chain(CONV, ("Rescaling", {"scale": 2.0}), CONV), ["warning"]),
    ("affine-chain", chain(CONV, ("Multiply", {}), CONV), ["warning"]),
    ("affine-chain", chain(CONV, ("Mine", {}), CONV), []),
    ("affine-chain", chain(CONV, LN, CONV), []),
    ("affine-chain", chain(BENT, CONV), []),
    ("affine-chain", chain(CONV, CONV, BENT), ["warning"]),
    (
        "affine-chain",
        chain((CONV, {"filters": 32}), ("DepthToSpace", {"block_size": 2}), CONV, BENT, BENT),
        ["warning"],
    ),
    # norm-on-output
    (
        "norm-on-output",
        chain(CONV, LN, ("Activation", {"activation": "sigmoid"}), end=False),
        ["error"],
    ),
    ("norm-on-output", chain((CONV, {"filters": 31}), LN, end=False), ["error"]),
    ("norm-on-output", chain((CONV, {"filters": 32}), LN, end=False), []),
    ("norm-on-output", chain((CONV, {"filters": 32}), BN, end=False), ["warning"]),
    (
        "norm-on-output",
        chain((CONV, {"filters": 32}), BN, ("Activation", {"activation": "tanh"}), end=False),
        ["error"],
    ),
    (
        "norm-on-output",
        chain(CONV, BN, RELU, ("Activation", {"activation": "sigmoid"}), end=False),
        [],
    ),
    ("norm-on-output", chain(CONV, BN, ("Mine", {}), end=False), []),
    ("norm-on-output", chain(CONV, "UnitNormalization", end=False), []),
    # norm-on-input
    ("norm-on-input", chain(INSTANCE), []),
    ("norm-on-input", chain(("GaussianNoise", {"stddev": 0.1}), BN), ["info"]),
    ("norm-on-input", chain("ZeroPadding2D", BN), []),
    # padding-before-norm
    ("padding-before-norm", chain(("Cropping2D", {"cropping": 1}), BN), []),
    ("padding-before-norm", chain("ZeroPadding2D", LN), []),
    ("padding-before-norm", chain("ZeroPadding2D", "Dropout", INSTANCE), ["info"]),
    (
        "padding-before-norm",
        chain(("Pad", {"pad_width": ((0, 0),) * 4, "mode": "reflect"}), BN),
        [],
    ),
    ("padding-before-norm", chain(("Pad", {"pad_width": ((0, 0), (1, 0)) * 2}), BN), ["info"]),
    ("padding-before-norm", chain(("Pad", {"pad_width": ((0, 0),) * 4}), BN), []),
    ("padding-before-norm", chain(("ZeroPadding2D", {"padding": ((0, 0), (0, 0))}), BN), []),
    (
        "padding-before-norm",
        chain(CONV, ("Pad", {"pad_width": (*((0, 0),) * 3, (0, 2))}), BN, CONV),
        [],
    ),
    # norm-before-pool
    ("norm-before-pool", chain(BN, "UpSampling2D"), []),
    ("norm-before-pool", chain(BN, ("Mine", {})), []),
    ("norm-before-pool", chain(INSTANCE, "MaxPooling2D"), []),
    # selu-with-norm
    ("selu-with-norm", chain(BN, "AlphaDropout"), ["warning"]),
    ("selu-with-norm", chain(BN, (CONV, {"activation": "selu"})), []),
    ("selu-with-norm", chain((CONV, {"activation": "selu"}), "Dropout", LN), ["warning"]),
    ("selu-with-norm", chain((CONV, {"activation": "selu"}), "Normalization"), []),
    # layer-norm-axis
    ("layer-norm-axis", chain(CONV, (LN, {"axis": (1, 2)})), ["warning"]),
    ("layer-norm-axis", chain(CONV, (LN, {"axis": (2, 3)})), ["warning"]),
    ("layer-norm-axis", chain(CONV, ("RMSNormalization", {"axis": (1, 2, 3)})), ["warning"]),
    ("layer-norm-axis", chain(CONV, (LN, {"axis": (1, 2, 3), "scale": False})), ["warning"]),
    ("layer-norm-axis", chain(CONV, (LN, {"axis": (1, 2), "center": False})), ["warning"]),
    ("layer-norm-axis", chain(CONV, (LN, {"axis": 1, **PLAIN})), ["warning"]),
    ("layer-norm-axis", chain(CONV, (LN, {"axis": (1, 2), **PLAIN})), []),
    ("layer-norm-axis", chain(CONV, (BN, {"axis": 1})), []),
    (
        "layer-norm-axis",
        chain(
            "GlobalAveragePooling2D",
            ("Dense", {"units": 99}),
            LN,
            ("Dense", {"units": 1}),
            end=False,
        ),
        [],
    ),
    (
        "layer-norm-axis",
        chain((CONV, {"strides": (16, 16)}), (LN, {"axis": (1, 2, 3)})),  # 2x2 positions
        [],
    ),
    # dropout-before-norm
    ("dropout-before-norm", chain(("Dropout", {"rate": 0.1}), BN), ["warning"]),
    ("dropout-before-norm", chain(("Dropout", {"rate": 0.09}), BN), []),
    ("dropout-before-norm", chain(("Dropout", {"noise_shape": (None, 1, 1, 1)}), BN), []),
    ("dropout-before-norm", chain(("Dropout", {"noise_shape": (None, 1, 1, 3)}), BN), ["warning"]),
    ("dropout-before-norm", chain(("Dropout", {"rate": True}), BN), []),
    ("dropout-before-norm", chain(("Dropout", {"rate": "much"}), BN), []),
    ("dropout-before-norm", chain(("GaussianDropout", {"rate": 0.5}), BN), ["warning"]),
    ("dropout-before-norm", chain("AlphaDropout", BN), []),
    ("dropout-before-norm", chain("Dropout", INSTANCE), []),
    ("dropout-before-norm", chain("Dropout", RELU, BN), ["info"]),
    ("dropout-before-norm", chain("Dropout", ("Mine", {}), BN), []),
    # single-element-statistics
    ("single-element-statistics", chain(("GroupNormalization", {"groups": 3})), []),
    ("single-element-statistics", chain("GlobalAveragePooling2D", INSTANCE, end=False), ["error"]),
    (
        "single-element-statistics",
        chain("GlobalAveragePooling2D", ("GroupNormalization", {"groups": 3}), end=False),
        ["error"],
    ),
    (
        "single-element-statistics",
        chain("GlobalAveragePooling2D", ("GroupNormalization", {"groups": 1}), end=False),
        [],
    ),
    (
        "single-element-statistics",
        chain("GlobalAveragePooling2D", ("GroupNormalization", {"groups": 0}), end=False),
        [],
    ),
    # groups-mismatch
    ("groups-mismatch", chain(CONV, ("GroupNormalization", {"groups": 0})), ["error"]),
    ("groups-mismatch", chain(CONV, ("GroupNormalization", {"groups": 16})), ["error"]),
    ("groups-mismatch", chain(CONV, ("GroupNormalization", {"groups": 8})), []),
    ("groups-mismatch", chain(CONV, ("GroupNormalization", {"groups": "all"})), []),
    ("groups-mismatch", chain(CONV, ("GroupNormalization", {"groups": 5, "axis": 9})), []),
]


@pytest.mark.parametrize(
    ("name", "draw", "expected"), LINES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_lines(name, draw, expected):
    assert severities(name, draw) == expected


@pytest.mark.parametrize(("size", "batch", "found"), [(1, 1, 1), (1, 2, 0), (2, 1, 0)])
def test_a_batch_of_one_pixel(size, batch, found):
    net = Sketch()
    x = net.norm(net.conv(8, net.input(size, size, 3)))
    context = net.context(head(net, net.relu(x)), training=Training(batch))
    assert len(list(BY_NAME["single-element-statistics"].check(context))) == found


def test_each_replica_takes_its_own_statistics():
    net = Sketch()
    x = net.relu(net.norm(net.dense(8, net.input(4)), name="norm"))
    context = net.context(net.dense(1, x), training=Training(4, replicas=4))
    assert len(list(BY_NAME["single-element-statistics"].check(context))) == 1


def test_groups_that_fit():
    # Up to 32 groups, of four channels and more where that can be.
    assert [fitting(c) for c in (1, 7, 24, 48, 64, 256)] == [1, 1, 6, 12, 16, 32]


@pytest.mark.parametrize(
    ("layers", "keeps"),
    [((CONV, BN, BN), True), ((CONV, BN, INSTANCE), False), ((CONV, LN, LN), False)],
)
def test_of_two_batch_norms_one_can_go(layers, keeps):
    (finding,) = findings("stacked-norm", chain(*layers))
    assert finding.keeps_outputs is keeps


def test_of_two_batch_norms_none_can_go_where_others_read_the_first():
    def draw(net, x):
        one = net.norm(net.conv(8, x))
        return head(net, net.add("Concatenate", one, net.norm(one)))

    (finding,) = findings("stacked-norm", draw)
    assert finding.severity is Severity.WARNING and not finding.keeps_outputs


def test_a_norm_behind_a_norm_begins_a_block_only_beside_a_shortcut():
    def beside(*shortcut, merge="Add"):
        def draw(net, x):
            one = net.norm(net.conv(8, x), name="one")
            y = net.conv(8, net.relu(net.norm(one, name="two")))
            way = chain(*shortcut, end=False)(net, one)
            return head(net, net.add(merge, y, way))

        return severities("stacked-norm", draw)

    assert beside() == beside(("Dropout", {"rate": 0.2})) == beside(CONV) == ["info"]
    assert beside(merge="Concatenate") == beside(merge="Multiply") == ["warning"]
    assert beside(RELU) == beside(BENT) == beside(("Mine", {})) == ["warning"]


@pytest.mark.parametrize(
    ("layers", "keeps"),
    [((CONV, BN), True), ((BENT, BN), False), ((CONV, INSTANCE), False), ((CONV, RELU, BN), False)],
)
def test_a_batch_norm_at_the_output_can_be_folded(layers, keeps):
    (finding,) = findings("norm-on-output", chain(*layers, end=False))
    assert finding.keeps_outputs is keeps


FEW, MANY = (CONV, {"filters": 8}), (CONV, {"filters": 32})
SIGMOID = ("Activation", {"activation": "sigmoid"})


@pytest.mark.parametrize(
    ("layers", "loss", "expected"),
    [
        ((FEW, BN), "cosine_similarity", ["warning"]),
        ((FEW, BN, SIGMOID), "TripletSemiHardLoss", ["warning"]),
        ((FEW, LN), "CosineSimilarity", []),
        ((FEW, BN), "my_loss", ["error"]),
        ((MANY, BN), "my_loss", ["warning"]),
        ((MANY, BN), "reconstruction_loss", ["warning"]),
        ((MANY, BN), "triplet_dice", ["warning"]),
        ((MANY, BN), "mse", ["warning"]),
        ((MANY, BN), "BinaryCrossentropy", ["error"]),
        ((MANY, INSTANCE), "0.5*focal+dice", ["error"]),
        ((MANY, LN), "mae", []),
        ((MANY, LN), "categorical_crossentropy", ["error"]),
        ((FEW, LN), "mae", ["error"]),
        ((FEW, BN, RELU), "mse", []),
    ],
)
def test_the_loss_tells_an_embedding_from_a_prediction(layers, loss, expected):
    training = Training(loss=loss)
    draw = chain(*layers, end=False)
    assert severities("norm-on-output", draw, training=training) == expected


def test_what_the_loss_says_of_one_of_several_outputs_is_not_known():
    def draw(net, x):
        return net.norm(net.conv(8, x)), net.norm(net.conv(32, x))

    for loss in (None, "dice", "cosine_similarity"):
        found = severities("norm-on-output", draw, training=Training(loss=loss))
        assert found == ["error", "warning"]


def test_a_message_says_that_it_is_the_loss_that_tells():
    def said(layer, loss):
        draw = chain(layer, (BN, {"name": "norm"}), end=False)
        (finding,) = findings("norm-on-output", draw, training=Training(loss=loss))
        return finding.message, bool(finding.mends)

    end = ": its mean and spread are fixed."
    assert said(MANY, "dice") == (f"norm makes the prediction, as the loss says{end}", True)
    assert said(FEW, "mse") == said(FEW, None) == (f"norm makes the prediction{end}", True)
    embedding = f"norm makes the embedding that the loss compares{end}"
    assert said(FEW, "triplet") == said(MANY, "triplet") == (embedding, False)


@pytest.mark.parametrize(("pool", "keeps"), [("AveragePooling2D", True), ("MaxPooling2D", False)])
def test_a_norm_changes_places_with_an_average(pool, keeps):
    (finding,) = findings("norm-before-pool", chain(BENT, BN, pool))
    assert finding.keeps_outputs is keeps and "1/4 of the time" in finding.message


def test_a_gate_behind_a_norm_is_no_second_activation():
    def draw(net, x):
        x = net.norm(net.conv(8, x, activation="relu"))
        return head(net, net.add("Multiply", x, net.add("Activation", x, activation="sigmoid")))

    assert severities("double-activation", draw) == []


def test_raw_tensors_along_skips():
    def tapped(on_skip, merge="Concatenate", behind=()):
        def draw(net, x):
            tap = net.conv(8, x, name="tap")
            y = net.relu(net.norm(net.conv(8, net.relu(net.norm(tap)))))
            skip = net.add(on_skip[0], tap, **on_skip[1])
            return chain(*behind)(net, net.add(merge, y, skip))

        return severities("unnormalized-skip", draw)

    crop = ("Cropping2D", {"cropping": ((1, 1), (1, 1))})
    assert tapped(crop) == ["warning"]
    assert tapped(("Mine", {})) == []
    assert tapped((CONV, {"filters": 8, "kernel_size": (1, 1)})) == []
    assert tapped(crop, merge="Add") == []
    assert tapped(crop, behind=[RELU, BN]) == []
    assert tapped(crop, behind=[RELU, CONV]) == ["warning"]
    assert tapped(crop, behind=[("Mine", {})]) == []


def grown(between):
    """A raw tensor, joined with what layers make of its norm."""

    def draw(net, x):
        tap = net.conv(8, x, name="tap")
        y = chain(*between, end=False)(net, net.norm(tap))
        joined = net.conv(8, net.add("Concatenate", tap, y))
        return head(net, joined)

    return severities("unnormalized-skip", draw)


def test_dense_blocks_join_raw_results_at_one_resolution():
    assert grown([RELU, CONV]) == ["info"]
    assert grown([BENT]) == ["info"]
    assert grown([RELU, CONV, BN, RELU, CONV]) == ["info"]
    assert grown([RELU, CONV, BN]) == ["warning"]
    assert grown([RELU, CONV, BN, RELU]) == ["warning"]
    assert grown([RELU]) == ["warning"]
    assert grown([(CONV, {"strides": (2, 2)}), "UpSampling2D", CONV]) == ["warning"]


def test_a_dense_block_begins_at_the_nearest_norm_that_others_read_past():
    def draw(net, x):
        one = net.conv(8, x, name="one")
        two = net.conv(8, net.relu(net.norm(one)), name="two")
        three = net.conv(8, net.relu(net.norm(two)))
        return head(net, net.add("Concatenate", two, three, name="join"))

    (finding,) = findings("unnormalized-skip", draw)
    assert finding.severity is Severity.INFO and finding.layers == ("two", "join")
    assert finding.mends == () and "on purpose" in finding.by_hand


def test_what_a_concatenation_gets_on_purpose_is_told_apart():
    def draw(net, x):
        tap = net.conv(8, x, name="tap")
        stem = net.conv(8, net.relu(net.norm(tap)), name="stem")
        trunk = net.add("Add", stem, net.conv(8, net.relu(net.norm(stem))), name="trunk")
        x = net.relu(net.norm(net.conv(8, net.relu(net.norm(trunk)))))
        return head(net, net.add("Concatenate", tap, trunk, x, name="join"))

    found = {str(f.severity): f.layers for f in findings("unnormalized-skip", draw)}
    assert found == {"warning": ("tap", "join"), "info": ("trunk", "join")}


def test_inputs_are_encoded_before_the_network_begins():
    def draw(kind, **config):
        def drawn(net, x):
            x = net.add(kind, x, **config)
            y = net.relu(net.norm(net.conv(8, net.norm(x))))
            return head(net, net.add("Concatenate", x, y))

        return severities("unnormalized-skip", drawn)

    assert draw("Rescaling", scale=0.1) == draw("Normalization") == draw("CategoryEncoding") == []
    assert draw("Mine") == draw("Conv2D", filters=3, kernel_size=(1, 1)) == ["warning"]


@pytest.mark.parametrize("mask_first", [True, False])
def test_a_gated_skip_is_mended_in_front_of_its_gate(mask_first):
    def draw(net, x):
        tap = net.conv(8, x, activation="relu", name="tap")
        x = net.relu(net.conv(16, net.norm(tap, name="norm"), strides=(2, 2)))
        x = net.add("UpSampling2D", x)
        mask = net.add("Activation", net.conv(1, x, size=1), activation="sigmoid")
        both = (mask, tap) if mask_first else (tap, mask)
        gated = net.add("MaxPooling2D", net.add("Multiply", *both, name="gate"))
        return head(net, net.add("Concatenate", net.add("MaxPooling2D", x), gated))

    (finding,) = findings("unnormalized-skip", draw)
    assert finding.mends == (Reread("gate", "tap", "norm"),)


def test_the_raw_input_along_a_skip_may_be_scaled_already():
    def draw(net, x):
        y = net.conv(8, net.relu(net.norm(net.add("Identity", x))))
        return head(net, net.add("Concatenate", y, net.add("Identity", x)))

    assert severities("unnormalized-skip", draw) == []


def test_gates_and_heads_are_not_left_out():
    def gated(net, x):
        x = net.relu(net.norm(net.conv(8, x)))
        x = net.conv(8, x, activation="relu", name="bare")
        gate = net.conv(8, net.conv(8, x, activation="relu"), size=1)
        gate = net.add("Activation", gate, activation="sigmoid")
        return head(net, net.add("Multiply", net.relu(net.norm(net.conv(8, x))), gate))

    (finding,) = findings("partial-coverage", gated)
    assert finding.layers == ("bare",)
    assert "1 of 3 hidden convolutions reaches" in finding.message

    def dense(net, x):
        x = net.add("Flatten", net.relu(net.norm(net.conv(8, x))))
        return net.dense(1, net.dense(8, net.dense(8, x, activation="relu"), activation="relu"))

    assert findings("partial-coverage", dense) == []


def test_a_sum_that_is_the_end_is_no_trunk():
    def draw(behind):
        def drawn(net, x):
            x = net.conv(8, x)
            x = net.norm(net.add(behind, x, net.conv(8, net.relu(x))))
            return head(net, net.add("Add", x, net.conv(8, x)))

        return drawn

    assert severities("norm-on-residual-trunk", draw("Add")) == ["info"]
    assert severities("norm-on-residual-trunk", draw("Concatenate")) == []
    assert severities("norm-on-residual-trunk", chain(CONV, BN, RELU)) == []


def shared(net, *read):
    first = net.norm(read[0], name="norm")
    return (first, *(net.again("norm", x) for x in read[1:]))


def test_streams_of_a_shared_norm():
    def same(net, x):
        y = net.conv(8, x)
        return net.add("Add", *shared(net, y, y))

    def inputs(size):
        def draw(net, x):
            return net.add("Add", *shared(net, x, net.input(*size)))

        return draw

    assert severities("shared-batch-norm", same) == []
    assert severities("shared-batch-norm", inputs((32, 32, 3))) == ["info"]
    assert severities("shared-batch-norm", inputs((16, 16, 3))) == ["warning"]


def test_streams_are_alike_as_far_as_what_makes_them_is():
    def streams(*ways):
        """A norm on as many inputs, each behind layers of its own."""

        def draw(net, x):
            inputs = [x, *(net.input(32, 32, 3) for _ in ways[1:])]
            made = [chain(*way, end=False)(net, one) for way, one in zip(ways, inputs, strict=True)]
            return net.add("Add", *shared(net, *made))

        return severities("shared-batch-norm", draw)

    scaled, flipped = ("Rescaling", {"scale": 0.1}), ("RandomFlip", {"seed": 1})
    assert streams([scaled, RELU], [scaled, RELU], [scaled, RELU]) == ["info"]
    assert streams([flipped], [("RandomFlip", {"seed": 2})]) == ["info"]
    assert (
        streams([scaled], []) == streams([scaled], [("Rescaling", {"scale": 0.2})]) == ["warning"]
    )
    assert streams([scaled, RELU], [RELU, scaled]) == ["warning"]
    assert streams([CONV], [CONV]) == streams(["Mine"], ["Mine"]) == ["warning"]


def test_parts_of_a_tensor_are_alike_where_their_shapes_are():
    def parts(*sizes):
        def draw(net, x):
            read = []
            for key, size in enumerate(sizes):
                read.append(net.add("GetItem", x, key=key))
                spec = (TensorSpec((None, size, 32, 3)),)
                net._calls[read[-1].node] = net._calls[read[-1].node].changed(outputs=spec)
            return net.add("Concatenate", *shared(net, *read), axis=1)

        return severities("shared-batch-norm", draw)

    assert parts(8, 8) == ["info"] and parts(8, 16) == ["warning"]


def test_constants_tell_streams_apart():
    def scaled(*factors):
        def draw(net, x):
            made = []
            for factor in factors:
                read = net.add("Multiply", net.input(32, 32, 3))
                node = net._calls[read.node]
                net._calls[read.node] = replace(
                    node, module="keras.src.ops.numpy", args=(*node.args, factor)
                )
                made.append(read)
            return net.add("Add", x, *shared(net, *made))

        return severities("shared-batch-norm", draw)

    assert scaled(2.0, 2.0) == ["info"] and scaled(2.0, 3.0) == ["warning"]


def test_a_tower_on_a_tensor_and_on_what_it_made_of_it():
    def draw(net, x):
        inner = Sketch("tower")
        y = inner.norm(inner.conv(3, inner.input(None, None, 3)), name="norm")
        tower = inner.graph(y)
        x = net.nest(tower, x, name="tower")
        return head(net, net.relu(net.again("tower", x)))

    assert severities("shared-batch-norm", draw) == ["warning"]


def masked(*layers, call=None):
    def draw(net, x):
        del x
        y = net.add("Embedding", net.input(20, dtype="int32"), mask_zero=True)
        for name, config in layers:
            y = net.add(name, y, **config)
        return net.dense(1, net.norm(y, name="norm", call=call or {}))

    return severities("mask-dropped", draw)


POOL1D = ("MaxPooling1D", {"pool_size": (2,)})


def test_what_becomes_of_a_mask():
    sequences = {"layer": {"class_name": "LSTM", "config": {"return_sequences": True}}}
    state = {"layer": {"class_name": "LSTM", "config": {"return_sequences": False}}}
    assert masked(POOL1D) == ["warning"]
    assert masked(POOL1D, call={"mask": 1}) == []
    assert masked(("Bidirectional", sequences), POOL1D) == ["warning"]
    assert masked(("Bidirectional", state), POOL1D) == []
    assert masked(("TimeDistributed", state), POOL1D) == ["warning"]
    assert masked(("RMSNormalization", {})) == ["warning"]
    assert masked(POOL1D, ("GlobalAveragePooling1D", {})) == []
    assert masked(("Mine", {}), POOL1D) == []
    assert masked(("ReLU", {})) == []


def test_a_frozen_norm_counts_no_padding():
    def draw(net, x):
        del x
        y = net.add("Embedding", net.input(20, dtype="int32"), mask_zero=True)
        return net.dense(1, net.norm(net.add(*POOL1D[:1], y, **POOL1D[1]), trainable=False))

    assert severities("mask-dropped", draw) == []


@pytest.mark.parametrize(
    ("version", "count"), [(None, 1), ((3, 15, 1), 1), ((2, 15), 1), ((3, 16), 0), ((4, 0), 0)]
)
def test_the_keras_that_honours_an_inner_training_false(version, count):
    def draw(net, x):
        return head(net, net.relu(net.norm(net.conv(8, x), name="norm", call={"training": False})))

    found = findings("frozen-batch-norm", draw, keras_version=version)
    assert len(found) == count
    assert all(f.message.startswith("norm is called with training=False, but it is") for f in found)
    # In Keras 2 the inner call wins: there it is true only of what Keras 3 makes of the file.
    legacy = version == (2, 15)
    assert all((f.severity == "warning") is legacy for f in found)
    assert all(("loaded into Keras 3" in f.message) is legacy for f in found)


def test_other_layers_may_be_called_in_inference_mode():
    def draw(net, x):
        return head(net, net.norm(net.add("Dropout", net.conv(8, x), call={"training": False})))

    assert findings("frozen-batch-norm", draw) == []


def backbone(*layers):
    def draw(net, x):
        return head(net, net.relu(chain(*layers, end=False)(net, x)))

    return severities("frozen-batch-norm", draw)


def test_norms_behind_frozen_layers():
    assert backbone(*[frozen(CONV), BN, RELU] * 3) == ["error"]
    assert backbone(*[frozen(CONV), BN, RELU] * 2) == []
    assert backbone(*[CONV, BN, RELU] * 3) == []
    assert backbone(*[frozen(CONV), frozen(BN), RELU] * 3) == []


def test_a_sum_of_frozen_and_learned_layers_is_not_frozen():
    def draw(net, x):
        for _ in range(3):
            x = net.add("Add", net.conv(8, x, trainable=False), net.conv(8, x))
            x = net.relu(net.norm(x))
        return head(net, x)

    assert severities("frozen-batch-norm", draw) == []


def test_a_nested_model_inside_one_that_is_called_off():
    inner, outer = Sketch("inner"), Sketch("outer")
    deep = inner.graph(inner.norm(inner.conv(8, inner.input(None, None, 3)), name="n"))
    wide = outer.graph(outer.nest(deep, outer.input(None, None, 3), name="inner"))
    net = Sketch()
    x = net.nest(wide, net.input(32, 32, 3), name="outer", call={"training": False})
    (finding,) = BY_NAME["frozen-batch-norm"].check(Context(net.graph(head(net, net.relu(x)))))
    assert finding.layers == ("outer/inner/n",)
    assert "outer is called with training=False, but 1 batch normalization in it" in finding.message


@pytest.mark.parametrize("name", ["missing-bias", "selu-with-norm"])
def test_many_layers_are_not_all_named(name):
    layers = [(CONV, {"use_bias": False, "activation": "selu"}), BN] * 40
    messages = [finding.message for finding in findings(name, chain(*layers))]
    assert any(" more" in message for message in messages)
    assert max(map(len, messages)) < 400


def test_a_cast_to_integers_is_not_affine():
    def cast(dtype):
        return chain(CONV, ("Cast", {"dtype": dtype}), CONV, ("Cast", {"dtype": dtype}), CONV)

    assert severities("affine-chain", cast("int32")) == []
    assert severities("affine-chain", cast("float32")) == ["warning"]


def test_a_row_of_layers_is_meant_where_what_it_makes_inside_bends_elsewhere():
    def tapped(at, *way, merge="Concatenate"):
        """Three layers in a row; something reads one of them too."""

        def draw(net, x):
            made = []
            for name in ("one", "two", "three"):
                x = net.conv(8, x, name=name)
                made.append(x)
            other = chain(*way, end=False)(net, made[at])
            return net.relu(net.add(merge, x, other))

        return severities("affine-chain", draw)

    assert tapped(0, RELU) == tapped(1, BN, RELU) == tapped(0, ("Mine", {})) == ["info"]
    assert tapped(0, BN) == ["info"]
    assert tapped(0, BENT) == tapped(2, RELU) == ["warning"]
    # Of a residual block behind it the sum and the branch read the last one.
    assert tapped(2, RELU, CONV, merge="Add") == tapped(2, BENT, merge="Add") == ["info"]


def test_a_residual_branch_without_activations_is_warned_of():
    def draw(net, x):
        x = net.relu(net.conv(8, x))
        return head(net, net.relu(net.add("Add", x, net.conv(8, net.conv(8, net.conv(8, x))))))

    assert severities("affine-chain", draw) == ["warning"]


def test_only_the_numerator_is_affine():
    def divided(**call):
        def draw(net, x):
            for _ in range(2):
                x = net.conv(8, x)
                x = net.add("TrueDivide", call={k: x if v is None else v for k, v in call.items()})
            return head(net, x)

        return severities("affine-chain", draw)

    assert divided(x1=1.0, x2=None) == []
    assert divided(x1=None, x2=2.0) == ["warning"]


def test_norms_that_hold_no_statistics_yet_are_not_frozen_by_a_safe_fix():
    def found(variance):
        (finding,) = BY_NAME["frozen-batch-norm"].check(_frozen_but_for_norms(variance))
        return finding

    assert found(1.0).mends == ()
    assert "0 and 1" in found(1.0).by_hand
    assert len(found(0.8).mends) == len(found(None).mends) == 3


def test_a_norm_that_reads_nothing_is_left_alone():
    net = Sketch()
    x = net.conv(8, net.input(32, 32, 3))
    lost = net.add("BatchNormalization", name="lost")
    pooled = net.add("MaxPooling2D", lost)
    graph = net.graph(net.conv(1, x), net.conv(1, pooled))
    nodes = list(graph.nodes)  # a damaged file still tells its shape
    nodes[lost.node] = replace(nodes[lost.node], outputs=(TensorSpec((None, 8, 8, 4)),))
    context = Context(with_shapes(replace(graph, nodes=tuple(nodes))))
    assert context.producers[lost.node] == () and context.layout.scales[lost.node]
    assert ("lost", "maxpooling2d") in {f.layers for f in check(context).findings}
