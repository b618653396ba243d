"""Settings and trainings under which batch statistics go wrong."""

from normwise.graph.graph import Tensor
from normwise.rules import Context, Training
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import FIRST, conv1d, conv3d, leaky, pool, prelu
from tests.rules.corpus.program import Program


def wide_residual() -> Context:
    """Depth 16, two blocks a stage, width 1."""
    net = Sketch()
    torch = {"momentum": 0.1, "epsilon": 1e-5}

    def normed(x: Tensor) -> Tensor:
        return net.relu(net.norm(x, **torch))

    x = normed(net.conv(16, net.input(32, 32, 3), use_bias=False))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = normed(net.conv(filters, x, strides=(stride, stride), use_bias=False))
        y = net.conv(filters, y, use_bias=False)
        short = net.conv(filters, x, size=1, strides=(stride, stride), use_bias=False)
        x = net.add("Add", y, short)
        y = net.conv(filters, normed(x), use_bias=False)
        x = net.add("Add", x, net.conv(filters, normed(y), use_bias=False))
        x = normed(x)
    x = net.add("AveragePooling2D", x, pool_size=(8, 8), strides=(8, 8))
    return net.context(net.dense(10, net.add("Flatten", x), activation="softmax"))


def enet_encoder() -> Context:
    """The first block, one bottleneck that goes down, one each that is plain and asymmetric."""
    net = Sketch()

    def normed(x: Tensor) -> Tensor:
        return net.norm(x, momentum=0.1)

    def bottleneck(x: Tensor, filters: int, down: bool = False, asymmetric: int = 0) -> Tensor:
        stride = (2, 2) if down else (1, 1)
        inside = filters // 4
        y = net.conv(inside, x, kernel_size=stride, strides=stride, use_bias=False)
        y = prelu(net, normed(y))
        if asymmetric:
            y = net.conv(inside, y, kernel_size=(1, asymmetric), use_bias=False)
            y = net.conv(inside, y, kernel_size=(asymmetric, 1))
        else:
            y = net.conv(inside, y)
        y = normed(net.conv(filters, prelu(net, normed(y)), size=1, use_bias=False))
        y = net.add("SpatialDropout2D", y, rate=0.1)
        if down:
            x = net.add("Permute", net.add("MaxPoolingWithArgmax2D", x), dims=(1, 3, 2))
            x = net.add("Permute", net.add("ZeroPadding2D", x), dims=(1, 3, 2))
        return prelu(net, net.add("Add", y, x))

    x = net.input(64, 64, 3)
    x = net.add(
        "Concatenate", net.conv(13, x, strides=(2, 2)), net.add("MaxPoolingWithArgmax2D", x)
    )
    x = bottleneck(bottleneck(x, 64, down=True), 64)
    return net.context(net.conv(2, bottleneck(x, 64, asymmetric=5), size=1))


def deep_conv_net() -> Context:
    net = Sketch()
    x = net.conv(25, net.input(1, 64, 256), kernel_size=(1, 5), padding="valid", **FIRST)
    x = net.conv(25, x, kernel_size=(64, 1), padding="valid", **FIRST)
    for filters in (25, 50, 100, 200):
        if filters > 25:
            x = net.conv(filters, x, kernel_size=(1, 5), padding="valid", **FIRST)
        x = net.norm(x, axis=1, epsilon=1e-5, momentum=0.1)
        x = net.add("Activation", x, activation="elu")
        x = net.add("Dropout", pool(net, x, 1, 2, **FIRST))
    return net.context(net.dense(4, net.add("Flatten", x), activation="softmax"))


def point_net() -> Context:
    net = Sketch()
    x = net.input(2048, 3)
    for filters in (64, 64, 64, 128, 256):
        x = conv1d(net, x, filters, 1)
        x = net.relu(net.norm(x, momentum=0.0))
    x = net.add("GlobalMaxPooling1D", x, data_format="channels_last", keepdims=False)
    for units in (128, 64):
        x = net.relu(net.norm(net.dense(units, x), momentum=0.0))
        x = net.add("Dropout", x, rate=0.3)
    return net.context(net.dense(10, x, activation="softmax"))


