"""From a serialized Keras 3 model configuration to a `Graph`.

Every reader ends here: files hand over their JSON, legacy files after translation by `legacy`,
live models after `live` has described them in the same form.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from normwise.errors import ModelReadError
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze, tensors_in
from normwise.graph.shapes import with_shapes
from normwise.keras_format.references import (
    LEAVES,
    MAPPINGS,
    MAX_OUTPUTS,
    SEQUENCES,
    UNKNOWN,
    Reference,
    argument_of,
    map_references,
    output_of,
    references_in,
    refuse_deep,
    shape_of,
    spec_of,
)

MAX_NESTING = 64
"""Models inside models; more than that is no model that anyone built."""

MAX_CALLS = 10_500
"""Calls with all nested models opened. Models that call each other twice double at each level, so
that a small file could ask for more than any machine holds."""

MAX_LOOKS = 5 * MAX_CALLS // 2
"""Calls times the models around them: shapes are inferred on each level, for what is inside."""

MAX_NAME = 500
"""Characters of a layer's name, which stands in the paths of all that is in it."""


MALFORMED = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
"""What code meets in a configuration that has the wrong types in the wrong places."""


def graph_from_config(serialized: Any, source: str) -> Graph:
    """Reads the configuration of a functional or Sequential model.

    Args:
        serialized: The mapping with `class_name` and `config` that Keras writes.
        source: The file or object, for messages.

    Returns:
        The graph, with the shapes that the configuration tells or that can be inferred.

    Raises:
        ModelReadError: The configuration isn't one of a functional or Sequential model.
    """
    try:
        return _model(serialized, source, 0)
    except RecursionError as error:
        raise ModelReadError(
            f"{source}: the configuration is nested too deeply to be a model."
        ) from error
    except MALFORMED as error:
        raise ModelReadError(
            f"{source}: the configuration is malformed ({type(error).__name__}: "
            f"{str(error)[:200]}). Save "
            "the model again with model.save()."
        ) from error


def is_model(layer: Mapping[str, Any]) -> bool:
    """Whether a serialized layer is itself a functional or Sequential model."""
    config = layer.get("config")
    return isinstance(config, MAPPINGS) and isinstance(config.get("layers"), SEQUENCES)


def _model(serialized: Any, source: str, depth: int) -> Graph:
    if depth > MAX_NESTING:
        raise ModelReadError(f"{source}: models are nested more than {MAX_NESTING} deep.")
    if not isinstance(serialized, MAPPINGS) or "class_name" not in serialized:
        raise ModelReadError(
            f"{source}: this is no model configuration: expected a mapping with `class_name` and "
            f"`config`, got {_describe(serialized)}."
        )
    if not is_model(serialized):
        raise ModelReadError(
            f"{source}: the model is of class {serialized['class_name']!r} and its configuration "
            "has no graph of layers. Only functional and Sequential models can be read; rebuild a "
            "subclassed model with keras.Model(inputs, outputs)."
        )
    config = serialized["config"]
    if "input_layers" not in config and any(
        isinstance(layer, MAPPINGS) and layer.get("inbound_nodes") for layer in config["layers"]
    ):
        raise ModelReadError(
            f"{source}: the layers are wired, but the configuration names no `input_layers` and "
            "`output_layers`: it is damaged."
        )
    read = _functional if "input_layers" in config else _sequential
    graph = read(serialized, config, source, depth)
    _check_nested(graph, source)
    return with_shapes(graph)


def _check_nested(graph: Graph, source: str) -> None:
    """Refuses more calls than anyone built, and outputs that a nested model doesn't have."""
    calls, levels = _opened(graph, {})
    if calls > MAX_CALLS or calls * levels > MAX_LOOKS:
        raise ModelReadError(
            f"{source}: model {graph.name!r} has {_written(calls)} calls or outputs with its "
            f"nested models opened, {levels} deep; more than {MAX_CALLS}, or {MAX_LOOKS} by "
            "depth, are not read."
        )
    for node in graph.nodes:
        made = 1 if node.class_name == "InputLayer" else MAX_OUTPUTS
        made = made if node.model is None else len(node.model.output_tensors)
        if len(node.outputs) > made:
            raise ModelReadError(
                f"{source}: output {len(node.outputs) - 1} of layer {node.layer!r} is read, but "
                f"it has {made} at most."
            )


