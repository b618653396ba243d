"""Batch normalizations that learn statistics, and of how many values those are."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from normwise.rules.context.context import Context
from normwise.rules.context.numbers import LARGEST

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
    return None if values is None or values > LARGEST else values


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
