"""The samples that probes look at: few enough for memory, spread over all the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from normwise.errors import DataError
from normwise.graph.channels import output_channel_axis
from normwise.graph.graph import Graph
from normwise.surgery.batches import Batch, Batches, Missing
from normwise.surgery.moments import Array, Bools

MOST_VALUES = 2**26
"""Values that are held at most, but for a few samples: 256 MB of float32."""

FEWEST = 16
"""Samples that are held however large they are, if that many are wanted."""


@dataclass(frozen=True)
class Samples:
    """Samples of raw input, all of one shape.

    Attributes:
        leaves: An array for each input of the model, samples first.
        structure: A batch, as the model takes it.
        batches: How many samples each batch held in which they came.
        composed: Whether these were made as batches, and not just read in pieces.
        valid: For models of one input with missing pixels, which of them count.
        groups: For each sample the number of the image that it comes from, ascending; empty where
            each stands for itself.
        names: What each sample is called in a message.
    """

    leaves: tuple[Array, ...]
    structure: Any
    batches: tuple[int, ...]
    composed: bool
    valid: Bools | None = None
    groups: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.leaves[0])

    def take(self, indices: Sequence[int]) -> Batch:
        """Some samples as a batch, in any order and as often as wanted."""
        import keras  # noqa: PLC0415 - after the backend is chosen

        picked = list(indices)
        leaves = [leaf[picked] for leaf in self.leaves]
        valid = () if self.valid is None else (self.valid[picked],)
        return Batch(keras.tree.pack_sequence_as(self.structure, leaves), len(picked), valid)

    def shuffled(self, size: int, seed: int = 0) -> Iterator[Batch]:
        """All samples once in random order, in batches of a size; an incomplete one is left out."""
        order = np.random.default_rng(seed).permutation(len(self))
        for start in range(0, len(self) - size + 1, size):
            yield self.take(order[start : start + size].tolist())


def collected(
    model: Any,
    graph: Graph,
    source: Any,
    limit: int,
    missing: Missing | None = None,
    images: Sequence[tuple[int, str]] = (),
) -> Samples:
    """Takes samples from batches of raw input.

    Args:
        model: The live model.
        graph: Its graph.
        source: Batches, as for `Batches`, or one array of all samples. An array, a list and what
            else knows its length and can be indexed is read here and there, anything else from its
            start.
        limit: Samples to take at most.
        missing: What marks missing values.
        images: For each sample of an array the number and the name of the image that it comes
            from; then all of them are taken.

    Raises:
        DataError: The batches don't fit the model, or there is none.
    """
    array = isinstance(source, np.ndarray) and source.dtype != object
    few, numbers = (source, None) if images else thinned(source, limit)
    taken = _Taken(limit)
    for place, batch in enumerate(Batches(model, graph, few, missing or Missing(), once=True)):
        taken.add(batch, graph, place if numbers is None or array else numbers[place])
        if taken.full:
            break
    if array:
        each = range(taken.count) if numbers is None else numbers[: taken.count]
        taken.names = [name for _, name in images] or [f"sample {number}" for number in each]
    return taken.samples(
        composed=not array, groups=tuple(number for number, _ in images[: taken.count])
    )


@dataclass
class _Taken:
    """Samples while they are taken; those of another size than the first can't stand with them."""

    limit: int
    count: int = 0
    leaves: list[list[Array]] = field(default_factory=list)
    valid: list[Bools] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    structure: Any = None

    @property
    def full(self) -> bool:
        return self.count >= self.limit

    def add(self, batch: Batch, graph: Graph, number: int) -> None:
        import keras  # noqa: PLC0415 - after the backend is chosen

        leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(batch.inputs) if leaf is not None]
        if len(leaves) != len(graph.input_tensors):
            raise DataError(f"batch {number}: an input is None; samples need all of them.")
        if self.leaves and [x.shape[1:] for x in leaves] != [x.shape[1:] for x in self.leaves[0]]:
            return
        self.limit = min(self.limit, _fitting(sum(leaf[0].size for leaf in leaves)))
        leaves = [leaf[: self.limit - self.count] for leaf in leaves]
        size = len(leaves[0])
        self.structure = batch.inputs if self.structure is None else self.structure
        self.leaves.append(leaves)
        self.names += [f"sample {index} of batch {number}" for index in range(size)]
        self.count += size
        if len(leaves) == 1:
            self.valid.append(_valid(batch, leaves[0], graph)[:size])

    def samples(self, composed: bool, groups: tuple[int, ...]) -> Samples:
        joined = tuple(np.concatenate(parts) for parts in zip(*self.leaves, strict=True))
        valid = np.concatenate(self.valid) if len(joined) == 1 else None
        return Samples(
            joined,
            self.structure,
            tuple(len(leaves[0]) for leaves in self.leaves),
            composed,
            None if valid is None or valid.all() else valid,
            groups,
            tuple(self.names[: self.count]),
        )


def _fitting(values: int) -> int:
    """Samples of so many values that are held at most."""
    return max(FEWEST, MOST_VALUES // max(values, 1))


def _valid(batch: Batch, leaf: Array, graph: Graph) -> Bools:
    if batch.valid:
        return batch.valid[0]
    if leaf.ndim == 1:
        return np.ones(leaf.shape, bool)
    axis = output_channel_axis(graph, graph.input_tensors[0].node)
    return np.ones(np.delete(leaf.shape, axis), bool)


def thinned(source: Any, limit: int) -> tuple[Any, list[int] | None]:
    """The same data with fewer samples, from all over it as far as it can be indexed.

    Returns:
        The data, and the numbers of the samples or batches that are left; None for all.
    """
    if isinstance(source, np.ndarray) and source.dtype != object:
        wanted = min(limit, _fitting(source[:1].size))
        chosen = _spread(len(source), wanted)
        return (source, None) if len(source) <= wanted else (source[chosen], chosen)
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        return source, None
    try:
        batches, first = len(source), source[0]
    except (TypeError, IndexError, KeyError):
        return source, None  # it knows no length after all, or has none
    size, values = _extent(first)
    wanted = max(1, -(-min(limit, _fitting(values)) // size))
    if batches <= wanted:
        return source, None
    chosen = _spread(batches, wanted)
    return [source[index] for index in chosen], chosen


def _spread(count: int, wanted: int) -> list[int]:
    found: list[int] = np.linspace(0, count - 1, wanted).round().astype(int).tolist()
    return found


def _extent(batch: Any) -> tuple[int, int]:
    """The number of samples in a batch, and of values in each."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    shapes = [np.shape(leaf) for leaf in keras.tree.flatten(batch)]
    size = int(shapes[0][0]) if shapes and shapes[0] else 1
    return max(1, size), sum(prod(shape[1:]) for shape in shapes)
