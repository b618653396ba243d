"""Writes a model of the TensorFlow backend in another format, and says what can't be written."""

from __future__ import annotations

import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import keras

from normwise.backend import held_stderr
from normwise.errors import ExportError, printable
from normwise.inference.formats.format import LITERT, ONNX, OPENVINO, Format
from normwise.inference.formats.runtimes import load_openvino
from normwise.keras_format.live import live_calls, probe

Sizes = Sequence[int] | None

_STYLE = re.compile("\x1b\\[[0-9;]*m")
_TALKATIVE = ("tf2onnx", "tensorflow", "absl", "openvino")
_LONGEST = 300
_TRIES: Final = 5
"""Of models whose output has one channel, tf2onnx 1.17 loses the last operation in about one
conversion of ten: what it takes out depends on addresses in memory."""


def write(model: Any, path: Path, format: Format, sizes: Sizes, explain: bool) -> None:
    """Writes a model; arguments and errors are those of `conversion.convert`."""
    problem = _attempt(model, path, format, sizes)
    if problem is None:
        return
    _remove(path, format)
    layer = _culprit(model, format, sizes) if explain else None
    what = "the model" if layer is None else f"layer {layer}"
    raise ExportError(f"{format.name}: {what} can't be converted: {reason_of(problem)}")


def reason_of(error: Exception) -> str:
    """What an error says, in one line without colours."""
    text = printable(_STYLE.sub("", str(error)))
    text = text.rpartition("Exception encountered: ")[2]  # what Keras itself has caught
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = [f"{lines[0].rstrip('.')}: {lines[1]}"]
    first = lines[0] if lines else type(error).__name__
    first = first.partition(". You can attempt")[0]  # what TensorFlow advises is for its own users
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]} ..."


def _attempt(model: Any, path: Path, format: Format, sizes: Sizes) -> Exception | None:
    """Tries to write a model; the error if it can't be."""
    for _ in range(_TRIES):
        problem = _exported(model, path, format, sizes)
        if problem is not None or format is not ONNX or _has_axes_of(model, path):
            return problem
    return ExportError(f"tf2onnx has lost an operation, in each of {_TRIES} attempts")


def _has_axes_of(model: Any, path: Path) -> bool:
    """Whether the outputs of an ONNX file have as many axes as the model's."""
    import onnx  # noqa: PLC0415 - only where it is asked for

    written = onnx.load(str(path), load_external_data=False).graph.output
    axes = [len(output.type.tensor_type.shape.dim) for output in written]
    return sorted(axes) == sorted(len(output.shape) for output in model.outputs)


def _exported(model: Any, path: Path, format: Format, sizes: Sizes) -> Exception | None:
    if format is OPENVINO:
        load_openvino()
    with _quietly(), _statistics_as_constants(model):
        try:
            model.export(
                str(path), format=format.keras, verbose=False,
                input_signature=_signature(model, sizes), **_options(format),
            )  # fmt: skip
            if format is OPENVINO:
                _drop_dangling(path, len(model.outputs))
        except Exception as error:
            # Three converters raise whatever they like; all of it means the same.
            return error
    return None


@contextmanager
def _statistics_as_constants(model: Any) -> Iterator[None]:
    """While it lasts, a `Normalization` holds arrays.

    It holds tensors else, and a tensor that was made outside of the function that is converted
    becomes another input of an ONNX file, without its values.
    """
    held = [(layer, layer.mean, layer.variance) for layer in _normalizations(model)]
    try:
        for layer, mean, variance in held:
            layer.mean = keras.ops.convert_to_numpy(mean)
            layer.variance = keras.ops.convert_to_numpy(variance)
        yield
    finally:
        for layer, mean, variance in held:
            layer.mean, layer.variance = mean, variance


def _normalizations(model: Any) -> Iterator[Any]:
    """The `Normalization` layers of a model and of those in it that have statistics."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _normalizations(layer)
        elif isinstance(layer, keras.layers.Normalization) and layer.built:
            yield layer


def _options(format: Format) -> dict[str, Any]:
    """What Keras is told beside the format."""
    if format is not LITERT:
        return {}
    import tensorflow as tf  # noqa: PLC0415 - loaded, by Keras

    # Keras would leave other operations to TensorFlow, which no LiteRT runtime has by itself.
    return {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}


def _drop_dangling(path: Path, outputs: int) -> None:
    """Takes out what the conversion leaves as outputs behind the model's own: sizes, nobody's."""
    openvino = load_openvino()
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the weights are written anew
    converted = core.read_model(str(path))
    dangling = converted.get_results()[outputs:]
    for result in dangling:
        converted.remove_result(result)
    if dangling:
        openvino.serialize(converted, str(path))


def _signature(model: Any, sizes: Sizes) -> list[Any]:
    """The shapes and types of a model's inputs, in their structure."""

    def spec(tensor: Any) -> Any:
        shape = tuple(tensor.shape)
        if sizes is not None and len(shape) == len(sizes) + 2:
            shape = (shape[0], *sizes, shape[-1])
        return keras.InputSpec(shape=shape, dtype=tensor.dtype, name=tensor.name)

    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return [keras.tree.map_structure(spec, structure)]


def _culprit(model: Any, format: Format, sizes: Sizes) -> str | None:
    """The first call without which the rest of the model can be converted, in Keras' order."""
    calls = live_calls(model)
    names = [name for name, call in calls.items() if call.arguments.keras_tensors]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"part{format.suffix}"

        def works(count: int) -> bool:
            _remove(path, format)
            return _attempt(probe(model, names[:count]), path, format, sizes) is None

        if not names or works(len(names)):
            return None  # what is wrong is no single layer
        low, high = 0, len(names)  # the first `low` calls work, the first `high` don't
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if works(middle) else (low, middle)
    kind = type(calls[names[low]].operation).__name__
    return f"{names[low]!r} ({kind})"


def _remove(path: Path, format: Format) -> None:
    """What a converter that failed has left."""
    shutil.rmtree(path, ignore_errors=True)
    for left in (path, path.with_suffix(".bin")):
        if format.suffix:
            left.unlink(missing_ok=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what converters say of their own ways."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), held_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
