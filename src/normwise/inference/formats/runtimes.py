"""Runs a converted model: one function for each format, from arrays to arrays."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.backend import held_stderr
from normwise.inference.formats.format import LITERT, ONNX, OPENVINO, SAVEDMODEL, Format

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Runtime = Callable[[Sequence[Array]], list[Array]]
"""From the arrays of all inputs to those of all outputs, in the model's order."""

_SIGNATURE: Final = "serving_default"
_NUMBERED: Final = "output_"
_QUIET: Final = 3


@dataclass(frozen=True)
class Port:
    """An input of a model: its name and the type of its values."""

    name: str
    dtype: str


def ports_of(model: Any) -> tuple[Port, ...]:
    """The inputs of a live model, in its order."""
    return tuple(Port(tensor.name, str(tensor.dtype)) for tensor in model.inputs)


def is_for_one_shape(format: Format) -> bool:
    """Whether its runtime compiles a model for the shapes of its inputs."""
    return format is OPENVINO


def runtime(
    format: Format,
    path: Path,
    ports: Sequence[Port],
    shapes: Sequence[Shape] | None = None,
    precision: str = "float32",
) -> Runtime:
    """A function that applies a converted model.

    Args:
        format: The file's format.
        path: The file or folder; it may be gone once this function returns.
        ports: The inputs of the model that it was made of.
        shapes: Of all inputs; a runtime that compiles does it for these. None: any.
        precision: `float32`, or `bfloat16` where `openvino_precisions` has it.
    """
    if format is OPENVINO:
        return _openvino(path, ports, shapes, precision)
    return _LOADERS[format.name](path, ports)


def load_openvino() -> Any:
    """OpenVINO without its telemetry, which forks a process and tells its makers of each import."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # as if it weren't installed
    return importlib.import_module("openvino")


def openvino_precisions() -> tuple[str, ...]:
    """What OpenVINO computes in on this processor."""
    can = load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if "BF16" in can else ("float32",)


def _openvino(
    path: Path, ports: Sequence[Port], shapes: Sequence[Shape] | None, precision: str
) -> Runtime:
    openvino = load_openvino()
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # mapped weights would go with the file
    model = core.read_model(str(path))
    if shapes is not None:
        each = zip(_keys(ports, [node.any_name for node in model.inputs]), shapes, strict=True)
        model.reshape({key: openvino.PartialShape(list(shape)) for key, shape in each})
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    keys = _keys(ports, [node.any_name for node in compiled.inputs])

    def run(arrays: Sequence[Array]) -> list[Array]:
        made = compiled(_fed(keys, ports, arrays))
        return [np.asarray(made[node]) for node in compiled.outputs]

    return run


def _onnx(path: Path, ports: Sequence[Port]) -> Runtime:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    keys = _keys(ports, [node.name for node in session.get_inputs()])
    return lambda arrays: list(session.run(None, _fed(keys, ports, arrays)))


def _savedmodel(path: Path, ports: Sequence[Port]) -> Runtime:
    import tensorflow as tf  # noqa: PLC0415

    loaded = tf.saved_model.load(str(path))
    keys = _keys(ports, list(loaded.signatures[_SIGNATURE].structured_input_signature[1]))

    def run(arrays: Sequence[Array]) -> list[Array]:
        fed = _fed(keys, ports, arrays)
        serve = loaded.signatures[_SIGNATURE]  # by way of what holds its variables
        made = serve(**{key: tf.constant(value) for key, value in fed.items()})
        return [made[name].numpy() for name in _in_order(made)]

    return run


def _litert(path: Path, ports: Sequence[Port]) -> Runtime:
    with warnings.catch_warnings(), held_stderr():
        warnings.simplefilter("ignore")  # of TensorFlow's own interpreter, that it moves out
        interpreter = _interpreter()(model_content=path.read_bytes())
        serve = interpreter.get_signature_runner(_SIGNATURE)
    keys = _keys(ports, list(serve.get_input_details()))

    def run(arrays: Sequence[Array]) -> list[Array]:
        made = serve(**_fed(keys, ports, arrays))
        return [made[name] for name in _in_order(made)]

    return run


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
    except ImportError:
        import tensorflow as tf  # noqa: PLC0415 - has the same, until it moves out

        return tf.lite.Interpreter
    return Interpreter


_LOADERS: Final[Mapping[str, Callable[[Path, Sequence[Port]], Runtime]]] = {
    ONNX.name: _onnx,
    SAVEDMODEL.name: _savedmodel,
    LITERT.name: _litert,
}


def _keys(ports: Sequence[Port], names: Sequence[str]) -> list[str]:
    """What a file calls each input: the same, or else what stands at its place."""
    own = [port.name for port in ports]
    return own if set(own) == set(names) else list(names)


def _fed(keys: Sequence[str], ports: Sequence[Port], arrays: Sequence[Array]) -> dict[str, Array]:
    each = zip(keys, ports, arrays, strict=True)
    return {key: np.ascontiguousarray(array, port.dtype) for key, port, array in each}


def _in_order(outputs: Mapping[str, Any]) -> list[str]:
    """Names of outputs in the model's order: `output_10` behind `output_9`, others by name."""
    if all(name.startswith(_NUMBERED) and name[len(_NUMBERED) :].isdigit() for name in outputs):
        return sorted(outputs, key=lambda name: int(name[len(_NUMBERED) :]))
    return sorted(outputs)
