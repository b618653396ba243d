"""Image classifiers, detectors and segmentation networks without a known fault."""

from normwise.graph.graph import Tensor
from normwise.rules import Context
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import (
    conv_norm_relu,
    depthwise,
    leaky,
    pool,
    separable,
    softmax,
    up_conv,
)
from tests.rules.corpus.faulty_axes import chess, ssd_mobilenet
from tests.rules.corpus.faulty_placement import keras_resnet
from tests.rules.corpus.program import Program


def unet_without_norms() -> Context:
    """Three of its five levels."""
    net = Sketch()
    bent = {"activation": "relu"}

    def block(x: Tensor, filters: int) -> Tensor:
        return net.conv(filters, net.conv(filters, x, **bent), **bent)

    first = block(net.input(256, 256, 1), 8)
    second = net.add("Dropout", block(pool(net, first), 16))
    x = net.add("Dropout", block(pool(net, second), 32))
    for skip, filters in ((second, 16), (first, 8)):
        x = net.conv(filters, net.add("UpSampling2D", x), size=2, **bent)
        x = block(net.add("Concatenate", skip, x, axis=3), filters)
    x = net.conv(2, x, **bent)
    return net.context(net.conv(1, x, size=1, activation="sigmoid"))


def collection_unet(gated: bool) -> Context:
    """`unet_2d` and `att_unet_2d` with batch_norm=True, three levels."""
    net = Sketch()

    def stack(x: Tensor, filters: int, count: int = 2) -> Tensor:
        for _ in range(count):
            x = net.norm(net.conv(filters, x, use_bias=False), axis=3)
            x = net.add("ReLU", x)
        return x

    def gate(x: Tensor, by: Tensor) -> Tensor:
        joined = net.add("Add", net.conv(4, x, size=1), net.conv(4, by, size=1))
        mask = net.conv(1, net.add("ReLU", joined), size=1)
        return net.add("Multiply", x, net.add("Activation", mask, activation="sigmoid"))

    first = stack(net.input(64, 64, 3), 8)
    second = stack(pool(net, first), 16)
    x = stack(pool(net, second), 32)
    for skip, filters in ((second, 16), (first, 8)):
        x = net.add("UpSampling2D", x, interpolation="bilinear")
        if not gated:
            x = stack(x, filters, 1)
        x = net.add("Concatenate", x, gate(skip, x) if gated else skip, axis=3)
        x = stack(x, filters)
    return net.context(softmax(net, net.conv(2, x, size=1)))


def segnet() -> Context:
    net = Sketch()
    x = net.input(360, 480, 3)
    for filters in (8, 16, 32):
        x = pool(net, conv_norm_relu(net, x, filters))
    x = conv_norm_relu(net, conv_norm_relu(net, x, 64), 64)
    for filters in (32, 16, 8):
        x = conv_norm_relu(net, net.add("UpSampling2D", x), filters)
    x = net.add("Reshape", net.conv(1, x, size=1), target_shape=(360 * 480, 1))
    x = net.add("Activation", x, activation="sigmoid")
    return net.context(net.add("Reshape", x, target_shape=(360, 480, 1)))


