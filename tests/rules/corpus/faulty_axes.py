"""Normalization over another axis than that of the channels, as threads report it."""

from normwise.graph.graph import Tensor
from normwise.rules import Context
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import FIRST, depthwise, pool, softmax, up_conv
from tests.rules.corpus.program import Program


def seldnet() -> Context:
    net = Sketch()
    x = net.input(10, 300, 64)
    for level, (time, band) in enumerate([(5, 4), (1, 4), (1, 2)], 1):
        x = net.norm(net.conv(8, x, **FIRST), name=f"norm{level}")
        x = pool(net, net.relu(x), time, band, **FIRST)
        x = net.add("Dropout", x, rate=0.0)
    x = net.add("Reshape", net.add("Permute", x, dims=(2, 1, 3)), target_shape=(60, -1))
    for _ in range(2):
        x = net.add("Bidirectional", x, merge_mode="mul")
    x = net.add("Dropout", net.add("TimeDistributed", x), rate=0.0)
    return net.context(net.add("Activation", net.add("TimeDistributed", x), activation="tanh"))


def dcase_baseline() -> Context:
    net = Sketch()
    x = net.input(40, 500, 1)
    for level, (filters, window) in enumerate([(32, (5, 5)), (64, (4, 100))], 1):
        x = net.norm(net.conv(filters, x, size=7, name=f"conv{level}"), axis=1, name=f"norm{level}")
        x = net.add("Dropout", pool(net, net.relu(x), *window), rate=0.3, name=f"drop{level}")
    x = net.dense(100, net.add("Flatten", x), activation="relu")
    return net.context(net.dense(10, net.add("Dropout", x, rate=0.3), activation="softmax"))


def chess(axis: int) -> Context:
    """Two of its residual blocks."""
    net = Sketch()

    def convolved(x: Tensor, filters: int, size: int) -> Tensor:
        made = net.conv(filters, x, size=size, use_bias=False, **FIRST)
        return net.norm(made, axis=axis)

    x = net.relu(convolved(net.input(18, 8, 8), 16, 5))
    for _ in range(2):
        y = net.relu(convolved(x, 16, 3))
        x = net.relu(net.add("Add", x, convolved(y, 16, 3)))
    policy = net.add("Flatten", net.relu(convolved(x, 2, 1)))
    value = net.dense(16, net.add("Flatten", net.relu(convolved(x, 4, 1))), activation="relu")
    return net.context(
        net.dense(1968, policy, activation="softmax"), net.dense(1, value, activation="tanh")
    )


def ssd_mobilenet(axis: int) -> Context:
    """Its first convolution, one block of each sort, and three heads."""
    net = Sketch()

    def normed(x: Tensor, name: str, where: int = -1) -> Tensor:
        return net.add("ReLU", net.norm(x, axis=where, name=name), max_value=6.0)

    def separated(x: Tensor, filters: int, number: int) -> Tensor:
        x = depthwise(net, net.add("ZeroPadding2D", x), padding="valid", use_bias=False)
        x = normed(x, f"dw{number}_norm")
        return normed(net.conv(filters, x, size=1, use_bias=False), f"pw{number}_norm")

    def tapped(x: Tensor, filters: int, number: int) -> tuple[Tensor, Tensor]:
        x = depthwise(net, net.add("ZeroPadding2D", x), padding="valid", use_bias=False)
        x = normed(x, f"dw{number}_norm", axis)
        raw = net.conv(filters, x, size=1, use_bias=False)
        return normed(raw, f"tap{number}_norm", axis), raw

    x = net.add("ZeroPadding2D", net.input(300, 300, 3))
    x = net.conv(8, x, strides=(2, 2), padding="valid", use_bias=False)
    x = separated(normed(x, "stem_norm", axis), 16, 1)
    x, first = tapped(x, 32, 11)
    x, second = tapped(separated(x, 32, 12), 32, 13)
    x = normed(net.conv(16, x, size=1, use_bias=False), "extra_norm", axis)
    third = net.conv(32, x, strides=(2, 2), use_bias=False)
    places = [net.add("Flatten", net.conv(12, tap, size=1)) for tap in (first, second, third)]
    classes = [net.add("Flatten", net.conv(63, tap, size=1)) for tap in (first, second, third)]
    boxes = net.add("Reshape", net.add("Concatenate", *places, axis=1), target_shape=(-1, 4))
    found = net.add("Reshape", net.add("Concatenate", *classes, axis=1), target_shape=(-1, 21))
    return net.context(net.add("Concatenate", boxes, softmax(net, found), axis=2))


