"""A model in every form that engines take: folded, in bfloat16, converted. Each is made once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import numpy.typing as npt

from normwise.errors import ExportError, SurgeryError
from normwise.inference.formats.conversion import convert
from normwise.inference.formats.format import Format
from normwise.inference.formats.runtimes import Port, ports_of
from normwise.keras_format.precision import set_precision
from normwise.keras_format.reading import read_graph
from normwise.keras_format.replay import replay
from normwise.surgery.fold import fold
from normwise.surgery.statistics import batch_norms

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@final
class Source:
    """A model and what is made of it.

    Args:
        model: A live functional or Sequential model; it is not changed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._files: dict[tuple[str, Shape | None], Path | ExportError] = {}

    @cached_property
    def folded(self) -> Any:
        """The model with every batch normalization folded that can be folded exactly."""
        if not batch_norms(self.model):
            return self.model
        try:
            rewrite = fold(self.model)
        except SurgeryError:
            return self.model  # it can't be copied, or would differ
        return rewrite.model if rewrite.report.changed else self.model

    @property
    def is_folded(self) -> bool:
        """Whether anything was folded."""
        return self.folded is not self.model

    @cached_property
    def in_bfloat16(self) -> Any:
        """A copy that computes in bfloat16, but for its input, its output and fixed scalings."""
        copy = replay(read_graph(self.folded), self.folded).model
        set_precision(copy, "mixed_bfloat16")
        return copy

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Its inputs."""
        return ports_of(self.model)

    def file(self, format: Format, shape: Shape) -> Path:
        """The folded model in a format, for any size if it can be converted so.

        Args:
            format: The format.
            shape: Of the batches that are asked for now.

        Raises:
            ExportError: It can't be converted for that size either.
        """
        found = self._converted(format, None)
        if isinstance(found, ExportError) and None in self.model.inputs[0].shape[1:-1]:
            # Bilinear up-sampling has to know its size.
            found = self._converted(format, shape[1:-1])
        if isinstance(found, ExportError):
            raise found
        return found

    def _converted(self, format: Format, sizes: Shape | None) -> Path | ExportError:
        key = format.name, sizes
        if key not in self._files:
            path = Path(self._folder.name) / f"model{len(self._files)}{format.suffix}"
            try:
                convert(self.folded, path, format, sizes, explain=sizes is not None)
                self._files[key] = path
            except ExportError as error:
                self._files[key] = error
        return self._files[key]

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="normwise-")
