"""The healthy networks that faults are put into."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from normwise.graph.graph import Graph
from normwise.keras_format import read_graph
from normwise.rules.sketches import Sketch
from tests.rules.corpus import HEALTHY
from tests.rules.corpus.blocks import conv1d

APPLICATIONS = (
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "Xception",
)
"""Of keras.applications, with random weights and their classifiers."""


def ours(network: str, **options: Any) -> Graph:
    """A network of ours for images of 64 x 64 pixels."""
    import normwise as nw

    return read_graph(nw.build(network, (64, 64, 3), **{"filters": 8, "depth": 3, **options}))


def question_mended() -> Graph:
    """The network of the question without what is wrong in it."""
    import normwise as nw

    mended = {"norm": "batch@post-activation", "decoder_activation": "relu"}
    model = nw.build("question", (512, 512, 9), **mended, normalized_skips=True, dropout=0.0)
    return read_graph(model)


def on_encoder() -> Graph:
    """A U-Net on a network of keras.applications."""
    import normwise as nw

    return read_graph(nw.build("encoder", (64, 64, 3), encoder="MobileNetV2", filters=8))


def application(name: str) -> Graph:
    """A network of keras.applications."""
    import keras

    return read_graph(getattr(keras.applications, name)(weights=None))


def text_classifier() -> Graph:
    """Convolutions over the words of a text."""
    net = Sketch("text")
    x = net.add("Embedding", net.input(40, dtype="int32"))
    for filters in (16, 32):
        x = net.relu(net.norm(conv1d(net, x, filters, 3, use_bias=False)))
    x = net.add("GlobalMaxPooling1D", x, data_format="channels_last", keepdims=False)
    return net.graph(net.dense(4, x, activation="softmax"))


DRAWN: Mapping[str, Callable[[], Graph]] = {
    "text classifier": text_classifier,
    **{
        program.name: lambda program=program: program.draw().model
        for program in HEALTHY
        if not program.warnings and "chess" not in program.name
    },
}
"""Without Keras: the healthy real programs that have their channels last."""

OURS: Mapping[str, Callable[[], Graph]] = {
    "unet": partial(ours, "unet"),
    "unet, norms behind activations": partial(ours, "unet", norm="batch@post-activation"),
    "residual": partial(ours, "residual"),
    "attention": partial(ours, "attention"),
    "nested": partial(ours, "nested"),
    "encoder (MobileNetV2)": on_encoder,
    "question, mended": question_mended,
}

HOSTS: Mapping[str, Callable[[], Graph]] = {
    **OURS,
    **{name: partial(application, name) for name in APPLICATIONS},
    **DRAWN,
}
