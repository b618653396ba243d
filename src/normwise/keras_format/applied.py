"""Layers that other layers apply as their activation: `Conv2D(activation=PReLU())`.

They are no calls of a graph. Several layers may apply the same one, with one set of weights, and
these come to be in the first call with numbers: no `build` of a convolution makes them.
"""

from __future__ import annotations

from typing import Any

from normwise.keras_format.layers import copy_layer, is_foreign


def applied_layer(layer: Any) -> Any | None:
    """The layer that one of Keras' own layers applies as its activation, None if there is none."""
    import keras  # noqa: PLC0415 - files are read without it

    kind = type(layer)
    # What the constructor of a user's class takes isn't known; a recurrent layer's is its cell's.
    if is_foreign(kind) or isinstance(getattr(kind, "activation", None), property):
        return None
    applied = getattr(layer, "activation", None)
    return applied if isinstance(applied, keras.layers.Layer) else None


def build_applied(layer: Any) -> None:
    """Makes the weights of what a layer applies as its activation, as its first call would.

    Until then there is nothing to copy, and a copy would begin with other random numbers.

    Args:
        layer: A layer of a model; nothing happens if it applies no layer, or sizes aren't known.
    """
    import keras  # noqa: PLC0415

    applied = applied_layer(layer)
    if applied is None or applied.built or not getattr(layer, "_inbound_nodes", ()):
        return
    if type(applied).build is keras.layers.Layer.build:
        return  # it makes its weights in `call`
    shape = layer._inbound_nodes[0].output_tensors[0].shape
    one_for_all = getattr(applied, "shared_axes", None) or ()
    sizes = enumerate(shape[1:], 1)
    if all(size is not None or axis in one_for_all for axis, size in sizes):
        applied.build(shape)


def copy_applied(source: Any, where: str) -> Any:
    """A copy of a layer that others apply, with weights if it has some.

    Args:
        source: The layer.
        where: Its path, for errors.

    Raises:
        SurgeryError: It can't be made again from its configuration.
    """
    copy = copy_layer(source, {}, where)
    if source.built and not copy.built:
        copy.build_from_config(source.get_build_config())
    return copy
