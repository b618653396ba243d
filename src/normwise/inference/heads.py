"""The outputs of a model that has several: which are wanted, as channels of one output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras

from normwise.errors import NetworkError
from normwise.graph.catalogue import activation_of
from normwise.graph.flatten import flatten
from normwise.graph.resolution import scales_of
from normwise.keras_format.reading import read_graph

_SIGMOID: Final = "sigmoid"
_PROBABILITIES: Final = frozenset({_SIGMOID, "softmax"})
_JOINED: Final = "outputs"


@dataclass(frozen=True)
class Head:
    """One output of a model.

    Attributes:
        name: Of the layer that makes it; where several outputs share it, with `:0`, `:1`, ...
        index: Which of the model's outputs it is.
        channels: How many it has.
        probabilities: Whether it ends in a sigmoid or softmax.
        obstacle: Why it is no image of the input's size; empty if it is one.
        independent: Whether several channels end in a sigmoid, so that all may be likely, or none.
    """

    name: str
    index: int
    channels: int
    probabilities: bool
    obstacle: str = ""
    independent: bool = False


def heads_of(model: keras.Model) -> tuple[Head, ...]:
    """All outputs of a model, in its order.

    Args:
        model: A functional or Sequential model.
    """
    graph = read_graph(model)
    flat = flatten(graph)
    scales, found = scales_of(flat), []
    for index, tensor in enumerate(graph.output_tensors):
        inner = flat.output_tensors[index].node
        made, activation = model.outputs[index].shape, activation_of(flat.nodes[inner])
        channels = int(made[-1] or 1)
        found.append(
            Head(
                graph.nodes[tensor.node].layer,
                index,
                channels,
                activation in _PROBABILITIES,
                _obstacle(made, model.inputs[0].shape, scales[inner]),
                activation == _SIGMOID and channels > 1,
            )
        )
    return _told_apart(found)


def _told_apart(heads: Sequence[Head]) -> tuple[Head, ...]:
    """Outputs of one layer, such as a model in the model, get a number each."""
    names = [head.name for head in heads]
    return tuple(
        replace(head, name=f"{head.name}:{names[:place].count(head.name)}")
        if names.count(head.name) > 1
        else head
        for place, head in enumerate(heads)
    )


def _obstacle(made: Sequence[Any], taken: Sequence[Any], scale: Any) -> str:
    if len(made) != len(taken):
        return f"has the shape {tuple(made)}"
    if scale and any(factor != 1 for factor in scale):
        return f"has {' x '.join(map(str, scale))} of the image's rows and columns"
    return ""


def joined(
    model: keras.Model, wanted: Sequence[str] | None = None
) -> tuple[keras.Model, tuple[Head, ...]]:
    """A model whose only output has the channels of the wanted ones, one after the other.

    It shares the layers and weights of the model; one with a single output is returned as it is.

    Args:
        model: A functional or Sequential model.
        wanted: Names of outputs, in the order of the result. None: all.

    Returns:
        The model, and its outputs.

    Raises:
        NetworkError: There is no such output, or it is no image of the input's size.
    """
    if len(model.outputs) == 1 and wanted is None:
        return model, heads_of(model)
    heads = _chosen(heads_of(model), wanted)
    unfit = [f"{head.name} {head.obstacle}" for head in heads if head.obstacle]
    if unfit:
        fit = [head.name for head in heads_of(model) if not head.obstacle]
        advice = f" Choose others: --outputs {','.join(fit)}" if fit else ""
        raise NetworkError(f"not every output is an image: {'; '.join(unfit)}.{advice}")
    if len(model.outputs) == 1:
        return model, heads
    tensors = [model.outputs[head.index] for head in heads]
    name = _JOINED
    while any(layer.name == name for layer in model.layers):
        name += "_"
    join = keras.layers.Concatenate(axis=-1, name=name, dtype="float32")
    result = join(tensors) if len(tensors) > 1 else tensors[0]
    return keras.Model(model.inputs, result, name=model.name), heads


def _chosen(heads: tuple[Head, ...], wanted: Sequence[str] | None) -> tuple[Head, ...]:
    if wanted is None:
        return heads
    known = {head.name: head for head in heads}
    strange = [name for name in wanted if name not in known]
    if strange or not wanted or len(set(wanted)) < len(wanted):
        raise NetworkError(
            f"outputs are {', '.join(map(repr, wanted)) or 'none'}; the model has "
            f"{', '.join(known)}. Name each that is wanted once."
        )
    return tuple(known[name] for name in wanted)
