"""From a live Keras model to a file of another format, on whatever backend it lives.

Of Keras' backends only TensorFlow converts to every format with free sizes (keras 3.15: PyTorch
fixes all of them, JAX fails on U-Nets). So a model of another backend is saved, loaded by
TensorFlow in a process of its own, and converted there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from normwise.errors import ExportError
from normwise.inference.formats.format import Format
from normwise.inference.formats.tensorflow_writer import Sizes, write
from normwise.keras_format.layers import custom_objects
from normwise.keras_format.saving import save_model

_ERROR_LINES = 3


def convert(
    model: Any, path: Path, format: Format, sizes: Sizes = None, explain: bool = True
) -> None:
    """Writes a model in another format.

    The batch's size stays free, and so do those of space unless they are told.

    Args:
        model: A live functional or Sequential model.
        path: Where to; it ends in the format's suffix.
        format: The format; its packages are installed.
        sizes: Pixels along each axis over space that the file shall be for; None: those that the
            model takes, free ones too.
        explain: Whether the layer is looked for that can't be converted, by trying parts of the
            model.

    Raises:
        ExportError: It can't be converted, with the layer where `explain` found it.
    """
    if keras.backend.backend() == "tensorflow":
        write(model, path, format, sizes, explain)
    else:
        _elsewhere(model, path, format, sizes, explain)


def _elsewhere(model: Any, path: Path, format: Format, sizes: Sizes, explain: bool) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_model(model, folder / "model.keras")
        job = {
            "model": str(folder / "model.keras"),
            "path": str(path.absolute()),
            "format": format.name,
            "sizes": None if sizes is None else list(sizes),
            "explain": explain,
            "objects": [[kind.__module__, kind.__qualname__] for kind in _named(model)],
            "answer": str(folder / "answer.json"),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        # -P: nothing in the working folder may stand in for a module.
        command = [sys.executable, "-P", "-m", "normwise.inference.formats.worker"]
        done = subprocess.run(
            [*command, str(folder / "job.json")],
            capture_output=True, text=True, errors="replace", check=False,
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": _search_path()},
        )  # fmt: skip
        answer = folder / "answer.json"
        if not answer.is_file():
            last = " ".join(done.stderr.strip().splitlines()[-_ERROR_LINES:])
            raise ExportError(f"{format.name}: the process that converts it failed: {last[:300]}")
        problem = json.loads(answer.read_text(encoding="utf-8"))["problem"]
    if problem:
        raise ExportError(problem)


def _named(model: Any) -> list[Any]:
    """What is not Keras' own and has a name by which another process can import it."""
    return [
        kind
        for kind in custom_objects(model).values()
        if kind.__module__ != "__main__" and "<" not in kind.__qualname__
    ]


def _search_path() -> str:
    return os.pathsep.join(part for part in sys.path if part)
