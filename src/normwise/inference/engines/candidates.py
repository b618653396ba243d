"""The engines that can apply a model, and how each is made ready for tiles of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from normwise.errors import NormwiseError
from normwise.inference.engines.source import Array, Shape, Source
from normwise.inference.engines.wanted import BFLOAT16, FLOAT32, KERAS, Wanted
from normwise.inference.formats.format import FORMATS
from normwise.inference.formats.runtimes import is_for_one_shape, openvino_precisions, runtime
from normwise.inference.one_shape import traced_for_each_shape
from normwise.keras_format.reading import read_graph

Run = Callable[[Array], Any]
"""As `predict_on_batch` of a model with one input: the array of its output, or a list of them."""


@dataclass(frozen=True)
class Candidate:
    """An engine in a precision.

    Attributes:
        engine: Its name.
        precision: `float32` or `bfloat16`.
        folded: Whether it gets the folded model.
    """

    engine: str
    precision: str = FLOAT32
    folded: bool = True

    def __str__(self) -> str:
        folded = " folded" if self.engine == KERAS and self.folded else ""
        return f"{self.engine}{folded} {self.precision}"

    def fits(self, source: Source, shape: Shape) -> Shape | None:
        """What batches must have in common to be given to the same function; None for nothing.

        Args:
            source: The model.
            shape: Of the batches.
        """
        if self.engine == KERAS:
            return None
        form = FORMATS[self.engine]
        return shape if is_for_one_shape(form) else source.sizes(form, shape)

    def ready(self, source: Source, shape: Shape) -> Run:
        """A function that applies the model to batches.

        Args:
            source: The model.
            shape: Of the batches, for engines that compile for one.

        Raises:
            ExportError: The model can't be converted.
        """
        if self.engine == KERAS:
            if self.precision == BFLOAT16:
                return _predicting(source.in_bfloat16)
            return _predicting(source.folded if self.folded else source.model)
        form = FORMATS[self.engine]
        path = source.file(form, shape)
        run = runtime(form, path, source.ports, [shape], self.precision)

        def apply(batch: Array) -> Any:
            outputs = run([batch])
            return outputs if len(outputs) > 1 else outputs[0]

        return apply


PLAIN: Final = Candidate(KERAS, FLOAT32, folded=False)
"""Keras with the model as it is."""


def candidates_of(wanted: Wanted, source: Source) -> list[Candidate]:
    """What may be used, Keras first.

    Raises:
        EngineMissingError: The engine that is named isn't installed.
        NormwiseError: It has no such precision here.
    """
    found = [
        Candidate(engine, precision)
        for engine in wanted.engines
        for precision in wanted.precisions
        if precision in _precisions_of(engine, wanted)
    ]
    if not found:
        raise NormwiseError(
            f"{wanted.engine} computes in float32 alone on this processor: leave bfloat16 out, or "
            "use another engine."
        )
    if Candidate(KERAS) not in found:
        return found
    # Folding is worth it for some networks only, so Keras runs against itself.
    return [PLAIN, *(one for one in found if one != Candidate(KERAS) or source.is_folded)]


def _precisions_of(engine: str, wanted: Wanted) -> tuple[str, ...]:
    if engine == KERAS:
        return (FLOAT32, BFLOAT16)
    if engine != "openvino" or wanted.precisions == (FLOAT32,):
        return (FLOAT32,)
    return openvino_precisions()


def _predicting(model: Any) -> Run:
    run: Run = traced_for_each_shape(model, read_graph(model)) or model.predict_on_batch
    return run
