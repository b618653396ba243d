"""Saves a model so that older Keras 3 and a machine without normwise can load it."""

import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from normwise.errors import SurgeryError
from normwise.files import whole_file, without_new_folders
from normwise.keras_format.applied import applied_layer
from normwise.keras_format.layers import first_line, is_lambda_function
from normwise.keras_format.live import is_model

NEWER_DEFAULTS = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
"""What Keras 3.15 writes into every BatchNormalization and older Keras 3 refuses to read."""


def save_model(model: Any, path: Path, *, overwrite: bool = False) -> None:
    """Writes a `.keras` file, whole or not at all.

    Args:
        model: A built `keras.Model`.
        path: Where to; must end in `.keras`.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and `overwrite` is False.
        SurgeryError: A layer has no configuration, or Keras could write the file and not load it
            again, or load another model.
    """
    _refuse_repeats(model, path)
    _refuse_shared_weights(model, path)
    for where, layer, _ in _configurations(model, path):  # before anything is made
        _refuse_lambda_activation(path, where, layer)
    with without_new_folders(path), whole_file(path, overwrite=overwrite) as temporary:
        model.save(temporary)
        _drop_newer_defaults(temporary)


def refuse_lambdas(model: Any, path: Path) -> None:
    """Refuses a model whose file could only be loaded by running code from the file.

    Args:
        model: A built `keras.Model`.
        path: Where it was to be written, for the error.

    Raises:
        SurgeryError: A layer holds a lambda.
    """
    for where, layer, config in _configurations(model, path):
        if _holds_lambda(config):
            raise SurgeryError(
                f"{path}: layer {where!r} of class {type(layer).__name__} holds a Python lambda, "
                "and neither Keras nor normwise loads a file with one unless told to run code "
                "from it. Nothing was written. Use a function with a name, registered with "
                "keras.saving.register_keras_serializable(); or do this in Python, write the new "
                "model with model.save(), and load it with load_model(..., safe_mode=False)."
            )


def _refuse_lambda_activation(path: Path, where: str, layer: Any) -> None:
    """Of a lambda that is an activation Keras doesn't write that it is one."""
    parts = layer._flatten_layers() if hasattr(layer, "_flatten_layers") else [layer]
    applied = (getattr(part, name, None) for part in parts for name in _ACTIVATIONS)
    if any(map(is_lambda_function, applied)):
        raise SurgeryError(
            f"{path}: the activation of layer {where!r} is a Python lambda, which Keras writes and "
            "can't load again. Nothing was written. Use a function with a name, registered with "
            "keras.saving.register_keras_serializable()."
        )


_ACTIVATIONS = ("activation", "recurrent_activation")


def _configurations(model: Any, path: Path) -> Iterator[tuple[str, Any, Any]]:
    """Path, layer and configuration of all that a model is made of, as Keras writes them.

    Raises:
        SurgeryError: A layer has none.
    """
    import keras  # noqa: PLC0415

    pending = [("", model)]
    while pending:
        prefix, own = pending.pop()
        for part in getattr(own, "operations", own.layers):
            where = f"{prefix}{part.name}"
            if is_model(part):
                pending.append((f"{where}/", part))
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # said again when it is written
                    config = keras.saving.serialize_keras_object(part)
            except Exception as error:  # a user's own get_config may raise anything
                raise SurgeryError(_unwritten(path, where, part, error)) from error
            yield where, part, config


def _unwritten(path: Path, where: str, layer: Any, error: Exception) -> str:
    missing = isinstance(error, NotImplementedError)
    return (
        f"{path}: layer {where!r} of class {type(layer).__name__} can't be written: "
        f"{'it has no get_config().' if missing else first_line(error)} Nothing was written. Give "
        "the class a get_config() that returns the arguments of its constructor."
    )


def _holds_lambda(config: Any) -> bool:
    if isinstance(config, Mapping):
        own = config.get("class_name") == "__lambda__"
        return own or any(map(_holds_lambda, config.values()))
    return isinstance(config, (list, tuple)) and any(map(_holds_lambda, config))


def _refuse_repeats(model: Any, path: Path) -> None:
    """Keras writes each layer of a Sequential model once, however often it stands there."""
    import keras  # noqa: PLC0415 - the backend is chosen by whoever made the model

    pending = [model]
    while pending:
        own = pending.pop()
        pending += [layer for layer in own.layers if is_model(layer)]
        if not isinstance(own, keras.Sequential):
            continue
        names = Counter(layer.name for layer in own.layers)
        twice = [repr(name) for name, count in names.items() if count > 1]
        if twice:
            raise SurgeryError(
                f"{path}: {', '.join(twice)} of the Sequential model {own.name!r}: more than one "
                "place has this layer, and Keras writes only the first, so that the file would "
                "hold another model. Nothing was written. Give each place a layer of its own, or "
                "build the model with the functional API."
            )


def _refuse_shared_weights(model: Any, path: Path) -> None:
    """Keras writes a layer's weights once, and makes a layer for each that it stands in."""
    seen: dict[int, str] = {}
    pending = [("", layer) for layer in reversed(model.layers)]
    while pending:
        prefix, layer = pending.pop()
        where = f"{prefix}{layer.name}"
        if is_model(layer):
            pending += [(f"{where}/", inner) for inner in reversed(layer.layers)]
            continue
        for name, part in _with_applied(where, layer):
            # One that isn't built yet gets its weights in its first call.
            weighs = part.weights or not part.built
            if weighs and seen.setdefault(id(part), name) != name:
                raise SurgeryError(
                    f"{path}: {seen[id(part)]!r} and {name!r} are one layer in two models or "
                    "layers; Keras writes its weights only once and can't load such a file. "
                    "Nothing was written. Let one model call the layer, or give each a layer of "
                    "its own."
                )


def _with_applied(where: str, layer: Any) -> Iterator[tuple[str, Any]]:
    """A layer and the one that it applies as its activation, by their paths."""
    yield where, layer
    applied = applied_layer(layer)
    if applied is not None:
        yield f"{where}/{applied.name}", applied


def _drop_newer_defaults(path: Path) -> None:
    stripped = path.with_name(f"{path.name}.stripped")
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(stripped, "w") as new:
            for entry in old.infolist():
                content = old.read(entry)
                if entry.filename == "config.json":
                    content = json.dumps(without_newer_defaults(json.loads(content))).encode()
                new.writestr(entry, content)
        stripped.replace(path)
    finally:
        stripped.unlink(missing_ok=True)


def without_newer_defaults(config: Any) -> Any:
    """A configuration without the keys that say no more than that renormalization is off."""
    if isinstance(config, list):
        return [without_newer_defaults(part) for part in config]
    if not isinstance(config, dict):
        return config
    drop = set(NEWER_DEFAULTS) if config.get("renorm") is False else set()
    return {k: without_newer_defaults(v) for k, v in config.items() if k not in drop}
