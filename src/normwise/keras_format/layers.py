"""Copies of single Keras layers and ops, and new layers from configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from normwise.errors import SurgeryError
from normwise.graph.catalogue import LINEAR

OWN = frozenset({"build", "quantize"})
"""Attributes in which Keras binds each layer to itself when it is made."""


def copy_layer(
    source: Any, changes: Mapping[str, Any], where: str, applied: Any | None = None
) -> Any:
    """A copy of a layer or op with weights of its own, not yet built if it has any.

    Args:
        source: The layer or op.
        changes: Settings in which the copy differs.
        where: The layer's path, for errors.
        applied: The layer that the copy applies as its activation, where that is a layer.

    Raises:
        SurgeryError: It has weights and can't be made again from its configuration.
    """
    plain = not getattr(source, "variables", None) and getattr(source, "built", True)
    if plain and applied is None and not changes.keys() - {"name"}:
        return _twin(source, changes.get("name", source.name))
    try:
        told = source.get_config()
        other = {key: v for key, v in changes.items() if key != "name" or key in told}
        config = {**told, **_live_activations(source, told, applied), **other}
        copy = type(source).from_config(config)
    except Exception as error:
        # A user's own get_config and constructor may raise anything.
        raise SurgeryError(
            f"layer {where!r} of class {type(source).__name__} can't be copied: "
            f"{first_line(error)} Give the class a get_config() that returns the arguments of its "
            "constructor."
        ) from error
    # A get_config() without the name would have Keras make one up, or refuse another one.
    copy.name = changes.get("name", source.name)
    copy._remat_mode = getattr(source, "_remat_mode", None)
    return copy


def start_cheaply(layer: Any, source: Any) -> Callable[[], None]:
    """Spares a layer that isn't built yet random numbers, as its weights are set right afterwards.

    These are most of what it costs to make a layer, and on JAX each shape of them is compiled.

    Args:
        layer: A layer of one of Keras' own classes that hold large weights; others stay.
        source: The layer of which it is a copy.

    Returns:
        What puts the layer's own initializers back, to be called once it is built.
    """
    import keras  # noqa: PLC0415

    kind = type(layer)
    if kind.__name__ not in LINEAR | {"Embedding"} or is_foreign(kind):
        return lambda: None
    kind = keras.initializers.Initializer
    own = {name: value for name, value in vars(layer).items() if isinstance(value, kind)}
    for name in own:
        setattr(layer, name, _cheap_values(source))

    def restore() -> None:
        for name, value in own.items():
            setattr(layer, name, value)

    return restore


def _cheap_values(source: Any) -> Any:
    """An initializer: zeros, or what costs no memory either.

    TensorFlow copies a shared buffer before it writes to it, so there a kernel may begin as that of
    another layer. All zeros of a copy would be as large as its weights, and not yet these.
    """
    import keras  # noqa: PLC0415

    if keras.backend.backend() != "tensorflow":
        return keras.initializers.Zeros()
    kernels = {tuple(v.shape): v for v in source.variables if len(v.shape) > 1}

    def values(shape: Any, dtype: Any = None) -> Any:
        if tuple(shape) in kernels:
            return keras.ops.cast(kernels[tuple(shape)].value, dtype)
        return keras.ops.zeros(shape, dtype)

    return values


def _live_activations(source: Any, told: Mapping[str, Any], applied: Any | None) -> dict[str, Any]:
    """Activations that are handed over as they are: no text makes a function again, or one layer.

    The name of one may be that of another: `keras.ops.gelu` approximates what
    `keras.activations.gelu` computes, and closures share theirs. What a user's class makes of its
    arguments isn't known, so that gets only what has no name at all.
    """
    live = {key: getattr(source, key, None) for key in _ACTIVATIONS if key in told}
    found = {
        key: activation
        for key, activation in live.items()
        if _is_function(activation)
        and (not is_foreign(type(source)) or is_lambda_function(activation))
    }
    return found if applied is None else {**found, "activation": applied}


_ACTIVATIONS = ("activation", "recurrent_activation")


def fused_function(layer: Any) -> Any | None:
    """The function that a layer applies to its result, None where that is a layer with its own."""
    import keras  # noqa: PLC0415

    activation = getattr(layer, "activation", None)
    while isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    return activation if _is_function(activation) else None


def _is_function(activation: Any) -> bool:
    import keras  # noqa: PLC0415

    return callable(activation) and not isinstance(activation, keras.layers.Layer)


def is_lambda_function(activation: Any) -> bool:
    """Whether a function has no name of its own."""
    return getattr(activation, "__name__", "") == "<lambda>"


def _twin(source: Any, name: str) -> Any:
    """The same object again, without its place in a graph: for what has no weights.

    Lambdas, adapted vocabularies and objects without a configuration survive this.
    """
    kind: Any = type(source)
    twin = kind.__new__(kind)
    kept = {key: value for key, value in vars(source).items() if key not in OWN}
    vars(twin).update(kept)
    vars(twin).update(_inbound_nodes=[], _outbound_nodes=[])
    if "_losses" in kept:
        vars(twin).update(_losses=[], _loss_ids=set())
    if name != source.name:
        twin.name = name
    return twin


def new_layer(class_name: str, config: Mapping[str, Any], where: str) -> Any:
    """A new layer of one of Keras' own classes.

    Raises:
        SurgeryError: There is no such class, or it refuses the configuration.
    """
    import keras  # noqa: PLC0415

    kind = getattr(keras.layers, class_name, None)
    if kind is None:
        raise SurgeryError(f"layer {where!r}: Keras has no layer class {class_name!r}.")
    try:
        return kind.from_config(dict(config))
    except Exception as error:
        raise SurgeryError(
            f"layer {where!r} of class {class_name} can't be made: {first_line(error)}"
        ) from error


def custom_objects(model: Any) -> dict[str, Any]:
    """What a live model is made of that isn't Keras' own: functions and classes by their names.

    With them a configuration can be read back without the user registering anything.
    """
    found: dict[str, Any] = {}
    for layer in _layers_of(model):
        for part in (layer, *vars(layer).values()):
            kind = part if callable(part) and hasattr(part, "__name__") else type(part)
            if is_foreign(kind):
                found[kind.__name__] = kind
    return found


def _layers_of(model: Any) -> Iterator[Any]:
    yield from getattr(model, "operations", ())
    yield from model._flatten_layers(include_self=True)


def is_foreign(kind: Any) -> bool:
    """Whether a class or function is a user's own."""
    module = getattr(kind, "__module__", None) or "builtins"
    return module.partition(".")[0] not in {"keras", "builtins", "numpy", "tensorflow", "torch"}


def first_line(error: Exception) -> str:
    """The first line of what an error says, as a sentence."""
    lines = str(error).strip().splitlines()
    text = next((line for line in lines if line.strip()), type(error).__name__)
    return f"{text.strip().rstrip('.')}."
