"""Mixed precision while a network trains; its variables, and what is saved, stay float32."""

from typing import Any

import keras

from normwise.keras_format.paths import layers_by_path


def set_precision(network: keras.Model, precision: str) -> None:
    """Sets in what type the layers of a network calculate.

    Three kinds of layers stay at float32 in any case: those that read the input, whose raw pixel
    values have more digits than bfloat16 and may be larger than float16 allows; fixed scalings; and
    the one that gives the output, which a loss or a regression's target needs in full.

    Args:
        network: A functional model. It must not have been called in another precision since it
            was compiled, for compiled functions stay as they are.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
    """
    for layer in layers_by_path(network).values():
        whole = precision == "float32" or _stays_whole(layer, network)
        layer.dtype_policy = keras.DTypePolicy("float32" if whole else precision)


def _stays_whole(layer: keras.layers.Layer, network: keras.Model) -> bool:
    if isinstance(layer, (keras.layers.Normalization, keras.layers.InputLayer)):
        return True
    reads = keras.tree.flatten(getattr(layer, "input", None))
    return layer.name in network.output_names or _any_of(reads, network.inputs)


def _any_of(some: list[Any], tensors: list[Any]) -> bool:
    return any(one is tensor for one in some for tensor in tensors)
