"""What a user calls a model: a file, a run folder, `package.module:callable`, a live model."""

import importlib
import os
import re
import sys
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any

from normwise.backend import require_backend
from normwise.errors import ModelReadError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.archive import read_config
from normwise.keras_format.legacy import is_legacy
from normwise.keras_format.reading import model_file, read_graph

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_FAILURES = (Exception, SystemExit)
"""What the user's code may raise; a script that exits must not end a check as if all were well."""


def graph_of(model: Any) -> Graph:
    """The graph of whatever names a model; files are read without a backend.

    Args:
        model: A live model, a path of a `.keras`, `.h5` or `.json` file, a run folder, or
            `"package.module:callable"`, which imports that module and calls it.

    Raises:
        ModelReadError: It can't be read.
    """
    return graph_named(model, _called(model) if is_callable_name(model) else model)


def graph_named(name: Any, model: Any) -> Graph:
    """The graph of a model, with errors that say what names it.

    Raises:
        ModelReadError: It can't be read.
    """
    try:
        return read_graph(model)
    except ModelReadError as error:
        if not is_callable_name(name):
            raise
        raise ModelReadError(f"{name}: {error}") from error


def refuse_missing(model: Any) -> None:
    """Says at once that a model file isn't there, before other work starts.

    Raises:
        ModelReadError: The path names no file or run folder.
    """
    if isinstance(model, (str, PathLike)) and not is_callable_name(model):
        model_file(model)


def live_model(model: Any) -> Any:
    """The live Keras model behind whatever names one.

    Raises:
        ModelReadError: It can't be read or loaded.
    """
    if is_callable_name(model):
        return _called(model)
    if not isinstance(model, (str, PathLike)):
        return model
    path = model_file(fspath(model))
    graph_of(path)  # its errors are clearer than those of a failed load
    if path.suffix == ".json":
        raise ModelReadError(f"{path}: an architecture without weights; save the whole model.")
    return _loaded(path)


def architecture_of(path: Path) -> Any:
    """The model of a `.json` architecture, its weights as they are initialized.

    Raises:
        ModelReadError: Keras can't build it.
    """
    require_backend()
    import keras  # noqa: PLC0415 - after the backend is chosen

    graph_of(path)  # its errors are clearer than those of a failed load
    if is_legacy(read_config(path)):
        from normwise.keras_format.legacy_model import legacy_model  # noqa: PLC0415

        return legacy_model(path)
    try:
        return keras.models.model_from_json(path.read_text(encoding="utf-8"))
    except Exception as error:
        raise _unbuildable(path, "build", error) from error


def _loaded(path: Path) -> Any:
    require_backend()
    import keras  # noqa: PLC0415 - after the backend is chosen

    if is_legacy(read_config(path)):
        return _legacy(path)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise _unbuildable(path, "load", error) from error


def _unbuildable(path: Path, verb: str, error: Exception) -> ModelReadError:
    """What Keras says of a file; it raises many types, all of which mean that it can't be built."""
    first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
    function = None if path.suffix.lower() in _TELLING else _function_in(path)
    if function is not None:
        return ModelReadError(
            f"{path}: Keras can't {verb} it: to .h5 files it writes functions such as `x + y` or "
            f"keras.ops.mean(x) and can't read them again, here {function!r}. Save the model as a "
            ".keras file."
        )
    return ModelReadError(
        f"{path}: Keras can't {verb} it: {first.strip()} If the model has custom layers, import "
        "the module that registers them first (--import MODULE)."
    )


_TELLING = (".keras", ".json")
"""Files that tell functions from layers."""


def _function_in(path: Path) -> str | None:
    """The class of one of Keras' functions in an HDF5 file; a layer there says if it is trained."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    functions = {name.replace("_", "") for name in dir(keras.ops)} | {"getitem"}
    nodes = flatten(read_graph(path)).nodes
    names = (node.class_name for node in nodes if "trainable" not in node.config)
    return next((name for name in names if name.lower() in functions), None)


def _legacy(path: Path) -> Any:
    """A Keras 2 model: from its graph, or as far as it has layers of one's own, from Keras."""
    import keras  # noqa: PLC0415

    from normwise.keras_format.legacy_model import legacy_model, set_weights  # noqa: PLC0415

    try:
        return legacy_model(path)
    except ModelReadError:
        try:
            model = keras.saving.load_model(path, compile=False)
        except Exception:
            model = None  # what ours says is clearer than what Keras says
        if model is None:
            raise
    set_weights(path, model)  # Keras has gone by their positions
    return model


def is_callable_name(model: Any) -> bool:
    """Whether a model is named as `package.module:callable`."""
    return (
        isinstance(model, str)
        and _CALLABLE.fullmatch(model) is not None
        and not os.path.exists(model)  # noqa: PTH110 - a name that is too long is no file
    )


def _called(name: str) -> Any:
    require_backend()
    module_name, _, attribute = name.partition(":")
    module = _imported(module_name, name)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        raise ModelReadError(f"{name}: {error}.") from error
    if not callable(found) or hasattr(found, "layers"):
        return found
    try:
        return found()
    except _FAILURES as error:
        raise ModelReadError(
            f"{name}: calling it failed: {type(error).__name__}: {error}"
        ) from error


def _imported(module: str, asked: str, folders: Sequence[str] = ()) -> ModuleType:
    """A module of the user's; `asked` is what they asked for."""
    for folder in (str(Path.cwd()), *folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except _FAILURES as error:
        raise ModelReadError(
            f"{asked}: importing {module} failed: {type(error).__name__}: {error}"
        ) from error


def import_modules(names: Sequence[str], folders: Sequence[str] = ()) -> None:
    """Imports modules that register custom layers.

    Args:
        names: As Python imports them.
        folders: Where they are looked for, too.

    Raises:
        ModelReadError: There is no such module, or it fails.
    """
    if names:
        require_backend()
    for name in names:
        _imported(name, f"--import {name}", folders)
