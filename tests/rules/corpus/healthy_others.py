"""Networks for super-resolution, series, text in images and tables without a known fault."""

from normwise.graph.graph import Tensor
from normwise.rules import Context
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import (
    FIRST,
    conv1d,
    depthwise,
    leaky,
    prelu,
    separable,
    softmax,
)
from tests.rules.corpus.faulty_placement import crnn
from tests.rules.corpus.program import Program


def edsr() -> Context:
    net = Sketch()
    x = net.add("Lambda", net.input(None, None, 3))
    x = y = net.conv(8, x)
    for _ in range(3):
        y = net.add("Add", y, net.conv(8, net.conv(8, y, activation="relu")))
    x = net.add("Add", x, net.conv(8, y))
    for _ in range(2):
        x = net.add("Lambda", net.conv(32, x))
    return net.context(net.add("Lambda", net.conv(3, x)))


def sr_resnet() -> Context:
    net = Sketch()
    x = net.add("Lambda", net.input(None, None, 3))
    x = first = prelu(net, net.conv(8, x, size=9))
    for _ in range(3):
        y = prelu(net, net.norm(net.conv(8, x), momentum=0.8))
        x = net.add("Add", x, net.norm(net.conv(8, y), momentum=0.8))
    x = net.add("Add", first, net.norm(net.conv(8, x)))
    for _ in range(2):
        x = prelu(net, net.add("Lambda", net.conv(32, x)))
    return net.context(net.add("Lambda", net.conv(3, x, size=9, activation="tanh")))


def sr_discriminator() -> Context:
    net = Sketch()
    x = net.add("Lambda", net.input(96, 96, 3))
    x = leaky(net, net.conv(8, x))
    for filters, stride in ((8, 2), (16, 1), (16, 2), (32, 1), (32, 2)):
        x = net.conv(filters, x, strides=(stride, stride))
        x = leaky(net, net.norm(x, momentum=0.8))
    x = leaky(net, net.dense(64, net.add("Flatten", x)))
    return net.context(net.dense(1, x, activation="sigmoid"))


def series_fcn() -> Context:
    net = Sketch()
    x = net.input(500, 1)
    for filters, size in ((128, 8), (256, 5), (128, 3)):
        x = net.relu(net.norm(conv1d(net, x, filters, size)))
    return net.context(net.dense(5, net.add("GlobalAveragePooling1D", x), activation="softmax"))


def series_resnet() -> Context:
    net = Sketch()
    x = net.input(500, 1)
    for number, filters in enumerate((16, 32, 32)):
        y = net.relu(net.norm(conv1d(net, x, filters, 8)))
        y = net.relu(net.norm(conv1d(net, y, filters, 5)))
        y = net.norm(conv1d(net, y, filters, 3))
        short = net.norm(x if number == 2 else conv1d(net, x, filters, 1))
        x = net.relu(net.add("Add", short, y))
    return net.context(net.dense(5, net.add("GlobalAveragePooling1D", x), activation="softmax"))


def eeg_net() -> Context:
    net = Sketch()
    average = {"padding": "valid", **FIRST}

    def bent(x: Tensor, steps: int) -> Tensor:
        x = net.add("Activation", net.norm(x, axis=1), activation="elu")
        x = net.add("AveragePooling2D", x, pool_size=(1, steps), strides=(1, steps), **average)
        return net.add("Dropout", x, rate=0.25)

    x = net.conv(4, net.input(1, 64, 128), kernel_size=(1, 64), use_bias=False, **FIRST)
    x = net.norm(x, axis=1)
    x = depthwise(net, x, (64, 1), padding="valid", use_bias=False, depth_multiplier=2, **FIRST)
    x = bent(separable(net, bent(x, 4), 8, (1, 16), use_bias=False, **FIRST), 8)
    return net.context(softmax(net, net.dense(4, net.add("Flatten", x))))


def porto_seguro(after: bool) -> Context:
    net = Sketch()
    x = net.input(100)
    for number, (units, rate) in enumerate(((200, 0.5), (100, 0.25), (50, 0.15), (25, 0.1))):
        x = net.dense(units, x, use_bias=number == 0 or not after)
        x = net.relu(net.norm(x)) if after else net.norm(net.relu(x))
        x = net.add("Dropout", x, rate=rate)
    return net.context(net.dense(1, x, activation="sigmoid"))


PROGRAMS = (
    Program(
        "EDSR",
        "https://github.com/krasserm/super-resolution/blob/HEAD/model/edsr.py",
        "No norms; a tail of convolutions and pixel shuffles in lambdas.",
        edsr,
    ),
    Program(
        "SRResNet",
        "https://github.com/krasserm/super-resolution/blob/HEAD/model/srgan.py",
        "Residual blocks with norms of momentum 0.8, and PReLUs.",
        sr_resnet,
    ),
    Program(
        "the discriminator of SRGAN",
        "https://github.com/krasserm/super-resolution/blob/HEAD/model/srgan.py",
        "Norms in all blocks but the first.",
        sr_discriminator,
    ),
    Program(
        "a convolutional network for series",
        "https://github.com/hfawaz/dl-4-tsc/blob/HEAD/classifiers/fcn.py",
        "Convolution, norm, relu over time.",
        series_fcn,
    ),
    Program(
        "a residual network for series",
        "https://github.com/hfawaz/dl-4-tsc/blob/HEAD/classifiers/resnet.py",
        "A norm alone on the shortcut of the last block.",
        series_resnet,
    ),
    Program(
        "CRNN-Keras after the change",
        "https://github.com/qjadud1994/CRNN-Keras/pull/37",
        "Norms behind both pairs of LSTMs.",
        lambda: crnn(True),
    ),
    Program(
        "EEGNet",
        "https://github.com/vlawhern/arl-eegmodels/blob/HEAD/EEGModels.py",
        "Channels-first, a norm between a temporal and a spatial convolution; dropout of 0.25 "
        "before the separable convolution and its norm.",
        eeg_net,
        warnings=("dropout-before-norm",),
        why="after the dropout of 0.25 the variance before the last norm is 1.37 times as large "
        "in training as in inference, where it comes out with 0.85 of its spread.",
        shown=True,
    ),
    Program(
        "imbalanced-learn's example, as it was",
        "https://github.com/scikit-learn-contrib/imbalanced-learn/issues/521",
        "The issue calls a norm behind the relu wrong; that is contested, and check takes no side.",
        lambda: porto_seguro(False),
    ),
    Program(
        "imbalanced-learn's example, as changed",
        "https://github.com/scikit-learn-contrib/imbalanced-learn/issues/521",
        "Norms before the relu, and so right behind a linear layer that reads a dropout.",
        lambda: porto_seguro(True),
        warnings=("dropout-before-norm",) * 3,
        why="after the dropouts of 0.5, 0.25 and 0.15 the variances before the norms are 2.49, "
        "1.51 and 1.25 times as large in training as in inference, where they come out with 0.63, "
        "0.81 and 0.90 of their spread; once the network was trained on a made-up task, 1.30, 1.12 "
        "and 1.06 times.",
        shown=True,
    ),
)
