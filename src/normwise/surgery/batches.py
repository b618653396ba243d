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
        batch = self._checked(self._ordered(batch, number), number)
        leaves = [None if x is None else np.asarray(x) for x in keras.tree.flatten(batch)]
        valid = []
        for index, leaf in enumerate(leaves):
            if leaf is None or leaf.ndim < 2:
                continue
            lacking = missing_values(leaf, self.missing.nodata)
            if lacking is not None:
                axis = output_channel_axis(self.graph, self.graph.input_tensors[index].node)
                leaves[index] = filled(leaf, lacking, np.asarray(self.missing.fill), axis)
                valid.append(valid_pixels(lacking, axis))
        inputs = keras.tree.pack_sequence_as(self._structure(batch), leaves)
        samples = next(len(leaf) for leaf in leaves if leaf is not None)
        return Batch(inputs, samples, tuple(valid))

    def _structure(self, batch: Any) -> Any:
        """That of a batch; where it is an array alone, that which the model was made with.

        Keras warns at every call of an array where it was made with a list of one input.
        """
        alone = not keras.tree.is_nested(batch) and not isinstance(self.model, keras.Sequential)
        made = getattr(self.model, "input", None) if alone else None
        return batch if made is None else made

    def _ordered(self, batch: Any, number: int) -> Any:
        """Arrays by the names of the inputs in the model's order, as Keras takes them, too."""
        structure: Any = getattr(self.model, "input", None)
        by_key = isinstance(structure, Mapping)
        if not isinstance(batch, Mapping):
            alone = len(self.model.inputs) == 1 and not keras.tree.is_nested(batch)
            if alone or not by_key:
                return batch
        elif by_key and set(structure) <= set(batch):
            return {key: batch[key] for key in structure}
        elif {taken.name for taken in self.model.inputs} <= set(batch):
            arrays = [batch[taken.name] for taken in self.model.inputs]
            if by_key:
                return keras.tree.pack_sequence_as(structure, arrays)
            return arrays if len(arrays) > 1 else arrays[0]
        elif not by_key and len(batch) == len(self.model.inputs) == 1:
            return next(iter(batch.values()))
        wanted = list(structure) if by_key else [taken.name for taken in self.model.inputs]
        given = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise DataError(f"batch {number}: expected arrays by the names {wanted}, got {given}.")

    def _checked(self, batch: Any, number: int) -> Any:
        inputs = self.model.inputs
        leaves = keras.tree.flatten(batch)
        if len(leaves) != len(inputs):
            raise DataError(
                f"batch {number}: {len(leaves)} arrays, but the model has {len(inputs)} "
                f"input{'s' * (len(inputs) > 1)}. Give raw input alone, without labels."
            )
        for index, (leaf, taken) in enumerate(zip(leaves, inputs, strict=True)):
            if leaf is None and self._may_lack(index) and any(x is not None for x in leaves):
                continue
            shape = tuple(np.shape(leaf))
            if not _fits(shape, taken.shape):
                raise DataError(
                    f"batch {number}: {'None' if leaf is None else f'shape {shape}'}, but input "
                    f"{taken.name!r} of the model takes {tuple(taken.shape)} (batch first)."
                )
        return batch

    def _may_lack(self, index: int) -> bool:
        return bool(self.graph.nodes[self.graph.input_tensors[index].node].config.get("optional"))


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