def deeplab() -> Context:
    """Two blocks of its Xception, the pyramid of dilations, the decoder."""
    net = Sketch()
    bare = {"use_bias": False}

    def separated(x: Tensor, filters: int, inside: bool, stride: int = 1, rate: int = 1) -> Tensor:
        x = x if inside else net.relu(x)
        x = depthwise(net, x, strides=(stride, stride), dilation_rate=(rate, rate), **bare)
        x = net.norm(x, epsilon=1e-5)
        x = net.conv(filters, net.relu(x) if inside else x, size=1, **bare)
        x = net.norm(x, epsilon=1e-5)
        return net.relu(x) if inside else x

    def block(x: Tensor, filters: int) -> tuple[Tensor, Tensor]:
        y = skip = separated(separated(x, filters, False), filters, False)
        y = separated(y, filters, False, stride=2)
        short = net.norm(net.conv(filters, x, size=1, strides=(2, 2), **bare))
        return net.add("Add", y, short), skip

    x = conv_norm_relu(net, net.input(64, 64, 3), 8, strides=(2, 2), **bare)
    x = conv_norm_relu(net, x, 16, **bare)
    x, _ = block(x, 16)
    x, skip = block(x, 32)
    x = separated(x, 32, True)
    whole = net.add("Reshape", net.add("GlobalAveragePooling2D", x), target_shape=(1, 1, 32))
    whole = conv_norm_relu(net, whole, 16, 1, **bare)
    whole = net.add("Resizing", whole, height=8, width=8, data_format="channels_last")
    ways = [conv_norm_relu(net, x, 16, 1, **bare)]
    ways += [separated(x, 16, True, rate=rate) for rate in (6, 12)]
    x = conv_norm_relu(net, net.add("Concatenate", whole, *ways), 16, 1, **bare)
    x = net.add("Dropout", x, rate=0.1)
    x = net.add("Resizing", x, height=16, width=16, data_format="channels_last")
    x = net.add("Concatenate", x, conv_norm_relu(net, skip, 4, 1, **bare))
    x = separated(separated(x, 16, True), 16, True)
    x = net.conv(21, x, size=1)
    x = net.add("Resizing", x, height=64, width=64, data_format="channels_last")
    return net.context(softmax(net, x))


