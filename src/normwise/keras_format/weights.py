"""Weights of a source model by layer and name, and their way into a copy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from normwise.errors import SurgeryError

Array = np.ndarray[Any, Any]
LayerWeights = Mapping[str, Array]


class Weights:
    """A source model's weights as arrays, read one layer at a time.

    Args:
        layers: The source's layers by path.
        replaced: Arrays that stand in for some variables, by the variable's `id`.

    Attributes:
        read: The `id`s of the variables that have been asked for.
    """

    def __init__(
        self, layers: Mapping[str, Any], replaced: Mapping[int, Array] | None = None
    ) -> None:
        self._layers = layers
        self._replaced = replaced or {}
        self.read: set[int] = set()

    def of(self, path: str) -> LayerWeights:
        """The arrays of one layer by the names of its variables, such as `"kernel"`.

        Raises:
            SurgeryError: The source has no layer of that path.
        """
        if path not in self._layers:
            raise SurgeryError(f"the model has no layer {path!r}.")
        return {variable.name: self.array(variable) for variable in self._layers[path].variables}

    def array(self, variable: Any) -> Array:
        """A variable's value; always memory of its own."""
        self.read.add(id(variable))
        if id(variable) in self._replaced:
            return self._replaced[id(variable)]
        import keras  # noqa: PLC0415

        array = np.asarray(keras.ops.convert_to_numpy(variable.value))
        # What doesn't own its memory, or may not be written, is a view of the variable itself.
        return array if array.flags.owndata and array.flags.writeable else array.copy()

    def value(self, variable: Any) -> Any:
        """A variable's value for an assignment to another variable, without a copy if it can be.

        JAX donates the buffers of variables in training, so there a shared one would die with the
        first step. TensorFlow copies a shared one before it writes, PyTorch what it is given.
        """
        import keras  # noqa: PLC0415

        if id(variable) in self._replaced or keras.backend.backend() == "jax":
            return self.array(variable)
        return variable.value


WeightRule = Callable[[Weights], LayerWeights]
"""What a changed or new layer's weights are, given the source's; must be a pure function."""


def copy_variables(path: str, source: Any, copy: Any, weights: Weights) -> None:
    """Sets every variable of a copied layer.

    Raises:
        SurgeryError: The copy has other variables than the layer it copies.
    """
    old, new = variables_of(source), variables_of(copy)
    if [_identity(v) for v in old] != [_identity(v) for v in new]:
        raise SurgeryError(
            f"layer {path!r} of class {type(source).__name__} has the weights {_said(old)}, but a "
            f"copy made from its configuration has {_said(new)}. Its get_config() doesn't say "
            "everything, or it was changed after it was built (LoRA, quantization)."
        )
    for variable, theirs in zip([*new, *_states(copy)], [*old, *_states(source)], strict=True):
        variable.assign(weights.value(theirs))
    _finish(copy)


def _states(layer: Any) -> list[Any]:
    """What stateful recurrent layers carry from batch to batch, which Keras counts nowhere."""
    import keras  # noqa: PLC0415

    parts = [p for p in _flattened(layer) if isinstance(p, keras.layers.RNN) and p.stateful]
    found: list[Any] = keras.tree.flatten([part.states or [] for part in parts])
    return found


def assign(path: str, layer: Any, values: LayerWeights) -> None:
    """Sets the variables of a layer by their names; those without a value stay as they are.

    Raises:
        SurgeryError: A name that the layer doesn't have, or an array of another shape.
    """
    variables = {variable.name: variable for variable in layer.variables}
    for name, value in values.items():
        variable = variables.get(name)
        if variable is None or tuple(variable.shape) != np.shape(value):
            raise SurgeryError(
                f"layer {path!r}: got {name!r} of shape {np.shape(value)}; it has "
                f"{_said(list(variables.values()))}."
            )
        variable.assign(np.asarray(value))
    _finish(layer)


def _identity(variable: Any) -> tuple[str, tuple[int, ...]]:
    """What a variable and its copy have in common: a name that Keras made up ends in a number."""
    return re.sub(r"(_\d+)+$", "", variable.name), tuple(variable.shape)


def copy_flags(models: Iterable[tuple[Any, Any]], layers: Iterable[tuple[Any, Any]]) -> None:
    """Gives copies the `trainable` flags of what they copy, down to single variables.

    Args:
        models: Source model and copy, the outer before the inner.
        layers: Source layer (None for a new one, whose own flag stays) and copy.
    """
    pairs = [(o, c) for o, c in layers if hasattr(c, "trainable")]
    new = [(copy, copy.trainable) for origin, copy in pairs if origin is None]
    # A model's flag overwrites those of everything in it, so it comes before them.
    for origin, copy in models:
        if copy.trainable != origin.trainable:
            copy.trainable = origin.trainable
    for layer, flag in new:
        layer.trainable = flag
    for origin, copy in pairs:
        if origin is not None:
            _copy_flag(origin, copy)


def _copy_flag(origin: Any, copy: Any) -> None:
    theirs, ours = _flattened(origin), _flattened(copy)
    for part, same in zip(theirs, ours, strict=False):
        if same.trainable != part.trainable:
            same.trainable = part.trainable
    if len(theirs) == 1:
        _copy_variable_flags(origin, copy)


def _copy_variable_flags(origin: Any, copy: Any) -> None:
    ours = {_identity(variable): variable for variable in copy.variables}
    for variable in origin.variables:
        mine = ours.get(_identity(variable))
        if mine is not None and mine.trainable != variable.trainable:
            mine.trainable = variable.trainable


def _flattened(layer: Any) -> list[Any]:
    """A layer and all layers in it; none for a raw op."""
    found: list[Any] = layer._flatten_layers() if hasattr(layer, "_flatten_layers") else []
    return found


def variables_of(layer: Any) -> list[Any]:
    """The variables of a layer; none of a raw op, nor of no layer."""
    return list(getattr(layer, "variables", ()))


def _finish(layer: Any) -> None:
    """An adapted `Normalization` computes with what `finalize_state` makes of its variables."""
    for part in _flattened(layer):
        if hasattr(part, "finalize_state"):
            part.finalize_state()


def _said(variables: Sequence[Any]) -> str:
    told = ", ".join(f"{v.name} {tuple(v.shape)}" for v in variables)
    return told or "none"
