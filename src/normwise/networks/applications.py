"""The networks of `keras.applications`, and what their pretrained weights expect of an image."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from normwise.errors import NetworkError, did_you_mean
from normwise.graph.catalogue import Role, role_of
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.regions import layout_of
from normwise.keras_format.names import as_in_a_new_session, made_up_base
from normwise.keras_format.reading import read_graph

Floats = NDArray[np.float64]

# Of ImageNet's training images: red, green and blue, in units of 0..255.
_MEAN: Final = np.array([0.485, 0.456, 0.406]) * 255
_STD: Final = np.array([0.229, 0.224, 0.225]) * 255

_SIZES: Final = (256, 257)
"""Sizes at which an application is built. Some look at the sizes of their tensors while they are
built, and what they do fits a multiple of their stride only where all resolutions are even: at
256, or at 257 where the first convolution has no padding."""

_PREPROCESSING: Final = frozenset({"Rescaling", "Normalization"})


@final
@dataclass(frozen=True)
class Convention:
    """What a network that was trained on ImageNet reads.

    Attributes:
        positions: For red, green and blue its place among the input channels.
        scale: For red, green and blue, what the standard deviation of an image's channel becomes.
        offset: What its mean becomes.
    """

    positions: tuple[int, int, int] = (0, 1, 2)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


@final
@dataclass(frozen=True, eq=False)
class Application:
    """A network of `keras.applications` without its top, for images of three channels.

    Attributes:
        name: For example `"ResNet50"`.
        model: It, with random weights, at one of `_SIZES`.
        graph: Its graph, nested models opened.
    """

    name: str
    model: Any
    graph: Graph

    @cached_property
    def preprocessing(self) -> tuple[str, ...]:
        """The layers before the first other one that scale the input, in order."""
        found: list[str] = []
        index = self.graph.input_tensors[0].node
        while len(self.graph.consumers[index]) == 1:
            index = self.graph.consumers[index][0]
            if self.graph.nodes[index].class_name not in _PREPROCESSING:
                break
            found.append(self.graph.nodes[index].layer)
        return tuple(found)

    @cached_property
    def own_names(self) -> Mapping[str, str]:
        """For each layer and op the name it has in our networks, whatever was built before."""
        nodes = self.graph.nodes
        kinds = {_leaf(node.layer): node.class_name for node in nodes}
        bases = {made_up_base(name, kind) for name, kind in kinds.items()}
        return as_in_a_new_session(kinds, {base for base in bases if base})

    @cached_property
    def learned(self) -> Mapping[str, str]:
        """The class of each layer with weights, those of its pre-processing left out."""
        return {
            layer.name: type(layer).__name__
            for layer in leaves_of(self.model)
            if layer.weights and layer.name not in self.preprocessing
        }

    @cached_property
    def stride(self) -> int:
        """Total stride in pixels."""
        return max(layout_of(self.graph).stride)

    @cached_property
    def stem(self) -> str:
        """The first learned layer, by its name in our networks."""
        nodes = self.graph.nodes
        return self.own_names[_leaf(next(n.layer for n in nodes if role_of(n) is Role.LINEAR))]


def _leaf(layer: str) -> str:
    """A layer's name without those of the models around it."""
    return layer.rpartition("/")[2]


def leaves_of(model: Any) -> Iterator[Any]:
    """The layers of a model, those of nested models in their place."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from leaves_of(layer)
        else:
            yield layer


def names() -> tuple[str, ...]:
    """Every network in `keras.applications`."""
    import keras  # noqa: PLC0415 - only where a network is built

    found = vars(keras.applications).items()
    return tuple(sorted(name for name, value in found if name[0].isupper() and callable(value)))


def application(name: str) -> Application:
    """Builds a network of `keras.applications`, without its top.

    Raises:
        NetworkError: There is no such network.
    """
    builder = _builder(name)
    for size in _SIZES:
        model = builder(include_top=False, weights=None, input_shape=(size, size, 3))
        graph = flatten(read_graph(model))
        if _halves(graph) or size == _SIZES[-1]:
            break
    return Application(name, model, graph)


def _builder(name: str) -> Any:
    import keras  # noqa: PLC0415

    known = names()
    if name not in known:
        hint = did_you_mean(name, known, 0.5)
        raise NetworkError(
            f"encoder: {name!r} is no network of keras.applications; known are "
            f"{', '.join(known)}.{hint}"
        )
    return getattr(keras.applications, name)


def _halves(graph: Graph) -> bool:
    """Whether the first resolution below the input's divides it."""
    sizes = [n.shape[1] for n in graph.nodes if n.shape is not None and len(n.shape) == 4]
    coarser = [size for size in sizes if size is not None and size < _SIZES[0] - 2]
    return bool(coarser) and _SIZES[0] % coarser[0] == 0


def downloaded(name: str) -> Any:
    """The network with Keras' own ImageNet weights.

    Raises:
        NetworkError: The download failed.
    """
    try:
        return _builder(name)(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where the network is missing
        reason = " ".join(str(error).split())
        raise NetworkError(
            f"encoder: the ImageNet weights of {name} couldn't be loaded ({reason}). Without a "
            "network, give the file that Keras would download: weights=PATH, its name ends in "
            "_notop.h5."
        ) from error


def convention_of(found: Application) -> Convention:
    """What the application's ImageNet weights expect, from its own pre-processing.

    That is `preprocess_input` of its module and the scaling layers inside it. A scaling that was
    itself learned from ImageNet (EfficientNet) makes mean 0 and variance 1.
    """
    probe = np.stack([_MEAN, *(_MEAN + row for row in np.diag(_STD))])[None, None]
    values = np.asarray(_preprocessed(found, probe.astype("float32")), "float64")[0, 0]
    if any(found.model.get_layer(name).weights for name in found.preprocessing):
        return Convention()
    offset, changes = values[0], values[1:] - values[0]
    first, second, third = (int(position) for position in np.abs(changes).argmax(axis=1))
    positions = (first, second, third)
    return Convention(
        positions,
        _three(changes[colour, place] for colour, place in enumerate(positions)),
        _three(offset[place] for place in positions),
    )


def _three(values: Iterator[Any]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _preprocessed(found: Application, pixels: NDArray[np.float32]) -> Any:
    import keras  # noqa: PLC0415

    module = sys.modules[_builder(found.name).__module__]
    x = keras.ops.convert_to_tensor(module.preprocess_input(pixels, data_format="channels_last"))
    for name in found.preprocessing:
        x = found.model.get_layer(name)(x)
    return keras.ops.convert_to_numpy(x)
