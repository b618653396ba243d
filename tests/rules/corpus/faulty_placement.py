"""Normalization, activations and biases in places where threads or papers object to them."""

from normwise.graph.graph import Tensor
from normwise.rules import Context
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import conv_norm_relu, pool, softmax, up_conv
from tests.rules.corpus.program import Program


def question() -> Context:
    net = Sketch()
    x = net.input(512, 512, 9)
    raw = []
    for level, filters in enumerate((16, 32, 64, 128, 256), 1):
        x = net.conv(filters, x, strides=(2, 2), activation="relu", name=f"conv{level}")
        raw.append(x)
        x = net.norm(x, axis=3, name=f"norm{level}")
    x = net.conv(512, x, strides=(2, 2), activation="relu", name="conv6")
    x = net.add("Dropout", x, rate=0.25)
    for number, filters in enumerate((256, 128, 64, 32, 16, 8, 1), 1):
        if number > 5:
            x = net.add("Concatenate", x, raw[7 - number], axis=3, name=f"join{number - 5}")
        strides = (1, 1) if number == 1 else (2, 2)
        x = up_conv(net, x, filters, 3, strides=strides, name=f"up{number}")
    return net.context(x)


def keras_unet() -> Context:
    """Two levels of it."""
    net = Sketch()

    def block(x: Tensor, filters: int, name: str, rate: float) -> Tensor:
        plain = {"activation": "relu", "use_bias": False}
        x = net.norm(net.conv(filters, x, name=f"{name}_1", **plain))
        x = net.add("SpatialDropout2D", x, rate=rate) if rate else x
        return net.norm(net.conv(filters, x, name=f"{name}_2", **plain))

    first = block(net.input(64, 64, 3), 8, "down1", 0.3)
    second = block(pool(net, first), 16, "down2", 0.3)
    x = block(pool(net, second), 32, "bottom", 0.3)
    for skip, filters, name in ((second, 16, "up2"), (first, 8, "up1")):
        x = net.add("Concatenate", up_conv(net, x, filters), skip)
        x = block(x, filters, name, 0.0)
    return net.context(net.conv(1, x, size=1, activation="sigmoid"))


def keras_resnet(twice: bool) -> Context:
    """ResNet-18 with one block a stage."""
    net = Sketch()
    x = conv_norm_relu(net, net.input(32, 32, 3), 8, 7, strides=(2, 2))
    x = pool(net, x, 3, 3, strides=(2, 2), padding="same")
    y = net.conv(8, x)
    x = net.add("Add", x, net.conv(8, net.relu(net.norm(y))))
    for filters in (16, 32):
        y = net.conv(filters, net.relu(net.norm(x)), strides=(2, 2))
        y = net.conv(filters, net.relu(net.norm(y)))
        x = net.add("Add", net.conv(filters, x, size=1, strides=(2, 2)), y)
    x = net.relu(net.norm(x, name="last"), name="last_relu")
    if twice:
        x = net.relu(net.norm(x, name="again"), name="again_relu")
    x = net.add("AveragePooling2D", x, pool_size=(2, 2), strides=(1, 1))
    return net.context(net.dense(10, net.add("Flatten", x), activation="softmax"))


def segnet_with_norm_on_logits() -> Context:
    net = Sketch()
    x = net.input(64, 64, 3)
    for filters in (8, 16, 16, 32):
        x = net.add("MaxPoolingWithArgmax2D", conv_norm_relu(net, x, filters))
    for filters in (16, 16, 8):
        x = conv_norm_relu(net, net.add("MaxUnpooling2D", x), filters)
    x = net.conv(12, net.add("MaxUnpooling2D", x), size=1)
    return net.context(softmax(net, net.norm(x, name="logits_norm")))


def regression_with_norm_on_output() -> Context:
    net = Sketch()
    x = net.input(100)
    for units in (64, 64, 32):
        x = net.norm(net.dense(units, x, activation="relu"))
    return net.context(net.norm(net.dense(4, x), name="output_norm"))


def segnet_with_linear_decoder() -> Context:
    net = Sketch()
    x = net.input(352, 480, 3)
    for filters in (8, 16, 32, 64):
        x = pool(net, conv_norm_relu(net, x, filters))
    for number, filters in enumerate((64, 32, 16, 8), 1):
        x = net.conv(filters, net.add("UpSampling2D", x), name=f"up{number}")
        x = net.norm(x)
    x = net.conv(12, x, size=1, padding="valid", name="classes")
    x = net.add("Reshape", x, target_shape=(12, 352 * 480))
    return net.context(softmax(net, net.add("Permute", x, dims=(2, 1))))