def scans() -> Context:
    """32 instead of 128 voxels along each axis, and one level less."""
    net = Sketch()
    x = net.input(32, 32, 32, 1)
    for level, filters in enumerate((8, 16), 1):
        x = pool(net, conv3d(net, x, filters, activation="relu"), 2, 2, 2)
        x = net.norm(x, name=f"norm{level}")
    x = net.dense(32, net.add("Flatten", x), activation="relu")
    x = net.dense(1, net.add("Dropout", x, rate=0.3), activation="sigmoid")
    return net.context(x, training=Training(batch_size=2, samples=28, epochs=100))


def pix2pix_generator() -> Context:
    """64 instead of 256 pixels, and two levels less: the coarsest is of 2x2 pixels all the same."""
    net = Sketch()
    x = net.input(64, 64, 3)
    down = []
    for level, filters in enumerate((8, 16, 32, 32, 32), 1):
        x = leaky(net, net.conv(filters, x, size=4, strides=(2, 2)))
        x = x if level == 1 else net.norm(x, momentum=0.8, name=f"down{level}_norm")
        down.append(x)
    for level, filters in ((4, 32), (3, 32), (2, 16), (1, 8)):
        x = net.conv(filters, net.add("UpSampling2D", x), size=4, activation="relu")
        x = net.norm(x, momentum=0.8, name=f"up{level}_norm")
        x = net.add("Concatenate", x, down[level - 1])
    x = net.conv(3, net.add("UpSampling2D", x), size=4, activation="tanh")
    return net.context(x, training=Training(batch_size=1))


def frozen_encoder() -> Context:
    """A U-Net on an encoder of which everything but the batch norms is frozen."""
    net = Sketch()
    x = net.input(64, 64, 3)
    skips = []
    for level in (1, 2, 3):
        x = net.conv(8, x, use_bias=False, trainable=False, name=f"conv{level}")
        x = net.add("ReLU", net.norm(x, name=f"norm{level}"), trainable=False)
        skips.append(x)
        x = pool(net, x, trainable=False)
    for skip in reversed(skips):
        x = net.add("Concatenate", net.add("UpSampling2D", x), skip)
        x = net.relu(net.norm(net.conv(8, x, use_bias=False)))
    return net.context(net.conv(1, x, activation="sigmoid"))


def advice_on_freezing() -> Context:
    net = Sketch()
    x = net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", call={"training": False})
    x = net.add("GlobalAveragePooling2D", net.relu(x))
    return net.context(net.dense(10, x, activation="softmax"), keras_version=(3, 15, 1))


def siamese() -> Context:
    inner = Sketch("tower")
    y = inner.input(100, 100, 1)
    for level in (1, 2):
        y = inner.relu(inner.norm(inner.conv(8, y), name=f"norm{level}"))
        y = pool(inner, y)
    tower = inner.graph(inner.dense(128, inner.add("Flatten", y)))
    net = Sketch()
    one, two = net.input(100, 100, 1), net.input(100, 100, 1)
    x = net.add("Lambda", net.nest(tower, one, name="tower"), net.again("tower", two))
    return net.context(net.dense(1, x, activation="sigmoid"))


def tab_net() -> Context:
    net = Sketch()
    x = net.add("GroupNormalization", net.input(13), groups=2, name="features_norm")
    return net.context(net.dense(3, net.dense(16, x, activation="relu"), activation="softmax"))