def defog_generator() -> Context:
    """Its generator: seven convolutions down, sums with them on the way up."""
    net = Sketch()
    x = entry = net.input(6, 32, 32)
    down = []
    for level, stride in enumerate([1, 2, 1, 2, 1, 1, 2], 1):
        filters = [12, 12, 24, 24, 48, 48, 48][level - 1]
        x = net.conv(
            filters, x, strides=(stride, stride), activation="relu", name=f"conv{level}", **FIRST
        )
        x = net.relu(net.norm(x, name=f"norm{level}"), name=f"relu{level}")
        down.append(x)
    ups = [(48, 2, 5), (48, 1, 4), (24, 1, 3), (24, 2, 2), (12, 1, 1), (12, 2, 0), (6, 1, None)]
    for filters, stride, skip in ups:
        x = up_conv(net, x, filters, 3, strides=(stride, stride), activation="relu", **FIRST)
        there = entry if skip is None else down[skip]
        x = net.add("Add", there, net.add("Lambda", net.relu(x)))
    x = up_conv(net, x, 5, 3, strides=(1, 1), activation="relu", **FIRST)
    return net.context(net.relu(x))


SSD_NORMS = ("stem_norm", "dw11_norm", "tap11_norm", "dw13_norm", "tap13_norm", "extra_norm")

PROGRAMS = (
    Program(
        "SELDnet",
        "https://github.com/sharathadavanne/seld-dcase2021/issues/8",
        "Channels-first convolutions, batch norms with the default axis. The maintainer calls it a "
        "mistake; keras_model.py still has it.",
        seldnet,
        "wrong-axis",
        "maintainer",
        ("wrong-axis",) * 3,
        ("norm1", "norm2", "norm3"),
    ),
    Program(
        "DCASE 2018 baseline, task 1",
        "https://github.com/DCASE-REPO/dcase2018_baseline/issues/18",
        "task1a.yaml: channels last, batch norms with axis 1. The maintainer calls it a bug and "
        "measured 59.7 ± 0.7 before and 59.9 ± 1.3 after the mend. The dropout of 0.3 before the "
        "second convolution and its norm is in the file too; nobody mentions it.",
        dcase_baseline,
        "wrong-axis",
        "maintainer",
        ("wrong-axis", "wrong-axis", "dropout-before-norm"),
        ("norm1", "norm2"),
    ),
    Program(
        "chess-alpha-zero before the change",
        "https://github.com/Zeta36/chess-alpha-zero/pull/90",
        "Channels-first residual network, axis -1 in every batch norm; changed by a merged pull "
        "request.",
        lambda: chess(-1),
        "wrong-axis",
        "merged change",
        ("wrong-axis",) * 7,
        tuple(f"batchnormalization{end}" for end in ("", *(f"_{i}" for i in range(1, 7)))),
    ),
    Program(
        "SSD MobileNet before the change",
        "https://github.com/tanakataiki/ssd_kerasV2/issues/20",
        "Axis 1 in all blocks but one, channels last; the reporter sees in it a reason for the low "
        "accuracy. Changed by its author (commit 2933fcd).",
        lambda: ssd_mobilenet(1),
        "wrong-axis",
        "author's change",
        ("wrong-axis",) * 6,
        SSD_NORMS,
    ),
    Program(
        "DefogGAN's generator",
        "https://github.com/TeamSAIDA/DefogGAN/issues/1",
        "Channels-first convolutions with a relu inside, batch norm with axis -1, and another "
        "relu. The issue names the axis; the two activations stand in train_GAN.py.",
        defog_generator,
        "wrong-axis",
        "",
        ("wrong-axis",) * 7 + ("double-activation",) * 7,
        tuple(f"norm{level}" for level in range(1, 8)),
    ),
)