def crnn(connected: bool) -> Context:
    """Two of its convolutions, and both layers of LSTMs."""
    net = Sketch()
    x = net.input(128, 64, 1)
    for filters in (8, 16):
        x = pool(net, conv_norm_relu(net, x, filters))
    x = net.add("Reshape", x, target_shape=(32, 256))
    x = net.dense(64, x, activation="relu")
    there, back = (net.add("LSTM", x, return_sequences=True) for _ in range(2))
    x = net.norm(net.add("Add", there, back))
    there, back = (net.add("LSTM", x, return_sequences=True) for _ in range(2))
    joined = net.add("Concatenate", there, back)
    normalized = net.norm(joined)
    x = net.dense(63, normalized if connected else joined)
    return net.context(softmax(net, x))


UP = ("up2_1", "up1_1")

PROGRAMS = (
    Program(
        "the network of the question",
        "https://stackoom.com/en/question/38L5L",
        "Asks whether batch norm is used in the right way; nobody mentions the skips from before "
        "the norms, or the decoder without activations (measured: half of all parameters).",
        question,
        "affine-chain",
        "",
        ("affine-chain", "unnormalized-skip", "unnormalized-skip"),
        tuple(f"up{number}" for number in range(1, 8)),
    ),
    Program(
        "keras-unet, custom_unet",
        "https://github.com/karolzak/keras-unet/blob/HEAD/keras_unet/models/custom_unet.py",
        "use_bias=not use_batch_norm on convolutions that have their relu inside, so before the "
        "norm. Read in the source; no thread.",
        keras_unet,
        "missing-bias",
        "",
        ("missing-bias",),
        ("down1_1", *UP, "down1_2", "down2_1", "down2_2", "bottom_1", "bottom_2", "up2_2", "up1_2"),
    ),
    Program(
        "keras-resnet before the change",
        "https://github.com/raghakot/keras-resnet/pull/36",
        "Norm and relu twice in a row before the pooling, put there by pull request 31; taken out "
        "as redundant by a merged pull request.",
        lambda: keras_resnet(True),
        "stacked-norm",
        "merged change",
        ("stacked-norm",),
        ("last", "last_relu", "again"),
    ),
    Program(
        "Keras-SegNet",
        "https://github.com/danielenricocahall/Keras-SegNet/blob/HEAD/segnet/create_segnet.py",
        "A batch norm between the last convolution and the softmax. Read in the source; of "
        "the same idea SegNet's author writes that it is not appropriate for regression "
        "(alexgkendall/SegNet-Tutorial issue 9).",
        segnet_with_norm_on_logits,
        "norm-on-output",
        "",
        ("norm-on-output",),
        ("logits_norm",),
    ),
    Program(
        "a regression of the TensorFlow forum",
        "https://discuss.tensorflow.org/t/applying-batch-normalization-on-the-output-layer-in-a-regression-problem/14056",
        "Dense layers with batch norms; with one on the output, too, predictions are five times "
        "worse, says the reporter.",
        regression_with_norm_on_output,
        "norm-on-output",
        "reporter's measurement",
        ("norm-on-output",),
        ("output_norm",),
    ),
    Program(
        "a SegNet with a linear decoder",
        "https://github.com/TianzhongSong/keras-FP16-test/blob/HEAD/models/segnet.py",
        "Five convolutions in a row with batch norms and nothing that bends. Read in the source; "
        "contested, as the paper's small variant has no relu in its decoder either.",
        segnet_with_linear_decoder,
        "affine-chain",
        "",
        ("affine-chain",),
        ("up1", "up2", "up3", "up4", "classes"),
    ),
    Program(
        "CRNN-Keras before the change",
        "https://github.com/qjadud1994/CRNN-Keras/pull/37",
        "The norm behind the second LSTMs is made, but the next layer reads what was there before "
        "it; mended by a merged pull request.",
        lambda: crnn(False),
        "dead-norm",
        "merged change",
        outcome="missed",
        why="A layer that nothing reads is no part of a Keras model, so that neither a file nor a "
        "live model shows it; it takes the source code.",
    ),
)
