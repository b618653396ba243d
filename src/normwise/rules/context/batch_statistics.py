"""Batch normalizations that learn statistics, how many values those are of, and their weights."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from normwise.errors import TooWideError

if TYPE_CHECKING:
    from normwise.rules.context import Context

_LARGEST = 10**15
"""A file can state any number; beyond this one it is none that anybody meant."""
MOST_CHANNELS = 2**19
"""Of a batch normalization whose weights are looked at; those of a wider one are left unread."""
FEW_VALUES = 16
"""Values below which a statistic is more noise than statistic."""
FEW_SAMPLES = 4
"""Samples up to which batch normalization is measurably worse, however large they are."""


def learning(context: Context, renorm: bool = False) -> Iterator[int]:
    """One call of each batch normalization that uses statistics of batches and can be trained.

    Args:
        context: The network.
        renorm: Whether to include batch renormalization, which leans on moving statistics in
            training too.
    """
    seen: set[str] = set()
    for index in context.batch_norms:
        node = context.nodes[index]
        if node.layer in seen or context.is_frozen(index) or index in context.resting:
            continue
        seen.add(node.layer)
        if renorm or not node.config.get("renorm"):
            yield index


def is_synchronized(context: Context, index: int) -> bool:
    """Whether replicas share the statistics of a batch normalization."""
    node = context.nodes[index]
    return node.class_name == "SyncBatchNormalization" or node.config.get("synchronized") is True


def samples_behind(context: Context, index: int, shared: bool = False) -> int | None:
    """The number of samples behind each batch statistic, None where unknown.

    Args:
        context: The network with its training.
        index: A batch normalization.
        shared: As if replicas shared statistics.
    """
    training = context.training
    together = shared or is_synchronized(context, index)
    return training.largest_batch if together else training.samples_per_statistic


def values_of_a_sample(context: Context, index: int) -> int | None:
    """The number of values that each sample adds to a statistic, None where unknown."""
    shape, axes = context.shape_read(index), context.axes_of(index)
    if shape is None or axes is None:
        return None
    rest = [size for axis, size in enumerate(shape) if axis != 0 and axis not in axes]
    known = [size for size in rest if size is not None and size > 0]
    values = prod(known) if len(known) == len(rest) else None
    return None if values is None or values > _LARGEST else values


def values_behind(context: Context, index: int, shared: bool = False) -> int | None:
    """The number of values behind each batch statistic, None where unknown; as `samples_behind`."""
    samples, each = samples_behind(context, index, shared), values_of_a_sample(context, index)
    return None if samples is None or each is None else samples * each


def is_tiny(context: Context, index: int, shared: bool = False) -> bool:
    """Whether a statistic is of too few values or samples to rely on; as `samples_behind`."""
    samples = samples_behind(context, index, shared)
    values = values_behind(context, index, shared)
    few = values is not None and values < FEW_VALUES
    return few or (samples is not None and samples < FEW_SAMPLES)


@dataclass(frozen=True)
class Weights:
    """The weights of a batch normalization, one number a channel.

    Attributes:
        gamma: None if it doesn't scale.
        beta: None if it doesn't shift.
        mean: The moving mean.
        variance: The moving variance.
    """

    gamma: Sequence[float] | None
    beta: Sequence[float] | None
    mean: Sequence[float]
    variance: Sequence[float]

    @property
    def has_initial_statistics(self) -> bool:
        """Whether mean and variance are exactly what Keras starts with, 0 and 1."""
        return is_constant(self.mean, 0.0) and is_constant(self.variance, 1.0)


def weights_of(context: Context, index: int) -> Weights | None:
    """The weights of a batch normalization, None where there are none that fit its settings.

    None, too, where they are too many to look at: then its layer is in `context.unread`.
    """
    layer = context.layer(index)
    if layer not in context.batch_norm_weights:
        context.batch_norm_weights[layer] = _read(context, index)
    return context.batch_norm_weights[layer]


def _read(context: Context, index: int) -> Weights | None:
    try:
        arrays = context.weights.of(context.layer(index)) if context.weights else None
    except TooWideError:
        context.unread.append(context.layer(index))
        return None
    config = context.nodes[index].config
    scale, center = config.get("scale", True) is True, config.get("center", True) is True
    affine = scale + center
    if arrays is None or len(arrays) < affine + 2:
        return None
    needed = arrays[: affine + 2]
    shape, *others = {tuple(values.shape or ()) for values in needed}
    if others or len(shape) != 1 or shape[0] < 1:
        return None
    if shape[0] > MOST_CHANNELS:
        context.unread.append(context.layer(index))
        return None
    numbers = [array("d", values.tolist()) for values in needed]
    return Weights(
        numbers[0] if scale else None,
        numbers[scale] if center else None,
        numbers[affine],
        numbers[affine + 1],
    )


def is_constant(values: Sequence[float], value: float) -> bool:
    """Whether every number is that one."""
    return values.count(value) == len(values)


def share_below(values: Sequence[float], limit: float) -> float:
    """The share of the numbers that are smaller than one."""
    if min(values) >= limit:
        return 0.0  # as in nearly every network, and found many times faster
    return sum(value < limit for value in values) / len(values)


def number(value: object) -> float | None:
    """A setting as a number, None for what is none: a file can hold anything."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < _LARGEST else None


def counted(count: int, singular: str) -> str:
    """`"1 layer"`, `"3 layers"`."""
    return f"{count:,} {singular}{'' if count == 1 else 's'}"


def span(layers: Iterable[str]) -> str:
    """Layers for a message: the first and the last where there are many."""
    names = list(layers)
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def named(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, the first few where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
