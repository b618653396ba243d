"""The formats into which models are converted, and what each needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from normwise.errors import EngineMissingError, NormwiseError

TENSORFLOW: Final = "tensorflow"
"""What Keras converts through, and the extra that installs it."""


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: What users call it.
        keras: What Keras calls it.
        suffix: Of its file; empty for a folder.
        packages: What converting to it and running it need beside TensorFlow.
        extra: The extra of normwise that installs them.
    """

    name: str
    keras: str
    suffix: str
    packages: tuple[str, ...] = ()
    extra: str = TENSORFLOW

    @property
    def signs(self) -> tuple[str, ...] | None:
        """Of a folder: a file that tells one of this format from others; None of a file."""
        return None if self.suffix else ("saved_model.pb",)

    @property
    def missing(self) -> tuple[str, ...]:
        """What isn't installed of it."""
        return tuple(name for name in (TENSORFLOW, *self.packages) if find_spec(name) is None)


SAVEDMODEL: Final = Format("savedmodel", "tf_saved_model", "")
ONNX: Final = Format("onnx", "onnx", ".onnx", ("onnx", "onnxruntime", "tf2onnx"), "onnx")
OPENVINO: Final = Format("openvino", "openvino", ".xml", ("openvino",), "openvino")
LITERT: Final = Format("litert", "litert", ".tflite")

FORMATS: Final[Mapping[str, Format]] = {
    format.name: format for format in (SAVEDMODEL, ONNX, OPENVINO, LITERT)
}


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        NormwiseError: There is none.
    """
    if name not in FORMATS:
        raise NormwiseError(f"format is {name!r}; allowed: {', '.join(FORMATS)}.")
    return FORMATS[name]


def require(format: Format) -> None:
    """Refuses a format whose packages aren't installed.

    Raises:
        EngineMissingError: With the command that installs them.
    """
    missing = format.missing
    if not missing:
        return
    extras = {TENSORFLOW} if TENSORFLOW in missing else set()
    if set(missing) - {TENSORFLOW}:
        extras.add(format.extra)
    raise EngineMissingError(
        f"{format.name} needs {', '.join(missing)}, which isn't installed: "
        f"pip install 'normwise[{','.join(sorted(extras))}]'"
    )
