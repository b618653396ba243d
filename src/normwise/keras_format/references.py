"""How a serialized configuration names tensors in the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from normwise.graph.graph import Tensor, TensorSpec
from normwise.graph.shapes import MAX_RANK, possible

MAX_OUTPUTS = 4096
"""Outputs of one call."""

MAX_DEPTH = 64
"""Lists in lists in the arguments of a call, or in a layer's settings."""


UNKNOWN = TensorSpec()
LEAVES = (str, int, float, type(None))
"""What holds nothing else; telling these apart first is most of what reading arguments costs."""
MAPPINGS = (dict, MappingProxyType, Mapping)
SEQUENCES = (list, tuple, Sequence)
"""What JSON makes first: for these nobody has to ask the abstract classes, which takes long."""


@dataclass(frozen=True)
class Reference:
    """A tensor as a configuration names it: output `output` of call `call` of layer `layer`."""

    layer: str
    call: int
    output: int
    spec: TensorSpec = UNKNOWN


def shape_of(value: Any) -> tuple[int | None, ...] | None:
    """A shape from JSON: None for anything that is none."""
    if not isinstance(value, SEQUENCES) or isinstance(value, str):
        return None
    if len(value) > MAX_RANK:
        return None
    for size in value:
        if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
            return None
    return possible(tuple(value))


def spec_of(value: Mapping[str, Any]) -> TensorSpec:
    """Shape and dtype as a configuration tells them."""
    dtype = value.get("dtype")
    return TensorSpec(shape_of(value.get("shape")), dtype if isinstance(dtype, str) else None)


def argument_of(value: Any, depth: int = 0) -> Any:
    """A call argument, with a `Reference` where it names a tensor.

    Raises:
        ValueError: It is nested deeper than anything that a call reads.
    """
    if isinstance(value, LEAVES):
        return value
    refuse_deep(depth)
    if isinstance(value, MAPPINGS):
        if value.get("class_name") == "__keras_tensor__":
            return _reference(value.get("config"))
        if value.get("class_name") == "__tuple__":
            return tuple(argument_of(v, depth + 1) for v in value["config"]["value"])
        return MappingProxyType({str(k): argument_of(v, depth + 1) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(argument_of(v, depth + 1) for v in value)
    return value


def refuse_deep(depth: int) -> None:
    """Refuses values so deep that whoever walks through them would run out of stack.

    Raises:
        ValueError: They are.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"values are nested more than {MAX_DEPTH} deep")


def _reference(config: Any) -> Reference:
    history = config.get("keras_history") if isinstance(config, MAPPINGS) else None
    if not isinstance(history, SEQUENCES) or len(history) != 3:
        return Reference("(a tensor without a history)", 0, 0)
    return Reference(str(history[0]), int(history[1]), output_of(history[2]), spec_of(config))


def output_of(value: Any) -> int:
    """The index of an output, within bounds; a larger one would fill the memory."""
    output = int(value)
    if not 0 <= output < MAX_OUTPUTS:
        raise ValueError(f"output {output} of a layer is read")
    return output


def references_in(structure: Any) -> Iterator[Reference]:
    """The references in nested tuples and mappings, in order."""
    if isinstance(structure, Reference):
        yield structure
    elif isinstance(structure, tuple):
        for part in structure:
            yield from references_in(part)
    elif not isinstance(structure, LEAVES) and isinstance(structure, MAPPINGS):
        for part in structure.values():
            yield from references_in(part)


def map_references(structure: Any, resolve: Callable[[Reference], Tensor]) -> Any:
    """The same structure with `resolve(reference)` in the place of every reference."""
    if isinstance(structure, Reference):
        return resolve(structure)
    if isinstance(structure, LEAVES):
        return structure
    if isinstance(structure, MAPPINGS):
        return MappingProxyType({k: map_references(v, resolve) for k, v in structure.items()})
    if isinstance(structure, tuple):
        return tuple(map_references(v, resolve) for v in structure)
    return structure
