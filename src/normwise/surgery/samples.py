"""Random inputs that a model can take: legal shapes, dtypes and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np

from normwise.errors import SurgeryError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Shape
from normwise.graph.regions import layout_of

BATCH = 2
FREE_SIZES = (8, 32, 64, 128, 299)
"""Sizes tried along a free axis, rounded up to the total stride; the first that runs is used."""

RANGES = {"uint8": 256, "bool": 2}
INDICES = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens"}
SMALL_RANGE = 4


def random_inputs(graph: Graph, model: Any, seed: int) -> Iterator[Any]:
    """Inputs in the structure that the model takes, one for each size of the free axes.

    Args:
        graph: The model's graph.
        model: The live model.
        seed: For the values.

    Raises:
        SurgeryError: An input of a dtype that can't be made up, such as strings.
    """
    import keras  # noqa: PLC0415

    structure = _structure(model)
    tensors = keras.tree.flatten(structure)
    stride = layout_of(graph).stride
    limit = _index_limit(graph)
    free = any(None in tensor.shape[1:] for tensor in tensors)
    for size in FREE_SIZES if free else FREE_SIZES[:1]:
        rng = np.random.default_rng(seed)
        arrays = [
            _array(rng, _filled_shape(tuple(t.shape), size, stride), str(t.dtype), limit, t.name)
            for t in tensors
        ]
        yield keras.tree.pack_sequence_as(structure, arrays)


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


def _index_limit(graph: Graph) -> int | None:
    """The smallest vocabulary that integers may index."""
    found = [
        int(node.config[INDICES[node.class_name]])
        for node in flatten(graph).nodes
        if isinstance(node.config.get(INDICES.get(node.class_name, "")), int)
    ]
    return min(found, default=None)


def _array(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, limit: int | None, name: str
) -> Any:
    if dtype == "bool" or dtype.startswith(("int", "uint")):
        high = limit or RANGES.get(dtype, SMALL_RANGE)
        return rng.integers(0, high, shape).astype(dtype)
    if dtype.startswith(("float", "bfloat")):
        values = rng.normal(size=shape).astype("float32")
        return values if dtype.startswith("b") else values.astype(dtype)
    raise SurgeryError(
        f"input {name!r} has the dtype {dtype}, for which no values can be made up, so nothing "
        "could be verified. Split the model behind it, or use keep_outputs=False."
    )
