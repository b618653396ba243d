"""Networks that are built on purpose as naive rules object to: a check has to leave them alone."""

from collections.abc import Callable, Mapping

from normwise.graph.graph import Graph, Tensor
from normwise.rules.sketches import Sketch
from tests.rules.corpus.blocks import conv1d, pool, softmax, up_conv


def attended(net: Sketch, x: Tensor, width: int) -> Tensor:
    """A block of a transformer, with the norms at the beginning of its two branches."""
    y = net.add("LayerNormalization", x)
    x = net.add("Add", x, net.add("MultiHeadAttention", y, y))
    y = net.dense(4 * width, net.add("LayerNormalization", x), activation="gelu")
    return net.add("Add", x, net.dense(width, y))


def vision_transformer() -> Graph:
    """Patches are normalized, and the first block begins with a norm again."""
    net = Sketch("patches")
    x = net.conv(16, net.input(32, 32, 3), size=4, strides=(4, 4))
    x = attended(net, attended(net, net.add("LayerNormalization", x), 16), 16)
    x = net.add("GetItem", net.add("LayerNormalization", x), key=0)
    return net.graph(net.dense(10, x, activation="softmax"))


def transformer_u_net() -> Graph:
    """Swin-Unet: a skip is the sum that ends a block, and the next block's norm reads it too."""
    net = Sketch("swin_unet")
    x = net.conv(8, net.input(32, 32, 3), size=4, strides=(4, 4))
    skip = attended(net, net.add("LayerNormalization", x), 8)
    x = net.dense(16, net.add("LayerNormalization", net.add("MaxPooling2D", skip)))
    x = net.add("UpSampling2D", net.dense(8, attended(net, x, 16)))
    x = attended(net, net.dense(8, net.add("Concatenate", x, skip)), 8)
    return net.graph(net.conv(1, net.add("LayerNormalization", x), size=1))


def recurrent_encoder() -> Graph:
    """Convolutions over time, an LSTM, and a layer norm of its states at the end."""
    net = Sketch("states")
    x = net.input(64, 16)
    for filters in (16, 32):
        x = net.relu(net.norm(conv1d(net, x, filters, 3, use_bias=False)))
    x = net.add("LSTM", x, units=64, return_sequences=True)
    return net.graph(net.add("LayerNormalization", x))


def conformer() -> Graph:
    """Each block ends with a norm, and the next one begins with another."""
    net = Sketch("conformer")
    x = net.dense(32, net.input(100, 80))
    for _ in range(2):
        x = attended(net, x, 32)
        y = conv1d(net, net.add("LayerNormalization", x), 64, 1)
        gate = net.add("Activation", net.add("GetItem", y), activation="sigmoid")
        y = net.norm(conv1d(net, net.add("Multiply", net.add("GetItem", y), gate), 32, 15))
        y = conv1d(net, net.add("Activation", y, activation="silu"), 32, 1)
        x = net.add("LayerNormalization", net.add("Add", x, net.add("Dropout", y, rate=0.1)))
    return net.graph(net.dense(30, x, activation="softmax"))


def residual_u_net() -> Graph:
    """Deep Residual U-Net: pre-activation blocks whose shortcuts are projected and normalized."""
    net = Sketch("res_unet")

    def bent(x: Tensor) -> Tensor:
        return net.relu(net.norm(x))

    def block(x: Tensor, filters: int, stride: int = 1) -> Tensor:
        short = net.norm(net.conv(filters, x, size=1, strides=(stride, stride)))
        y = net.conv(filters, bent(x), strides=(stride, stride))
        return net.add("Add", short, net.conv(filters, bent(y)))

    image = net.input(64, 64, 3)
    x = net.conv(8, bent(net.conv(8, image)))
    first = net.add("Add", x, net.norm(net.conv(8, image, size=1)))
    second = block(first, 16, 2)
    x = block(second, 32, 2)
    for skip, filters in ((second, 16), (first, 8)):
        x = block(net.add("Concatenate", net.add("UpSampling2D", x), skip), filters)
    return net.graph(net.conv(1, x, size=1, activation="sigmoid"))


def stages_joined() -> Graph:
    """Pre-activation blocks whose sums are all joined before the last convolutions."""
    net = Sketch("stages")
    x = net.conv(8, net.input(32, 32, 3))
    stages = []
    for _ in range(3):
        x = net.add("Add", x, net.conv(8, net.relu(net.norm(x))))
        stages.append(x)
    x = net.conv(8, net.add("Concatenate", *stages), size=1)
    return net.graph(net.conv(1, net.relu(net.norm(x))))


