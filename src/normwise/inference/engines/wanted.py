"""Which engine and precision a prediction is asked for; nothing is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from normwise.errors import NormwiseError
from normwise.inference.formats.format import FORMATS, require

KERAS: Final = "keras"
AUTO: Final = "auto"
FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"

CONVERTED: Final = ("openvino", "onnx")
"""Engines that run a converted model; each has the name of its format."""
ENGINES: Final = (KERAS, *CONVERTED, AUTO)
PRECISIONS: Final = (FLOAT32, BFLOAT16, AUTO)


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.
    """

    engine: str = KERAS
    precision: str = FLOAT32

    def __post_init__(self) -> None:
        for what, told, allowed in (
            ("engine", self.engine, ENGINES),
            ("precision", self.precision, PRECISIONS),
        ):
            if told not in allowed:
                raise NormwiseError(f"{what} is {told!r}; allowed: {', '.join(allowed)}.")

    @property
    def is_plain(self) -> bool:
        """Whether it is Keras as it is."""
        return (self.engine, self.precision) == (KERAS, FLOAT32)

    @property
    def is_open(self) -> bool:
        """Whether something is left to be chosen by its speed."""
        return AUTO in (self.engine, self.precision)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that may be used: the one that is named, or all that are installed.

        Raises:
            EngineMissingError: The one that is named isn't installed.
        """
        if self.engine != AUTO:
            if self.engine != KERAS:
                require(FORMATS[self.engine])
            return (self.engine,)
        return (KERAS, *(name for name in CONVERTED if not FORMATS[name].missing))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that may be used."""
        return (FLOAT32, BFLOAT16) if self.precision == AUTO else (self.precision,)
