"""Batches of raw input, checked, with their missing pixels found and filled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from normwise.errors import DataError
from normwise.graph.channels import output_channel_axis
from normwise.graph.graph import Graph
from normwise.surgery.moments import Bools
from normwise.surgery.validity import filled, missing_values, valid_pixels

ARRAY_BATCH = 8
"""Samples in a batch where a whole array is given instead of batches."""


@dataclass(frozen=True)
class Missing:
    """What marks missing values in raw input, and what stands in their place.

    Attributes:
        nodata: The value that marks them beside NaN, or None.
        fill: One value for each input channel, or one for all: what `predict` fills in too.
    """

    nodata: float | None = None
    fill: Sequence[float] | float = 0.0


@dataclass(frozen=True)
class Batch:
    """One batch as a model takes it.

    Attributes:
        inputs: Array, or the structure of arrays that the model takes.
        samples: How many samples it holds.
        valid: For each input with missing pixels, which of its pixels count.
    """

    inputs: Any
    samples: int
    valid: tuple[Bools, ...] = ()


@dataclass(frozen=True)
class Batches:
    """Checked batches that can be iterated.

    Args:
        model: The model that will read them.
        graph: Its graph.
        source: Batches, each an array of raw input or the structure of arrays that the model
            takes, or arrays by the names of its inputs; or one array of all samples.
        missing: What marks missing values.
        once: Whether one pass is enough, so that an iterator will do.
        instead: What else would help where several are needed, for the message.

    Raises:
        DataError: `source` is an iterator, but several passes are needed.
    """

    model: Any
    graph: Graph
    source: Any
    missing: Missing = field(default_factory=Missing)
    once: bool = False
    instead: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.source, Iterable) or isinstance(self.source, (str, Mapping)):
            raise DataError(
                f"batches: expected an iterable of arrays of raw input, got "
                f"{type(self.source).__name__}."
            )
        if isinstance(self.source, Iterator) and not self.once:
            raise DataError(
                f"batches: a {type(self.source).__name__} can be read only once, but exact "
                "statistics need a pass for each depth of batch normalization. Give a list or "
                f"another object that can be iterated again{self.instead}."
            )

    def __len__(self) -> int:
        """How many batches there are, 0 where nobody knows."""
        if _is_array(self.source):
            return math.ceil(len(self.source) / ARRAY_BATCH)
        try:
            return len(self.source) if isinstance(self.source, Sized) else 0
        except TypeError:  # a tf.data.Dataset has a length, and may not know it
            return 0

    def __iter__(self) -> Iterator[Batch]:
        """The batches, one after another.

        Raises:
            DataError: A batch doesn't fit the model's inputs, or there is none.
        """
        empty = True
        for number, batch in enumerate(self._pieces()):
            empty = False
            yield self._prepared(batch, number)
        if empty:
            raise DataError("batches: there is none; at least one is needed.")

    def _pieces(self) -> Iterator[Any]:
        if not _is_array(self.source):
            yield from self.source
            return
        starts = range(0, len(self.source), ARRAY_BATCH)
        yield from (self.source[start : start + ARRAY_BATCH] for start in starts)

    def _prepared(self, batch: Any, number: int) -> Batch:
        batch = self._checked(self._ordered(batch), number)
        leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(batch)]
        valid = []
        for index, leaf in enumerate(leaves):
            lacking = missing_values(leaf, self.missing.nodata) if leaf.ndim > 1 else None
            if lacking is not None:
                axis = output_channel_axis(self.graph, self.graph.input_tensors[index].node)
                leaves[index] = filled(leaf, lacking, np.asarray(self.missing.fill), axis)
                valid.append(valid_pixels(lacking, axis))
        return Batch(keras.tree.pack_sequence_as(batch, leaves), len(leaves[0]), tuple(valid))

    def _ordered(self, batch: Any) -> Any:
        """Arrays by the names of the inputs in the model's order, as Keras takes them, too."""
        names = [taken.name for taken in self.model.inputs]
        by_key = isinstance(getattr(self.model, "input", None), Mapping)
        if by_key or not isinstance(batch, Mapping) or not set(names) <= set(batch):
            return batch
        ordered = [batch[name] for name in names]
        return ordered if len(ordered) > 1 else ordered[0]

    def _checked(self, batch: Any, number: int) -> Any:
        inputs = self.model.inputs
        leaves = keras.tree.flatten(batch)
        if len(leaves) != len(inputs):
            raise DataError(
                f"batch {number}: {len(leaves)} arrays, but the model has {len(inputs)} "
                f"input{'s' * (len(inputs) > 1)}. Give raw input alone, without labels."
            )
        for leaf, taken in zip(leaves, inputs, strict=True):
            shape = tuple(np.shape(leaf))
            if not _fits(shape, taken.shape):
                raise DataError(
                    f"batch {number}: shape {shape}, but input {taken.name!r} of the model takes "
                    f"{tuple(taken.shape)} (batch first)."
                )
        return batch


def _is_array(source: Any) -> bool:
    return isinstance(source, np.ndarray) and source.dtype != object


def _fits(shape: Sequence[int], taken: Sequence[int | None]) -> bool:
    return (
        len(shape) == len(taken)
        and all(
            wanted is None or wanted == size
            for size, wanted in zip(shape[1:], taken[1:], strict=True)
        )
        and shape[0] > 0
    )
