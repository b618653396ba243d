"""Random inputs that a model can take: legal shapes, dtypes and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from normwise.errors import SurgeryError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Shape
from normwise.graph.regions import layout_of
from normwise.keras_format.paths import layers_by_path
from normwise.surgery.input_ranges import InputRange, input_range

BATCH = 2
FREE_SIZES = (8, 32, 64, 128, 299)
"""Sizes tried along a free axis, rounded up to the total stride; the first that runs is used."""

SPREADS = (1.0, 100.0, 0.01, 10_000.0)
"""Standard deviations of what the first learned layer reads, in one attempt after another: a model
may be dead for some of them, or saturated."""

ATTEMPTS = 2 * len(SPREADS) + 1
"""After these the same with positive values alone, and at last with values between 0 and 1, for
models that take a logarithm or a root of what they read."""
ABOVE_ZERO = 1e-3
"""The smallest of positive values, in standard deviations."""

BOUNDS = (None, 2**16, 2**8, 4)
"""The same for integers of 32 bits and more that nothing says more of: often indices. None: any."""

INDICES = {
    "Embedding": "input_dim",
    "ReversibleEmbedding": "input_dim",
    "CategoryEncoding": "num_tokens",
}
NARROW_BITS = 16
"""Integers up to so many bits are raw measurements, and take every value."""


@dataclass(frozen=True)
class _Source:
    """Where the values of one input come from.

    Attributes:
        name: The input's name.
        dtype: Its dtype.
        scaling: The range that the model expects there, if it says so.
        limit: The smallest vocabulary that integers may index, None for none.
    """

    name: str
    dtype: str
    scaling: InputRange | None
    limit: int | None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], attempt: int) -> Any:
        """Values for one attempt.

        Raises:
            SurgeryError: The dtype can't be made up, such as strings.
        """
        if self.dtype == "bool" or self.dtype.startswith(("int", "uint")):
            return self._integers(rng, shape, attempt)
        if self.dtype.startswith(("float", "bfloat")):
            values = self._scaled(rng, shape, attempt).astype("float32")
            return values if self.dtype.startswith("b") else values.astype(self.dtype)
        raise SurgeryError(
            f"input {self.name!r} has the dtype {self.dtype}, for which no values can be made up, "
            "so nothing can be verified. Split the model after it."
        )

    def _scaled(self, rng: np.random.Generator, shape: tuple[int, ...], attempt: int) -> Any:
        if attempt < len(SPREADS):
            values = SPREADS[attempt] * rng.normal(size=shape)
        elif attempt < ATTEMPTS - 1:
            spread = SPREADS[attempt - len(SPREADS)]
            values = spread * (np.abs(rng.normal(size=shape)) + ABOVE_ZERO)
        else:
            values = rng.uniform(0.0, 1.0, shape)
        return values if self.scaling is None else self.scaling.raw(values)

    def _integers(self, rng: np.random.Generator, shape: tuple[int, ...], attempt: int) -> Any:
        if self.dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        kind = np.iinfo(self.dtype)
        if self.limit is not None:
            return rng.integers(0, min(self.limit, kind.max), shape).astype(self.dtype)
        if kind.bits > NARROW_BITS and self.scaling is not None:
            values = np.rint(self._scaled(rng, shape, attempt))
            return np.clip(values, kind.min, 2.0**31 - 1).astype(self.dtype)
        bound = BOUNDS[attempt % len(BOUNDS)] if kind.bits > NARROW_BITS else None
        low, high = (kind.min, kind.max) if bound is None else (0, bound - 1)
        low = low if attempt < len(SPREADS) else 1
        return rng.integers(low, high, shape, dtype=self.dtype, endpoint=True)


def random_inputs(graph: Graph, model: Any, seed: int, attempt: int = 0) -> Iterator[Any]:
    """Inputs in the structure that the model takes, one for each size of the free axes.

    Their values lie where the model's own scaling expects them (see `input_ranges`), and integers
    of up to 16 bits take their whole range.

    Args:
        graph: The model's graph.
        model: The live model.
        seed: For the values.
        attempt: Below `ATTEMPTS`, for other values than the first time: those of `SPREADS` first.

    Raises:
        SurgeryError: An input of a dtype that can't be made up, such as strings.
    """
    import keras  # noqa: PLC0415

    structure = _structure(model)
    tensors = keras.tree.flatten(structure)
    sources = _sources(graph, model, tensors)
    stride = layout_of(graph).stride
    free = any(None in tensor.shape[1:] for tensor in tensors)
    for size in FREE_SIZES if free else FREE_SIZES[:1]:
        rng = np.random.default_rng(seed)
        arrays = [
            source.draw(rng, _filled_shape(tuple(tensor.shape), size, stride), attempt)
            for source, tensor in zip(sources, tensors, strict=True)
        ]
        yield keras.tree.pack_sequence_as(structure, arrays)


def _sources(graph: Graph, model: Any, tensors: list[Any]) -> list[_Source]:
    flat, layers = flatten(graph), layers_by_path(model)
    limit = _index_limit(flat)
    return [
        _Source(tensor.name, str(tensor.dtype), input_range(flat, layers, end.node), limit)
        for tensor, end in zip(tensors, flat.input_tensors, strict=True)
    ]


def without_optional(graph: Graph, model: Any, inputs: Any) -> Any | None:
    """The same inputs with None for those that may be left out; None if there are none."""
    import keras  # noqa: PLC0415

    optional = [bool(graph.nodes[t.node].config.get("optional")) for t in graph.input_tensors]
    if not any(optional):
        return None
    flat = keras.tree.flatten(inputs)
    kept = [None if left_out else x for x, left_out in zip(flat, optional, strict=True)]
    return keras.tree.pack_sequence_as(_structure(model), kept)


def _structure(model: Any) -> Any:
    import keras  # noqa: PLC0415

    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _filled_shape(shape: Shape, size: int, stride: tuple[int, ...]) -> tuple[int, ...]:
    batch, *rest = shape
    found = [BATCH if batch is None else batch]
    for axis, dim in enumerate(rest):
        step = stride[axis] if len(stride) == len(rest) - 1 and axis < len(stride) else 1
        found.append(ceil(size / step) * step if dim is None else dim)
    return tuple(found)


def _index_limit(flat: Graph) -> int | None:
    """The smallest vocabulary that integers may index."""
    found = [
        int(node.config[INDICES[node.class_name]])
        for node in flat.nodes
        if isinstance(node.config.get(INDICES.get(node.class_name, "")), int)
    ]
    return min(found, default=None)
