"""From a serialized Keras 3 model configuration to a `Graph`.

Every reader ends here: files hand over their JSON, legacy files after translation by `legacy`,
live models after `live` has described them in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from normwise.errors import ModelReadError
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, tensors_in
from normwise.graph.shapes import shaped, with_shapes
from normwise.keras_format.bounds import MAX_CALLS, refuse_nested_excess, refuse_nesting
from normwise.keras_format.layer_config import (
    call_name,
    call_of,
    described,
    has_layers,
    inbound_calls,
    input_shape,
    input_spec,
    is_functional,
    is_model,
    named,
    settings_of,
)
from normwise.keras_format.references import (
    MAPPINGS,
    Reference,
    map_references,
    references_in,
    shape_of,
    spec_of,
)
from normwise.keras_format.wiring import (
    Key,
    end_references,
    refuse_like_names,
    resolved,
    resolver,
    told_specs,
    topological,
    with_outputs,
)

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


def _model(serialized: Any, source: str, depth: int) -> Graph:
    refuse_nesting(depth, source, "models")
    if not isinstance(serialized, MAPPINGS) or "class_name" not in serialized:
        raise ModelReadError(
            f"{source}: this is no model configuration: expected a mapping with `class_name` and "
            f"`config`, got {described(serialized)}."
        )
    if not has_layers(serialized):
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
    refuse_nested_excess(graph, source)
    return with_shapes(graph)


def _functional(
    serialized: Mapping[str, Any], config: Mapping[str, Any], source: str, depth: int
) -> Graph:
    layers = [named(layer, source) for layer in config["layers"]]
    pending, reads = _calls(layers, source, depth)
    specs = told_specs(reads, source)
    order = topological(pending, reads, source)
    resolve = resolver(order, source)
    nodes = [resolved(pending[key], specs.get(key, {}), resolve) for key in order]
    refuse_like_names(nodes, source)
    nested = {str(layer["name"]) for layer in layers if is_functional(layer)}
    ends = [end_references(config[key], nested) for key in ("input_layers", "output_layers")]
    inputs, outputs = (map_references(end, resolve) for end in ends)
    return Graph(
        str(config.get("name", "model")),
        str(serialized["class_name"]),
        with_outputs(nodes, list(tensors_in((inputs, outputs))), source),
        inputs,
        outputs,
        source,
    )


def _calls(
    layers: Sequence[Mapping[str, Any]], source: str, depth: int
) -> tuple[dict[Key, Node], dict[Key, tuple[Reference, ...]]]:
    """One node for each call, still with `Reference`s, and these."""
    pending: dict[Key, Node] = {}
    reads: dict[Key, tuple[Reference, ...]] = {}
    for layer in layers:
        template = _template(layer, source, depth)
        if (template.layer, 0) in pending:
            raise ModelReadError(f"{source}: two layers are named {template.layer!r}.")
        for call, inbound in enumerate(inbound_calls(layer, source) or [None]):
            if len(pending) == MAX_CALLS:
                raise ModelReadError(f"{source}: over {MAX_CALLS} calls of layers are not read.")
            node = call_of(template, call, inbound, source)
            pending[template.layer, call] = node
            reads[template.layer, call] = tuple(references_in((node.args, node.kwargs)))
    return pending, reads


def _template(layer: Mapping[str, Any], source: str, depth: int) -> Node:
    """A layer as a node that reads nothing: what its calls have in common."""
    name = str(layer["name"])
    config, module = layer.get("config"), layer.get("module")
    nested = _model(layer, source, depth + 1) if is_model(layer) else None
    return Node(
        name=name,
        layer=name,
        class_name=str(layer["class_name"]),
        module=None if module is None else str(module),  # of a damaged file it may be anything
        config=settings_of({} if nested or not isinstance(config, MAPPINGS) else config),
        outputs=(input_spec(config),),
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
    refuse_nesting(depth, source, "layers")
    start = Node("(step)", "(step)", "InputLayer", "keras.layers")
    made = replace(_template(named(inner, source), source, depth + 1), args=(Tensor(0),))
    outputs = len(made.model.output_tensors) if made.model is not None else 1
    if outputs != 1:
        return None
    made = replace(made, outputs=(TensorSpec(),))
    return Graph(name, "Functional", (start, made), Tensor(0), Tensor(1), source)


def _sequential(
    serialized: Mapping[str, Any], config: Mapping[str, Any], source: str, depth: int
) -> Graph:
    layers = [named(layer, source) for layer in config["layers"]]
    nodes: list[Node] = []
    calls: dict[str, int] = {}
    if not layers or layers[0]["class_name"] != "InputLayer":
        nodes.append(_implied_input(config, layers))
    for place, layer in enumerate(layers):
        template = _template(layer, source, depth)
        args = (Tensor(len(nodes) - 1),) if nodes else ()
        told = tuple(spec_of(spec) for spec in layer.get("outputs", ())) or (TensorSpec(),)
        outputs = told if nodes else template.outputs
        call = calls[template.layer] = calls.get(template.layer, -1) + 1
        name = call_name(template, call)
        node = shaped(template.changed(name=name, call=call, args=args, outputs=outputs), nodes)
        if node.shape is None and place + 1 < len(layers):
            node = node.changed(outputs=(_read_by(layers[place + 1], node),))
        nodes.append(node)
    return Graph(
        str(config.get("name", "sequential")),
        str(serialized["class_name"]),
        tuple(nodes),
        Tensor(0),
        Tensor(len(nodes) - 1),
        source,
    )


def _read_by(layer: Mapping[str, Any], before: Node) -> TensorSpec:
    """What a layer was built for, which a file tells of most: what the one before it makes."""
    built = layer.get("build_config")
    shape = shape_of(built.get("input_shape")) if isinstance(built, MAPPINGS) else None
    return replace(before.outputs[0], shape=shape)


def _implied_input(config: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> Node:
    first = layers[0].get("config") if layers else None
    shape = shape_of(config.get("build_input_shape")) or input_shape(first)
    taken = {layer["name"] for layer in layers}
    name = next(n for n in ("input", "input_", "input__") if n not in taken)
    return Node(name, name, "InputLayer", outputs=(TensorSpec(shape, None),))
