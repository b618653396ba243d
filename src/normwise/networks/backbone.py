"""An application of Keras as the way down of our network: any channels, sizes that halve exactly.

The application's graph is replayed on another input. Two things change on the way. Its scaling
of the input is left out, for the input is scaled once, by our own layers. And convolutions and
poolings without padding that overlap (`valid`, in Inception, Xception and NASNet) get it, so that
each resolution is exactly a half of the one before whatever the size: away from the border they
compute the same, at positions that are shifted by a pixel.
"""

from dataclasses import dataclass
from typing import Any, final

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node
from normwise.graph.layer_shapes import pair
from normwise.graph.regions import layout_of
from normwise.graph.taps import taps_of
from normwise.keras_format.reading import read_graph
from normwise.networks.applications import Application


@final
@dataclass(frozen=True)
class Backbone:
    """The way down.

    Attributes:
        model: From the input to the coarsest tensor; flat, and with names that don't depend on
            what was built before.
        layers: The application's layers in it.
        stem: The first learned layer.
        taps: The tensor of each resolution for a skip, by the resolution's stride.
        stride: Total stride.
        batch_norms: How many of the layers are batch normalizations.
    """

    model: Any
    layers: tuple[Any, ...]
    stem: Any
    taps: dict[int, Any]
    stride: int
    batch_norms: int


def backbone(
    application: Application, inputs: Any, x: Any, momentum: float | None = None
) -> Backbone:
    """Replays an application on a tensor.

    Args:
        application: The network; it isn't changed.
        inputs: The input of the model that is being built.
        x: The tensor that the application's first layer shall read.
        momentum: Of the batch normalizations; None for the application's own.
    """
    import keras  # noqa: PLC0415 - plans and files are handled without a backend

    replay = _Replay(application, inputs, x, momentum)
    model = keras.models.clone_model(
        application.model,
        input_tensors=inputs,
        clone_function=replay.copy,
        call_function=replay.call,
    )
    made = {operation.name: operation for operation in model.operations}
    layout = layout_of(read_graph(model))
    graph = layout.graph
    own = tuple(layer for layer in model.layers if layer.name in replay.names)
    taps = {
        tap.scale[0].denominator: made[graph.nodes[tap.node].layer].output
        for tap in taps_of(layout)
    }
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in own)
    return Backbone(model, own, made[application.stem], taps, max(layout.stride), norms)


@final
class _Replay:
    """Copies the application's layers and calls them on the new input."""

    def __init__(
        self, application: Application, inputs: Any, x: Any, momentum: float | None
    ) -> None:
        self._inputs, self._x, self._momentum = inputs, x, momentum
        self._skipped = frozenset(application.preprocessing)
        self._padded = _unpadded(application.graph)
        self._names = application.own_names
        self.names: set[str] = set()

    def copy(self, operation: Any) -> Any:
        import keras  # noqa: PLC0415

        if isinstance(operation, keras.Sequential) or operation.name in self._skipped:
            return operation
        config = operation.get_config()
        config["name"] = self._names[operation.name]
        if operation.name in self._padded:
            config["padding"] = "same"
        if isinstance(operation, keras.layers.BatchNormalization) and self._momentum is not None:
            config["momentum"] = self._momentum
        self.names.add(config["name"])
        return type(operation).from_config(config)

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        import keras  # noqa: PLC0415

        if operation.name in self._skipped:
            return args[0]
        args, kwargs = keras.tree.map_structure(
            lambda part: self._x if part is self._inputs else part, (args, kwargs)
        )
        if not isinstance(operation, keras.Sequential):
            return operation(*args, **kwargs)
        # A nested model would hide its tensors from the skips.
        x = args[0]
        for layer in operation.layers:
            x = self.copy(layer)(x)
        return x


def _unpadded(graph: Graph) -> frozenset[str]:
    """Overlapping windows without padding, unless a padding layer stands right before them."""
    found = set()
    for index, node in enumerate(graph.nodes):
        padded_before = any(role_of(graph.nodes[p]) is Role.BORDER for p in graph.producers[index])
        if not padded_before and node.config.get("padding") == "valid" and _overlaps(node):
            found.add(node.layer.rpartition("/")[2])
    return frozenset(found)


def _overlaps(node: Node) -> bool:
    if role_of(node) is Role.LINEAR and "kernel_size" in node.config:
        window = pair(node.config["kernel_size"], 2)
    elif role_of(node) is Role.POOL:
        window = pair(node.config["pool_size"], 2)
    else:
        return False
    strides = pair(node.config.get("strides") or window, 2)
    return any(size > step for size, step in zip(window, strides, strict=True))