def yolo() -> Context:
    """Two stages of its Darknet and two of its three heads."""
    net = Sketch()

    def darknet(x: Tensor, filters: int, size: int, **config: object) -> Tensor:
        return leaky(net, net.norm(net.conv(filters, x, size=size, use_bias=False, **config)))

    def stage(x: Tensor, filters: int) -> Tensor:
        x = net.add("ZeroPadding2D", x, padding=((1, 0), (1, 0)))
        x = darknet(x, filters, 3, strides=(2, 2), padding="valid")
        return net.add("Add", x, darknet(darknet(x, filters // 2, 1), filters, 3))

    def last(x: Tensor, filters: int) -> tuple[Tensor, Tensor]:
        x = darknet(darknet(darknet(x, filters, 1), filters * 2, 3), filters, 1)
        return x, net.conv(255, darknet(x, filters * 2, 3), size=1)

    fine = stage(darknet(net.input(64, 64, 3), 8, 3), 16)
    x, coarse_boxes = last(stage(fine, 32), 16)
    x = net.add("Concatenate", net.add("UpSampling2D", darknet(x, 8, 1)), fine)
    _, fine_boxes = last(x, 8)
    return net.context(coarse_boxes, fine_boxes)


def pets() -> Context:
    """Two of its three levels down, as many up."""
    net = Sketch()
    x = block = conv_norm_relu(net, net.input(160, 160, 3), 8, strides=(2, 2))
    for filters in (16, 32):
        for _ in range(2):
            x = net.norm(separable(net, net.relu(x), filters))
        x = pool(net, x, 3, 3, strides=(2, 2), padding="same")
        x = block = net.add("Add", x, net.conv(filters, block, size=1, strides=(2, 2)))
    for filters in (16, 8):
        for _ in range(2):
            x = net.norm(up_conv(net, net.relu(x), filters, 3, strides=(1, 1)))
        short = net.conv(filters, net.add("UpSampling2D", block), size=1)
        x = block = net.add("Add", net.add("UpSampling2D", x), short)
    return net.context(net.conv(3, x, activation="softmax"))


def conv_mixer() -> Context:
    net = Sketch()

    def bent(x: Tensor) -> Tensor:
        return net.norm(net.add("Activation", x, activation="gelu"))

    x = net.add("Rescaling", net.input(32, 32, 3), scale=1 / 255)
    x = bent(net.conv(16, x, size=2, strides=(2, 2), padding="valid"))
    for _ in range(3):
        x = net.add("Add", bent(net.conv(16, x, size=5, groups=16)), x)
        x = bent(net.conv(16, x, size=1))
    x = net.add("GlobalAveragePooling2D", x)
    return net.context(net.dense(10, x, activation="softmax"))


def resnet_of_broad() -> Context:
    """The stem and two stages of ResNet-18, with its batch norms as Keras' own."""
    net = Sketch()

    def padded(x: Tensor, filters: int, stride: int = 1) -> Tensor:
        x = net.conv(
            filters,
            net.add("ZeroPadding2D", x),
            strides=(stride, stride),
            padding="valid",
            use_bias=False,
        )
        return net.norm(x, axis=3, epsilon=1e-5)

    x = net.norm(net.conv(8, net.input(64, 64, 3), size=7, strides=(2, 2), use_bias=False), axis=3)
    x = pool(net, net.relu(x), 3, 3, strides=(2, 2), padding="same")
    for filters, stride in ((8, 1), (16, 2)):
        y = padded(net.relu(padded(x, filters, stride)), filters)
        short = net.conv(filters, x, size=1, strides=(stride, stride), use_bias=False)
        x = net.relu(net.add("Add", y, net.norm(short, axis=3)))
        x = net.relu(net.add("Add", padded(net.relu(padded(x, filters)), filters), x))
    x = net.add("GlobalAveragePooling2D", x)
    return net.context(net.dense(10, x, activation="softmax"))


PROGRAMS = (
    Program(
        "chess-alpha-zero after the change",
        "https://github.com/Zeta36/chess-alpha-zero/pull/90",
        "Axis 1 behind channels-first convolutions.",
        lambda: chess(1),
    ),
    Program(
        "SSD MobileNet after the change",
        "https://github.com/tanakataiki/ssd_kerasV2/commit/2933fcd",
        "Axis -1 everywhere.",
        lambda: ssd_mobilenet(-1),
    ),
    Program(
        "keras-resnet after the change",
        "https://github.com/raghakot/keras-resnet/pull/36",
        "One norm and relu before the pooling.",
        lambda: keras_resnet(False),
    ),
    Program(
        "the U-Net of zhixuhao",
        "https://github.com/zhixuhao/unet/blob/HEAD/model.py",
        "No norms at all.",
        unet_without_norms,
    ),
    Program(
        "keras-unet-collection, unet_2d",
        "https://github.com/yingkaisha/keras-unet-collection/blob/HEAD/keras_unet_collection/_model_unet_2d.py",
        "Convolution without bias, norm, relu.",
        lambda: collection_unet(False),
    ),
    Program(
        "keras-unet-collection, att_unet_2d",
        "https://github.com/yingkaisha/keras-unet-collection/blob/HEAD/keras_unet_collection/_model_att_unet_2d.py",
        "The same with gated skips, whose convolutions have no norm.",
        lambda: collection_unet(True),
    ),
    Program(
        "a SegNet with relus in its decoder",
        "https://github.com/s059ff/keras-segnet-camvid/blob/HEAD/model.py",
        "Convolution, norm, relu throughout.",
        segnet,
    ),
    Program(
        "DeepLab v3+",
        "https://github.com/bonlime/keras-deeplab-v3-plus/blob/HEAD/model.py",
        "Depthwise and pointwise convolutions with a norm each, dilations, a pooled branch; a "
        "dropout of 0.1 before the decoder.",
        deeplab,
        warnings=("dropout-before-norm",),
        why="in the 256 of 304 channels that the dropout of 0.1 leads to, the variance before the "
        "first norm of the decoder is 1.16 times as large in training as in inference, where they "
        "come out with 0.93 of their spread.",
        shown=True,
    ),
    Program(
        "keras-yolo3",
        "https://github.com/qqwweee/keras-yolo3/blob/HEAD/yolo3/model.py",
        "Convolution without bias, norm, leaky relu; residual stages; heads on two levels.",
        yolo,
    ),
    Program(
        "segmentation of pets, keras-io",
        "https://github.com/keras-team/keras-io/blob/HEAD/examples/vision/oxford_pets_image_segmentation.py",
        "Relu, separable convolution, norm; sums with projections, which nothing bends.",
        pets,
    ),
    Program(
        "ConvMixer of keras-io",
        "https://github.com/keras-team/keras-io/blob/HEAD/examples/vision/convmixer.py",
        "The norm behind the activation, by design.",
        conv_mixer,
    ),
    Program(
        "ResNet of the Broad Institute",
        "https://github.com/broadinstitute/keras-resnet/blob/HEAD/keras_resnet/blocks/_2d.py",
        "Padding, convolution without bias, norm, relu.",
        resnet_of_broad,
    ),
)
