"""Reads a graph from whatever a user calls a model: a live model, a file, a run folder."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from normwise.errors import ModelReadError
from normwise.graph.graph import Graph
from normwise.keras_format.archive import read_config
from normwise.keras_format.compiled import Compiled, compiled_of
from normwise.keras_format.config import MALFORMED, graph_from_config
from normwise.keras_format.legacy import is_legacy, translate
from normwise.keras_format.live import describe

RUN_MODEL = "model.keras"


def model_file(path: str | PathLike[str]) -> Path:
    """The model file itself: the path, or `model.keras` inside a run folder.

    Raises:
        ModelReadError: There is no such file, or the folder holds no model.
    """
    found = Path(fspath(path))
    try:
        folder = found.is_dir()
        there = (found / RUN_MODEL).is_file() if folder else found.exists()
    except OSError as error:
        raise ModelReadError(f"{found}: no such file ({error.strerror}).") from error
    if folder:
        if not there:
            raise ModelReadError(f"{found}: the folder holds no {RUN_MODEL}; is it a run folder?")
        return found / RUN_MODEL
    if not there:
        raise ModelReadError(f"{found}: no such file or run folder.")
    return found


def read_graph(model: Any) -> Graph:
    """The graph of a model.

    Args:
        model: A live functional or Sequential `keras.Model`, a `Graph` (returned as it is), or
            the path of a `.keras` file, a whole-model `.h5` of Keras 3 or Keras 2, a `.json`
            architecture or a run folder. Files are read without Keras and nothing in them runs.

    Returns:
        The graph; nested models are in `Node.model`, `graph.flatten.flatten` opens them.

    Raises:
        ModelReadError: Anything that can't be read as a graph, with the reason.

    Example:
        >>> read_graph("model.keras").nodes[0].class_name
        'InputLayer'
    """
    if isinstance(model, Graph):
        return model
    if isinstance(model, (str, PathLike)):
        path = model_file(model)
        return _graph(read_config(path), path)
    return graph_from_config(describe(model), f"model {getattr(model, 'name', '')!r}")


def read_compiled(path: Path) -> tuple[Graph, Compiled]:
    """The graph in a model file, and what the model was compiled with.

    Raises:
        ModelReadError: As for `read_graph`.
    """
    config = read_config(path)
    return _graph(config, path), compiled_of(config, path)


def _graph(config: Mapping[str, Any], path: Path) -> Graph:
    try:
        modern = translate(config) if is_legacy(config) else config
    except RecursionError as error:
        raise ModelReadError(f"{path}: the configuration is nested too deeply.") from error
    except MALFORMED as error:
        raise ModelReadError(
            f"{path}: the Keras 2 configuration is malformed ({type(error).__name__}: "
            f"{str(error)[:200]})."
        ) from error
    return graph_from_config(modern, str(path))
