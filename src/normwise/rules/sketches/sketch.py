"""Draws small networks for the rules' examples, without Keras.

A layer has the configuration that Keras would write, as far as anything here reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.graph.shapes import with_shapes
from normwise.rules.context import Context, Training, Weights
from normwise.rules.context.measurements import Measurements, StateChange

_LINEAR = {"activation": "linear", "use_bias": True}
_SPATIAL = {"padding": "valid", "data_format": "channels_last"}
_WINDOW = {"kernel_size": (1, 1), "strides": (1, 1), "dilation_rate": (1, 1)}
_AFFINE = {"axis": -1, "epsilon": 1e-3, "center": True, "scale": True}
_CONV = {**_LINEAR, **_SPATIAL, **_WINDOW}
_POOL = {**_SPATIAL, "pool_size": (2, 2), "strides": (2, 2)}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Activation": {"activation": "linear"},
    "AlphaDropout": {"rate": 0.5, "noise_shape": None},
    "AveragePooling2D": _POOL,
    "BatchNormalization": {
        **_AFFINE, "momentum": 0.99, "synchronized": False, "renorm": False,
    },
    "Concatenate": {"axis": -1},
    "Conv1D": {**_CONV, "kernel_size": (1,), "strides": (1,), "dilation_rate": (1,), "groups": 1},
    "Conv2D": {**_CONV, "groups": 1},
    "Conv2DTranspose": {**_CONV, "output_padding": None},
    "Dense": _LINEAR,
    "DepthwiseConv2D": {**_CONV, "depth_multiplier": 1},
    "Dropout": {"rate": 0.5, "noise_shape": None},
    "Embedding": {"input_dim": 100, "output_dim": 8, "mask_zero": False},
    "GlobalAveragePooling2D": {"data_format": "channels_last", "keepdims": False},
    "GlobalAveragePooling1D": {"data_format": "channels_last", "keepdims": False},
    "GroupNormalization": {**_AFFINE, "groups": 32},
    "LayerNormalization": _AFFINE,
    "LSTM": {"units": 4, "return_sequences": False},
    "Masking": {"mask_value": 0.0},
    "MaxPooling2D": _POOL,
    "Normalization": {"axis": (-1,), "invert": False, "mean": None, "variance": None},
    "RMSNormalization": {"axis": -1, "epsilon": 1e-6},
    "SpatialDropout2D": {"rate": 0.5},
    "UpSampling2D": {
        "size": (2, 2), "data_format": "channels_last", "interpolation": "nearest",
    },
    "ZeroPadding2D": {"padding": ((1, 1), (1, 1)), "data_format": "channels_last"},
}  # fmt: skip
"""Settings of Keras' layers that nobody stated."""