PROGRAMS = (
    Program(
        "Wide-Residual-Networks",
        "https://github.com/titu1994/Wide-Residual-Networks/issues/21",
        "Momentum 0.1 in every batch norm, PyTorch's default; the reporter says that it should be "
        "0.9 in Keras. Open.",
        wide_residual,
        "inverted-momentum",
        "",
        ("inverted-momentum",),
        tuple(f"batchnormalization{end}" for end in ("", *(f"_{i}" for i in range(1, 13)))),
    ),
    Program(
        "ENet's encoder",
        "https://github.com/PavlosMelissinos/enet-keras/blob/HEAD/src/models/enet_unpooling/encoder.py",
        "Momentum 0.1 in every batch norm, taken over from the original in Torch, as a comment in "
        "the source says.",
        enet_encoder,
        "inverted-momentum",
        "",
        ("inverted-momentum",),
        tuple(f"batchnormalization{end}" for end in ("", *(f"_{i}" for i in range(1, 9)))),
    ),
    Program(
        "DeepConvNet before the change",
        "https://github.com/vlawhern/arl-eegmodels/issues/39",
        "Momentum 0.1, later mended to 0.9. Dropout of 0.5 stands before the convolution and norm "
        "of each later block; nobody mentions it.",
        deep_conv_net,
        "inverted-momentum",
        "author's change",
        ("dropout-before-norm",) * 3 + ("inverted-momentum",),
        tuple(f"batchnormalization{end}" for end in ("", "_1", "_2", "_3")),
    ),
    Program(
        "PointNet of keras-io",
        "https://github.com/keras-team/keras-io/blob/HEAD/examples/vision/pointnet.py",
        "Momentum 0 in every batch norm, copied into many repositories. Read in the source, where "
        "each convolution with its norm is a layer class of its own, which check can't open; drawn "
        "as the copies have it, flat. Dropout of 0.3 before the last norm besides.",
        point_net,
        "inverted-momentum",
        "",
        ("dropout-before-norm", "inverted-momentum"),
        tuple(f"batchnormalization{end}" for end in ("", *(f"_{i}" for i in range(1, 7)))),
    ),
    Program(
        "CT scans of keras-io",
        "https://github.com/keras-team/keras-io/blob/HEAD/examples/vision/3D_image_classification.py",
        "Batches of two volumes and batch norm. Read in the source.",
        scans,
        "tiny-batch",
        "",
        ("tiny-batch",),
        ("norm1", "norm2"),
    ),
    Program(
        "pix2pix of Keras-GAN",
        "https://github.com/eriklindernoren/Keras-GAN/blob/HEAD/pix2pix/pix2pix.py",
        "Batches of one image and batch norm, which then acts as instance norm in training and not "
        "in prediction (phillipi/pix2pix issue 176 on the same). Read in the source.",
        pix2pix_generator,
        "tiny-batch",
        "",
        ("tiny-batch",),
        (*(f"down{i}_norm" for i in (2, 3, 4, 5)), *(f"up{i}_norm" for i in (4, 3, 2, 1))),
    ),
    Program(
        "segmentation_models with a frozen encoder",
        "https://github.com/qubvel/segmentation_models/blob/HEAD/segmentation_models/models/_utils.py",
        "freeze_model freezes all layers but the batch norms, which go on learning statistics. "
        "Read in the source.",
        frozen_encoder,
        "frozen-batch-norm",
        "",
        ("frozen-batch-norm",),
        ("norm1", "norm2", "norm3"),
    ),
    Program(
        "the advice to freeze by training=False",
        "https://github.com/keras-team/keras/issues/4762",
        "Given by Keras' author for Keras 2. Measured: in Keras 3 up to 3.15 fit still moves the "
        "statistics.",
        advice_on_freezing,
        "frozen-batch-norm",
        "measured",
        ("frozen-batch-norm",),
        ("norm",),
    ),
    Program(
        "a Siamese network",
        "https://github.com/keras-team/keras/issues/8794",
        "Two inputs through one tower with batch norms; the reporter finds the moving variance "
        "wrong. The thread has no network: the tower is that of issue 12556.",
        siamese,
        "shared-batch-norm",
        "",
        (),
        ("tower/norm1", "tower/norm2"),
        "noted",
        "Inputs of one shape may be alike, and then the statistics are right; the graph can't say.",
    ),
    Program(
        "TabNet on 13 features",
        "https://github.com/mlr-org/mlr3keras/issues/19",
        "Two groups on 13 features: it can't be built. Drawn with Keras' own layer.",
        tab_net,
        "groups-mismatch",
        "maintainer",
        ("groups-mismatch",),
        ("features_norm",),
    ),
)
