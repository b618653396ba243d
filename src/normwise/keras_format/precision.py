"""Mixed precision while a network trains; its variables, and what is saved, stay float32."""

from typing import Any, Final

import keras

from normwise.keras_format.paths import layers_by_path

INPUT_RESIDUAL: Final = "input_residual"
"""The layer that gives an output most of its digits, which it takes from the scaled input."""
_SCALINGS: Final = (keras.layers.Normalization, keras.layers.Rescaling)


def set_precision(network: keras.Model, precision: str) -> None:
    """Sets in what type the layers of a network calculate.

    Some layers stay at float32 in any case: those that read the input, whose raw pixel values have
    more digits than bfloat16 and may be larger than float16 allows; fixed scalings, wherever they
    stand; the one that gives the output, which a loss or a regression's target needs in full; and
    the linear function of the input, `input_residual`, that is added to an output.

    Args:
        network: A functional model. It must not have been called in another precision since it
            was compiled, for compiled functions stay as they are.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
    """
    for layer in layers_by_path(network).values():
        whole = precision == "float32" or _stays_whole(layer, network)
        layer.dtype_policy = keras.DTypePolicy("float32" if whole else precision)


def _stays_whole(layer: keras.layers.Layer, network: keras.Model) -> bool:
    if isinstance(layer, (*_SCALINGS, keras.layers.InputLayer)) or layer.name == INPUT_RESIDUAL:
        return True
    reads = keras.tree.flatten(getattr(layer, "input", None))
    return layer.name in network.output_names or _any_of(reads, network.inputs)


def _any_of(some: list[Any], tensors: list[Any]) -> bool:
    return any(one is tensor for one in some for tensor in tensors)