class Sketch:
    """A network while it is drawn.

    Example:
        >>> net = Sketch()
        >>> x = net.conv(16, net.input(32, 32, 3))
        >>> context = net.context(net.add("BatchNormalization", x, name="norm"))
    """

    def __init__(self, name: str = "sketch") -> None:
        self._name = name
        self._calls: list[Node] = []
        self._inputs: list[Tensor] = []
        self._layers: dict[str, tuple[Node, int]] = {}
        self._counts: dict[str, int] = {}

    def input(self, *shape: int | None, name: str | None = None, dtype: str = "float32") -> Tensor:
        """An input of a shape without the batch axis."""
        name = name or self._free("input")
        outputs = (TensorSpec((None, *shape), dtype),)
        self._calls.append(Node(name, name, "InputLayer", "keras.layers", outputs=outputs))
        self._layers[name] = (self._calls[-1], 1)
        self._inputs.append(Tensor(len(self._calls) - 1))
        return self._inputs[-1]

    def add(
        self,
        class_name: str,
        *read: Tensor,
        name: str | None = None,
        call: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Tensor:
        """Calls a new layer.

        Args:
            class_name: A Keras class.
            read: What it reads; several tensors as one list, as merging layers take them.
            name: Its name.
            call: Keywords of the call, such as `training`.
            config: Its settings, where they aren't Keras' defaults.
        """
        name = name or self._free(class_name.lower())
        settings = {"trainable": True, **DEFAULTS.get(class_name, {}), **config}
        return self._call(name, class_name, settings, read, call or {})

    def conv(self, filters: int, read: Tensor, size: int = 3, **config: Any) -> Tensor:
        """Calls a new `Conv2D` that keeps the size."""
        shape: dict[str, Any] = {"kernel_size": (size, size), "padding": "same"}
        return self.add("Conv2D", read, filters=filters, **{**shape, **config})

    def dense(self, units: int, read: Tensor, **config: Any) -> Tensor:
        """Calls a new `Dense`."""
        return self.add("Dense", read, units=units, **config)

    def norm(self, read: Tensor, **config: Any) -> Tensor:
        """Calls a new `BatchNormalization`."""
        return self.add("BatchNormalization", read, **config)

    def relu(self, read: Tensor, **config: Any) -> Tensor:
        """Calls a new `Activation("relu")`."""
        return self.add("Activation", read, activation="relu", **config)

    def again(self, name: str, *read: Tensor) -> Tensor:
        """Calls a layer or nested model that is there already."""
        first, number = self._layers[name]
        return self._append(first, name, read, {}, number)

    def nest(
        self, model: Graph, *read: Tensor, name: str, call: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Calls a model as a layer."""
        outputs = tuple(TensorSpec() for _ in model.output_tensors)
        node = Node(name, name, model.class_name, "keras", model=model, outputs=outputs)
        return self._append(node, name, read, call or {}, 0)

    def each_step(
        self, step: Graph, read: Tensor, name: str, call: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Calls a `TimeDistributed`.

        Args:
            step: An input, and the layer that is applied at each step of time.
            read: A series: time is the axis behind that of the batch.
            name: Its name.
            call: Keywords of the call, such as `training`.
        """
        node = Node(name, name, "TimeDistributed", "keras.layers", steps=step)
        return self._append(node, name, (read,), call or {}, 0)

    def graph(self, *outputs: Tensor) -> Graph:
        """The network with these outputs."""
        ends = outputs[0] if len(outputs) == 1 else outputs
        inputs = self._inputs[0] if len(self._inputs) == 1 else tuple(self._inputs)
        return with_shapes(Graph(self._name, "Functional", tuple(self._calls), inputs, ends))

    def context(
        self,
        *outputs: Tensor,
        training: Training | None = None,
        weights: Weights | None = None,
        keras_version: tuple[int, ...] | None = None,
        written: bool = False,
        measured: Measurements | None = None,
        live: StateChange | None = None,
    ) -> Context:
        """The network with these outputs, for a rule to look at."""
        known = training or Training()
        graph = self.graph(*outputs)
        return Context(graph, weights, known, keras_version, written, measured, live)

    def _call(
        self,
        name: str,
        class_name: str,
        config: Mapping[str, Any],
        read: tuple[Tensor, ...],
        call: Mapping[str, Any],
    ) -> Tensor:
        node = Node(name, name, class_name, "keras.layers", freeze(config))
        return self._append(node, name, read, call, 0)

    def _append(
        self,
        like: Node,
        name: str,
        read: tuple[Tensor, ...],
        call: Mapping[str, Any],
        number: int,
    ) -> Tensor:
        self._calls.append(
            Node(
                name if number == 0 else f"{name}:{number}",
                name,
                like.class_name,
                like.module,
                like.config,
                read if len(read) == 1 or like.model is not None else (read,),
                freeze(call),
                tuple(TensorSpec() for _ in like.outputs),
                like.model,
                number,
                steps=like.steps,
            )
        )
        self._layers[name] = (like, number + 1)
        return Tensor(len(self._calls) - 1)

    def _free(self, wanted: str) -> str:
        name = wanted
        while name in self._layers:
            self._counts[wanted] = self._counts.get(wanted, 0) + 1
            name = f"{wanted}_{self._counts[wanted]}"
        return name
