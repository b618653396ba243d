"""How a serialized configuration names tensors in the arguments of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normwise.graph.graph import Tensor, TensorSpec, freeze

MAX_OUTPUTS = 4096
"""Outputs of one call."""


@dataclass(frozen=True)
class Reference:
    """A tensor as a configuration names it: output `output` of call `call` of layer `layer`."""

    layer: str
    call: int
    output: int
    spec: TensorSpec = field(default_factory=TensorSpec)


def shape_of(value: Any) -> tuple[int | None, ...] | None:
    """A shape from JSON: None for anything that is none."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    if not all(d is None or (isinstance(d, int) and not isinstance(d, bool)) for d in value):
        return None
    return tuple(value)


def spec_of(value: Mapping[str, Any]) -> TensorSpec:
    """Shape and dtype as a configuration tells them."""
    dtype = value.get("dtype")
    return TensorSpec(shape_of(value.get("shape")), dtype if isinstance(dtype, str) else None)


def argument_of(value: Any) -> Any:
    """A call argument, with a `Reference` where it names a tensor."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            return _reference(value.get("config"))
        if value.get("class_name") == "__tuple__":
            return tuple(argument_of(v) for v in value["config"]["value"])
        return freeze({k: argument_of(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(argument_of(v) for v in value)
    return value


def _reference(config: Any) -> Reference:
    history = config.get("keras_history") if isinstance(config, Mapping) else None
    if not isinstance(history, Sequence) or len(history) != 3:
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
    elif isinstance(structure, Mapping):
        for part in structure.values():
            yield from references_in(part)
    elif isinstance(structure, tuple):
        for part in structure:
            yield from references_in(part)


def map_references(structure: Any, resolve: Callable[[Reference], Tensor]) -> Any:
    """The same structure with `resolve(reference)` in the place of every reference."""
    if isinstance(structure, Reference):
        return resolve(structure)
    if isinstance(structure, Mapping):
        return freeze({k: map_references(v, resolve) for k, v in structure.items()})
    if isinstance(structure, tuple):
        return tuple(map_references(v, resolve) for v in structure)
    return structure
