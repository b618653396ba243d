"""A model in every form that engines take: folded, in bfloat16, converted. Each is made once."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

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

_KEPT: Final = 8
"""Converted files for one size that are kept: images of a folder often take turns in few sizes."""


@final
class Source:
    """A model and what is made of it.

    Args:
        model: A live functional or Sequential model; it is not changed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._files: dict[tuple[str, Shape | None], Path | ExportError] = {}
        self._numbers = count()

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
        found = self._converted(format, self.sizes(format, shape))
        if isinstance(found, ExportError):
            raise found
        return found

    def sizes(self, format: Format, shape: Shape) -> Shape | None:
        """The sizes over space that the file for a shape is for; None for any that it takes.

        Args:
            format: The format.
            shape: Of the batches that are asked for now.
        """
        if None not in self.model.inputs[0].shape[1:-1]:
            return None
        # Bilinear up-sampling has to know its size.
        free = isinstance(self._converted(format, None), Path)
        return None if free else shape[1:-1]

    def _converted(self, format: Format, sizes: Shape | None) -> Path | ExportError:
        key = format.name, sizes
        found = self._files.pop(key, None)
        if found is None:
            found = self._made(format, sizes)
        self._files[key] = found
        self._remove_old()
        return found

    def _made(self, format: Format, sizes: Shape | None) -> Path | ExportError:
        path = Path(self._folder.name) / f"model{next(self._numbers)}{format.suffix}"
        try:
            convert(self.folded, path, format, sizes, explain=sizes is not None)
        except ExportError as error:
            return error
        return path

    def _remove_old(self) -> None:
        """Of the files for one size those that have long not been asked for; the last come last."""
        sized = [key for key in self._files if key[1] is not None]
        for key in sized[:-_KEPT]:
            path = self._files.pop(key)
            if isinstance(path, Path):
                for part in path.parent.glob(f"{path.stem}.*"):  # OpenVINO's weights, too
                    part.unlink()

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="normwise-")