def _opened(graph: Graph, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Number of calls, or outputs, with nested models opened, and how deep these are.

    Each model is looked at once.
    """
    if id(graph) not in known:
        inside = (node.model or node.steps for node in graph.nodes)
        inner = [_opened(part, known) for part in inside if part is not None]
        own = sum(len(node.outputs) or 1 for node in graph.nodes if node.model is None)
        calls = own + sum(count for count, _ in inner)
        known[id(graph)] = calls, 1 + max((levels for _, levels in inner), default=0)
    return known[id(graph)]


def _written(number: int) -> str:
    return str(number) if number < 10**12 else "over 10**12"


def _describe(value: Any) -> str:
    if isinstance(value, MAPPINGS):
        keys = ", ".join(str(k) for k in list(value)[:5])
        return f"a mapping with the keys {keys or '(none)'}"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _functional(
    serialized: Mapping[str, Any], config: Mapping[str, Any], source: str, depth: int
) -> Graph:
    layers = [_layer(layer, source) for layer in config["layers"]]
    pending, reads = _calls(layers, source, depth)
    specs = _told(reads, source)
    order = _topological(pending, reads, source)
    place = {key: index for index, key in enumerate(order)}

    def resolve(reference: Reference) -> Tensor:
        key = (reference.layer, reference.call)
        if key not in place:
            raise ModelReadError(
                f"{source}: layer {reference.layer!r} has no call number {reference.call}, but "
                "another layer or an output of the model reads it."
            )
        return Tensor(place[key], reference.output)

    nodes = [_resolved(pending[key], specs.get(key, {}), resolve) for key in order]
    _refuse_like_names(nodes, source)
    nested = {str(layer["name"]) for layer in layers if is_model(layer)}
    ends = [
        _end_references(config[key], nested, pending) for key in ("input_layers", "output_layers")
    ]
    inputs, outputs = (map_references(end, resolve) for end in ends)
    return Graph(
        str(config.get("name", "model")),
        str(serialized["class_name"]),
        _with_outputs(nodes, list(tensors_in((inputs, outputs))), source),
        inputs,
        outputs,
        source,
    )


def _refuse_like_names(nodes: Sequence[Node], source: str) -> None:
    """The second call of the layer `a` is known as `a:1`, so no other layer may be called so."""
    layers: dict[str, str] = {}
    for node in nodes:
        other = layers.setdefault(node.name, node.layer)
        if other != node.layer:
            raise ModelReadError(
                f"{source}: a layer is named {node.name!r}, and so is a further call of another "
                f"({min(other, node.layer, key=len)!r}); rename it, by another number at its end."
            )


def _layer(layer: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(layer, MAPPINGS) or "class_name" not in layer:
        raise ModelReadError(f"{source}: expected a layer, got {_describe(layer)}.")
    config = layer.get("config")
    name = layer.get("name") or (config.get("name") if isinstance(config, MAPPINGS) else None)
    if not isinstance(name, str):
        raise ModelReadError(f"{source}: a layer of class {layer['class_name']!r} has no name.")
    if len(name) > MAX_NAME:
        raise ModelReadError(
            f"{source}: a layer's name has {len(name)} characters, more than {MAX_NAME}: "
            f"{name[:40]!r}..."
        )
    return {**layer, "name": name}


_Key = tuple[str, int]


def _calls(
    layers: Sequence[Mapping[str, Any]], source: str, depth: int
) -> tuple[dict[_Key, Node], dict[_Key, tuple[Reference, ...]]]:
    """One node for each call, still with `Reference`s, and these."""
    pending: dict[_Key, Node] = {}
    reads: dict[_Key, tuple[Reference, ...]] = {}
    for layer in layers:
        template = _template(layer, source, depth)
        if (template.layer, 0) in pending:
            raise ModelReadError(f"{source}: two layers are named {template.layer!r}.")
        for call, inbound in enumerate(_inbound(layer, source) or [None]):
            if len(pending) == MAX_CALLS:
                raise ModelReadError(f"{source}: over {MAX_CALLS} calls of layers are not read.")
            node = _call(template, call, inbound, source)
            pending[template.layer, call] = node
            reads[template.layer, call] = tuple(references_in((node.args, node.kwargs)))
    return pending, reads


def _told(
    reads: Mapping[_Key, Sequence[Reference]], source: str
) -> Mapping[_Key, Mapping[int, TensorSpec]]:
    """What the readers of each call tell of its outputs."""
    specs: dict[_Key, dict[int, TensorSpec]] = {}
    for references in reads.values():
        for reference in references:
            told = specs.setdefault((reference.layer, reference.call), {})
            told[reference.output] = reference.spec
    _refuse_many(sum(max(told) + 1 for told in specs.values()), source)
    return specs


def _refuse_many(outputs: int, source: str) -> None:
    if outputs > 2 * MAX_CALLS:
        raise ModelReadError(
            f"{source}: {outputs} outputs of calls are read; more than {2 * MAX_CALLS} are none "
            "of a model."
        )


def _inbound(layer: Mapping[str, Any], source: str) -> Sequence[Any]:
    nodes = layer.get("inbound_nodes", [])
    if not isinstance(nodes, SEQUENCES) or isinstance(nodes, str):
        raise ModelReadError(
            f"{source}: layer {layer['name']!r}: `inbound_nodes` is {_describe(nodes)}, "
            "expected a list."
        )
    return nodes


def _template(layer: Mapping[str, Any], source: str, depth: int) -> Node:
    name = str(layer["name"])
    config = layer.get("config")
    nested = _model(layer, source, depth + 1) if is_model(layer) else None
    return Node(
        name=name,
        layer=name,
        class_name=str(layer["class_name"]),
        module=layer.get("module"),
        config=_settings({} if nested or not isinstance(config, MAPPINGS) else config),
        outputs=(TensorSpec(_input_shape(config), _input_dtype(config)),),
        model=nested,
        opaque=layer.get("opaque"),
        steps=None if nested else _steps(layer, source, depth),
    )


def _steps(layer: Mapping[str, Any], source: str, depth: int) -> Graph | None:
    """What a `TimeDistributed` does at each step, None for other layers and what can't be read."""
    config = layer.get("config")
    if layer["class_name"] != "TimeDistributed" or not isinstance(config, MAPPINGS):
        return None
    inner = config.get("layer")
    if not isinstance(inner, MAPPINGS) or not isinstance(inner.get("class_name"), str):
        return None
    settings = inner.get("config")
    name = settings.get("name") if isinstance(settings, MAPPINGS) else None
    if not isinstance(name, str) or str(layer.get("module") or "keras").split(".")[0] != "keras":
        return None
    if depth > MAX_NESTING:
        raise ModelReadError(f"{source}: layers are nested more than {MAX_NESTING} deep.")
    start = Node("(step)", "(step)", "InputLayer", "keras.layers")
    made = replace(_template(_layer(inner, source), source, depth + 1), args=(Tensor(0),))
    outputs = len(made.model.output_tensors) if made.model is not None else 1
    if outputs != 1:
        return None
    made = replace(made, outputs=(TensorSpec(),))
    return Graph(name, "Functional", (start, made), Tensor(0), Tensor(1), source)


def _settings(config: Any, depth: int = 0) -> Any:
    """A configuration, frozen, without the numbers that Keras gives to objects it shares."""
    refuse_deep(depth)
    if isinstance(config, MAPPINGS):
        return MappingProxyType(
            {
                str(key): value if isinstance(value, LEAVES) else _settings(value, depth + 1)
                for key, value in config.items()
                if key != "shared_object_id"
            }
        )
    if isinstance(config, (list, tuple)):
        return tuple(
            part if isinstance(part, LEAVES) else _settings(part, depth + 1) for part in config
        )
    return config


def _input_shape(config: Any) -> tuple[int | None, ...] | None:
    if not isinstance(config, MAPPINGS):
        return None
    return shape_of(config.get("batch_shape", config.get("batch_input_shape")))


def _input_dtype(config: Any) -> str | None:
    dtype = config.get("dtype") if isinstance(config, MAPPINGS) else None
    return dtype if isinstance(dtype, str) else None


def _call(template: Node, call: int, inbound: Any, source: str) -> Node:
    name = template.name if call == 0 else f"{template.layer}:{call}"
    if inbound is None:
        return template
    if not isinstance(inbound, MAPPINGS):
        raise ModelReadError(
            f"{source}: a call of layer {template.layer!r} is {_describe(inbound)}, expected a "
            "mapping with `args` and `kwargs`."
        )
    outputs = tuple(spec_of(told) for told in inbound.get("outputs", ()))
    return template.changed(
        name=name,
        call=call,
        args=tuple(argument_of(a) for a in inbound.get("args", ())),
        kwargs=argument_of(dict(inbound.get("kwargs", {}))),
        outputs=outputs or (TensorSpec(),),
    )


def _topological(
    pending: Mapping[_Key, Node], reads: Mapping[_Key, Sequence[Reference]], source: str
) -> list[_Key]:
    """The calls in an order in which each follows what it reads, else as they are listed."""
    rank = {key: index for index, key in enumerate(pending)}
    readers: dict[_Key, list[_Key]] = {key: [] for key in pending}
    missing: dict[_Key, int] = {}
    for key, node in pending.items():
        needed = {(r.layer, r.call) for r in reads[key]}
        for need in needed:
            if need not in pending:
                raise ModelReadError(
                    f"{source}: layer {node.layer!r} reads call {need[1]} of a layer "
                    f"{need[0]!r}, which isn't in the model."
                )
            readers[need].append(key)
        missing[key] = len(needed)
    ready = [rank[key] for key in pending if missing[key] == 0]
    heapq.heapify(ready)
    keys, order = list(pending), []
    while ready:
        key = keys[heapq.heappop(ready)]
        order.append(key)
        for reader in readers[key]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heapq.heappush(ready, rank[reader])
    if len(order) != len(pending):
        stuck = next(key[0] for key in pending if missing[key] > 0)
        raise ModelReadError(f"{source}: the graph has a loop; layer {stuck!r} waits for itself.")
    return order


def _resolved(node: Node, told: Mapping[int, TensorSpec], resolve: Any) -> Node:
    outputs = list(node.outputs)
    for output, spec in told.items():
        outputs.extend([UNKNOWN] * (output + 1 - len(outputs)))
        if outputs[output].shape is None:
            outputs[output] = spec
    return node.changed(
        args=map_references(node.args, resolve),
        kwargs=map_references(node.kwargs, resolve),
        outputs=tuple(outputs),
    )


def _end_references(
    structure: Any, nested: set[str], pending: Mapping[_Key, Node], depth: int = 0
) -> Any:
    """The model's inputs or outputs as `Reference`s.

    Keras counts the calls of a nested functional model from 1 here, but from 0 in inbound nodes.
    """
    refuse_deep(depth)
    if isinstance(structure, MAPPINGS):
        ends = {k: _end_references(v, nested, pending, depth + 1) for k, v in structure.items()}
        return freeze(ends)
    parts = list(structure) if isinstance(structure, SEQUENCES) else []
    if len(parts) >= 3 and isinstance(parts[0], str) and isinstance(parts[1], int):
        layer, call, output = parts[:3]
        shifted = layer in nested and (layer, 0) in pending and _starts_at_one(pending[layer, 0])
        return Reference(layer, call - 1 if shifted else call, output_of(output))
    return tuple(_end_references(part, nested, pending, depth + 1) for part in parts)


def _starts_at_one(node: Node) -> bool:
    return node.model is not None and node.class_name != "Sequential"


def _with_outputs(nodes: list[Node], ends: Sequence[Tensor], source: str) -> tuple[Node, ...]:
    """Every output that anyone reads has a spec, an unknown one if need be."""
    needed: dict[int, int] = {}
    for tensor in [*ends, *(t for node in nodes for t in node.inputs)]:
        needed[tensor.node] = max(needed.get(tensor.node, 0), tensor.output + 1)
    _refuse_many(sum(needed.values()), source)
    return tuple(
        node
        if (more := needed.get(index, 0) - len(node.outputs)) <= 0
        else replace(node, outputs=node.outputs + (UNKNOWN,) * more)
        for index, node in enumerate(nodes)
    )


def _sequential(
    serialized: Mapping[str, Any], config: Mapping[str, Any], source: str, depth: int
) -> Graph:
    layers = [_layer(layer, source) for layer in config["layers"]]
    nodes: list[Node] = []
    if not layers or layers[0]["class_name"] != "InputLayer":
        nodes.append(_implied_input(config, layers))
    for layer in layers:
        template = _template(layer, source, depth)
        args = (Tensor(len(nodes) - 1),) if nodes else ()
        outputs = template.outputs if not nodes else (TensorSpec(),)
        nodes.append(replace(template, args=args, outputs=outputs))
    return Graph(
        str(config.get("name", "sequential")),
        str(serialized["class_name"]),
        tuple(nodes),
        Tensor(0),
        Tensor(len(nodes) - 1),
        source,
    )


def _implied_input(config: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> Node:
    first = layers[0].get("config") if layers else None
    shape = shape_of(config.get("build_input_shape")) or _input_shape(first)
    taken = {layer["name"] for layer in layers}
    name = next(n for n in ("input", "input_", "input__") if n not in taken)
    return Node(name, name, "InputLayer", outputs=(TensorSpec(shape, None),))