def dense_u_net() -> Graph:
    """FC-DenseNet: raw results are joined, and each next layer normalizes all of them."""
    net = Sketch("tiramisu")

    def block(x: Tensor, layers: int) -> tuple[Tensor, list[Tensor]]:
        new = []
        for _ in range(layers):
            new.append(net.conv(4, net.relu(net.norm(x))))
            x = net.add("Concatenate", x, new[-1])
        return x, new

    skip, _ = block(net.conv(8, net.input(64, 64, 3)), 2)
    x = net.conv(16, net.relu(net.norm(skip)), size=1)
    _, new = block(pool(net, x), 2)
    x = up_conv(net, net.add("Concatenate", *new), 8, 3)
    x, _ = block(net.add("Concatenate", x, skip), 3)
    return net.graph(softmax(net, net.conv(5, x, size=1)))


def dense_prediction_transformer() -> Graph:
    """DPT: features are projected, made larger and smoothed before residual units."""
    net = Sketch("dpt")

    def unit(x: Tensor) -> Tensor:
        return net.add("Add", x, net.conv(16, net.relu(net.conv(16, net.relu(x)))))

    x = net.conv(32, net.input(64, 64, 3), size=16, strides=(16, 16), padding="valid")
    x = attended(net, x, 32)
    fine = net.conv(16, up_conv(net, net.conv(16, x, size=1), 16), use_bias=False)
    coarse = net.conv(16, net.conv(16, x, size=1), use_bias=False)
    x = net.add("UpSampling2D", unit(coarse))
    x = net.conv(8, unit(net.add("Add", x, unit(fine))), activation="relu")
    return net.graph(net.conv(1, x))


def siamese() -> Graph:
    """A tower on two images, each scaled by a layer of its own."""
    tower = Sketch("tower")
    x = tower.relu(tower.norm(tower.conv(8, tower.input(32, 32, 3))))
    model = tower.graph(tower.add("GlobalAveragePooling2D", x))
    net = Sketch("pairs")
    a, b = (net.add("Rescaling", net.input(32, 32, 3), scale=1 / 255) for _ in range(2))
    x = net.add("Subtract", net.nest(model, a, name="tower"), net.again("tower", b))
    return net.graph(net.dense(1, x, activation="sigmoid"))


def wide_and_deep() -> Graph:
    """Features as they are beside what layers make of them, normalized."""
    net = Sketch("wide")
    words = net.add("Flatten", net.add("Embedding", net.input(1, dtype="int32")))
    x = net.add("Concatenate", net.add("Normalization", net.input(8)), words)
    deep = net.relu(net.norm(net.dense(16, net.norm(x))))
    return net.graph(net.dense(1, net.add("Concatenate", x, deep), activation="sigmoid"))


def plain_instance_norms() -> Graph:
    """Instance norms, written as layer norms over space without gamma and beta."""
    net = Sketch("style")
    x = net.input(32, 32, 3)
    for filters in (8, 16):
        x = net.conv(filters, x)
        x = net.add("LayerNormalization", x, axis=(1, 2), center=False, scale=False)
        x = net.relu(x)
    return net.graph(net.conv(3, x, activation="tanh"))


def classifier(synchronized: bool) -> Graph:
    """Norms of maps and of vectors, whose statistics replicas share or not."""
    net = Sketch("classifier")
    x = net.input(32, 32, 3)
    for filters in (8, 16):
        x = net.conv(filters, x, strides=(2, 2), use_bias=False)
        x = net.relu(net.norm(x, synchronized=synchronized))
    x = net.dense(8, net.add("GlobalAveragePooling2D", x), use_bias=False)
    x = net.relu(net.norm(x, synchronized=synchronized))
    return net.graph(net.dense(4, x, activation="softmax"))


DESIGNS: Mapping[str, Callable[[], Graph]] = {
    "a vision transformer": vision_transformer,
    "a transformer U-Net": transformer_u_net,
    "a recurrent encoder": recurrent_encoder,
    "a conformer": conformer,
    "a residual U-Net": residual_u_net,
    "pre-activation stages, joined": stages_joined,
    "a dense U-Net": dense_u_net,
    "a dense prediction transformer": dense_prediction_transformer,
    "a Siamese network of scaled images": siamese,
    "a wide and deep network": wide_and_deep,
    "instance norms without gamma and beta": plain_instance_norms,
}
"""Without Keras."""
