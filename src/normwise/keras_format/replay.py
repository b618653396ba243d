"""From an edited graph back to a Keras model: its calls are replayed with copies of the layers.

Replaying keeps what `clone_model` and edited configurations lose: Lambda layers, optional inputs,
keyword tensors, constants in calls, rematerialization, `trainable` flags, output names. Weights
go layer by layer: positions in `.weights` shift with every inserted layer. On JAX they go through
NumPy, because an assigned variable would share its buffer with the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from normwise.errors import SurgeryError
from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Tensor, thaw
from normwise.keras_format.applied import applied_layer, build_applied, copy_applied
from normwise.keras_format.layers import (
    copy_layer,
    custom_objects,
    fused_function,
    new_layer,
    start_cheaply,
)
from normwise.keras_format.live import live_calls
from normwise.keras_format.model_classes import constructs_like_functional, is_own
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.recursion import deep_recursion
from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import (
    Array,
    WeightRule,
    Weights,
    copy_flags,
    variables_of,
)


def replay(
    graph: Graph,
    source: Any,
    rules: Mapping[str, WeightRule] | None = None,
    original: Graph | None = None,
    *,
    names: Mapping[str, str] | None = None,
    replaced: Mapping[int, Array] | None = None,
    parted: Mapping[str, str] | None = None,
) -> Replayed:
    """Builds the model that an edited graph describes.

    Nodes that keep the name they have in the source are calls of copies of its layers, with the
    source's arguments; where a node's configuration differs from the source layer's (an input may
    have another `batch_shape`), the copy has the node's. All other nodes become new Keras layers by
    `class_name` and `config`.

    Args:
        graph: The edited graph of `source`, nested models inside `Node.model`.
        source: The live model that the graph was read from. It is not changed, but for activations
            that are layers: they get the weights that their first call would make.
        rules: For layers by path: a function from the source's `Weights` to the layer's weights
            by name (`"kernel"`, `"gamma"`). Names that it leaves out are taken from the source's
            layer of that path, or stay as initialized where there is none.
        original: The graph of `source` as it was read; read again without it.
        names: Layers of the outermost model that the graph calls otherwise than the source: from
            their names in the graph to those in the source.
        replaced: What stands in for some of the source's variables, by the variable's `id`.
        parted: New layers that apply the function that a layer of the source applied to its
            result: from their paths to that layer's.

    Returns:
        The model with the weights that the rules make of the source's.

    Raises:
        SurgeryError: A layer that can't be copied, named with the reason.

    Example:
        >>> copy = replay(read_graph(model), model).model
    """
    import keras  # noqa: PLC0415 - files are read without it

    from normwise.keras_format.reading import read_graph  # noqa: PLC0415

    before = read_graph(source) if original is None else original
    theirs = layers_by_path(source)
    for layer in theirs.values():
        build_applied(layer)
    called = {path: (names or {}).get(layer, layer) for path, layer in (parted or {}).items()}
    functions = {path: fused_function(theirs.get(layer)) for path, layer in called.items()}
    work = _Replay(names or {}, functions)
    scope = keras.saving.custom_object_scope(custom_objects(source))
    with scope, deep_recursion(len(graph.nodes)):
        model = work.level(graph, before, source, "")
    for finish in work.unfinished:
        finish()
    sources = {**theirs, **work.origins}
    changed = frozenset(work.changed)
    notes = tuple(work.notes)
    done = Replayed(
        model, work.layers, work.origins, rules or {}, changed, sources, notes, names or {}
    )
    _refuse_untied(done)
    copy_flags(
        [(source, model), *(work.models[path] for path in sorted(work.models, key=_depth))],
        [
            (None if path in work.flagged else done.origins.get(path), layer)
            for path, layer in done.layers.items()
            if path not in work.unflagged
        ],
    )
    done.transfer(Weights(done.sources, replaced))
    return done


def _refuse_untied(done: Replayed) -> None:
    """One variable of the source is one of the copy, also where a layer holds another layer."""
    seen: dict[int, tuple[str, Any]] = {}
    for path, layer in done.layers.items():
        old, new = variables_of(done.origins.get(path)), variables_of(layer)
        if path in done.rules or len(old) != len(new):
            continue  # another number of variables is refused when they are copied
        for theirs, mine in zip(old, new, strict=True):
            first, known = seen.setdefault(id(theirs), (path, mine))
            if known is not mine:
                raise SurgeryError(
                    f"layers {first!r} and {path!r} share the weight {theirs.path!r}, and in a "
                    "copy each would have its own, because the layer that holds it stands inside "
                    "another one as well. Give them layers of their own."
                )


_OF_TRAINING = frozenset(
    {"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"}
)
"""Attributes that Keras itself puts into a model that is compiled, trained or evaluated."""


class _Replay:
    """The state of one replay: copies by the identity of what they copy."""

    def __init__(self, names: Mapping[str, str], functions: Mapping[str, Any]) -> None:
        self.names = names
        self.functions = functions
        """What new layers apply, by their paths, where it is a function."""
        self.layers: dict[str, Any] = {}
        self.origins: dict[str, Any] = {}
        self.models: dict[str, tuple[Any, Any]] = {}
        self.copies: dict[Any, Any] = {}
        self.changed: set[str] = set()
        self.flagged: set[str] = set()
        """Layers for which the graph says otherwise than the source whether they are trained."""
        self.unflagged: set[str] = set()
        """New layers for which it doesn't say it: they are trained where their model is."""
        self.told: dict[int, tuple[str, str]] = {}
        self.notes: list[str] = []
        self.unfinished: list[Callable[[], None]] = []
        """What is left to do once all layers are built."""

    def level(self, graph: Graph, original: Graph, source: Any, path: str) -> Any:
        """One model, without what is around it."""
        import keras  # noqa: PLC0415

        known = _known(graph, original, {} if path else self.names)
        if isinstance(source, keras.layers.Pipeline):
            return self._pipeline(graph, known, source, path)
        if isinstance(source, keras.Sequential):
            return self._sequential(graph, known, source, path)
        return self._functional(graph, known, source, path)

    def _sequential(self, graph: Graph, known: Mapping[str, Node], source: Any, path: str) -> Any:
        import keras  # noqa: PLC0415

        if not getattr(source, "built", False) or not source.layers:
            raise SurgeryError(
                f"model {source.name!r} is a Sequential model that isn't built: it has no weights "
                "and no shapes. Give it a keras.Input first, or call build(input_shape)."
            )
        operations = {layer.name: layer for layer in source.layers}
        entries = [node for node in graph.nodes if role_of(node) is Role.INPUT]
        layers = [_new_input(source.inputs[0], entries, known)]
        for node in graph.nodes:
            if role_of(node) is not Role.INPUT:
                layers.append(self._layer(node, known, operations, path))
        model = keras.Sequential(layers, name=source.name)
        if type(source) is not keras.Sequential:
            self._note_plain(source, "Sequential")
        else:
            self._note_attributes(source, model)
        return model

    def _pipeline(self, graph: Graph, known: Mapping[str, Node], source: Any, path: str) -> Any:
        operations = {layer.name: layer for layer in source.layers}
        steps = [node for node in graph.nodes if role_of(node) is not Role.INPUT]
        layers = [self._layer(node, known, operations, path) for node in steps]
        return type(source)(layers, name=source.name)

    def _functional(self, graph: Graph, known: Mapping[str, Node], source: Any, path: str) -> Any:
        calls = live_calls(source)
        operations = {operation.name: operation for operation in source.operations}
        made: dict[Tensor, Any] = {}
        for index, node in enumerate(graph.nodes):
            call = calls.get(_name_in_source(node, known))
            if role_of(node) is Role.INPUT and call is not None:
                made[Tensor(index)] = _new_input(call.outputs[0], [node], known)
                continue
            layer = self._layer(node, known, operations, path)
            if call is None:
                args = [made[tensor] for tensor in node.inputs]
                outputs = layer(*args)
            else:
                args, kwargs = (
                    _filled(live, told, made)
                    for live, told in (
                        (call.arguments.args, node.args),
                        (call.arguments.kwargs, node.kwargs),
                    )
                )
                outputs = layer(*args, **kwargs)
            for output, tensor in enumerate(_flat(outputs)):
                made[Tensor(index, output)] = tensor
        inputs = _filled(source._inputs_struct, graph.inputs, made)
        outputs = _filled(source._outputs_struct, graph.outputs, made)
        return self._model(source, inputs, outputs)

    def _model(self, source: Any, inputs: Any, outputs: Any) -> Any:
        import keras  # noqa: PLC0415

        kind = type(source) if constructs_like_functional(type(source)) else keras.Model
        model = kind(inputs, outputs, name=source.name)
        if kind is type(source) or is_own(type(source)):
            self._note_attributes(source, model)
        else:
            self._note_plain(source, "functional")
        # Losses and metrics in dictionaries go by these names.
        model.output_names = list(source.output_names)
        return model

    def _note_plain(self, source: Any, sort: str) -> None:
        self.notes.append(
            f"model {source.name!r} is a plain {sort} model now: how an object of class "
            f"{type(source).__name__} is made isn't known from its layers, so the attributes and "
            "methods of that class are gone"
        )

    def _note_attributes(self, source: Any, copy: Any) -> None:
        """What users put into a model, such as numbers that their `train_step` reads."""
        lost = [
            name for name in vars(source) if name not in vars(copy) and name not in _OF_TRAINING
        ]
        named = ", ".join(name for name in sorted(lost) if not name.startswith("_"))
        if named:
            self.notes.append(
                f"model {source.name!r} has attributes that no copy of it gets, because they were "
                f"set once it was made: {named}. Set them again where they are needed"
            )

    def _layer(
        self,
        node: Node,
        known: Mapping[str, Node],
        operations: Mapping[str, Any],
        path: str,
    ) -> Any:
        where = f"{path}{node.layer}"
        if where in self.layers:
            return self.layers[where]
        if where in self.models:
            return self.models[where][1]
        source = operations.get(known[node.layer].layer) if node.layer in known else None
        if source is None:
            function = self.functions.get(where)
            live = {} if function is None else {"activation": function}
            config = {**thaw(node.config), **live, "name": node.layer}
            layer = new_layer(node.class_name, config, where)
            self.unflagged.update([] if "trainable" in node.config else [where])
        else:
            layer = self._copy(node, known[node.layer], source, where)
            if node.model is not None:
                self.models[where] = (source, layer)
                return layer
            self.origins[where] = source
        self.layers[where] = layer
        return layer

    def _copy(self, node: Node, before: Node, source: Any, where: str) -> Any:
        changes = _changes(node, before)
        self.changed.update([where] if changes else [])
        self.flagged.update([where] if "trainable" in changes else [])
        self._refuse_torn(source, changes, where)
        key = (id(source), id(node.model) if node.model is not None else repr(changes))
        if key not in self.copies:
            if node.model is not None and before.model is not None:
                self.copies[key] = self.level(node.model, before.model, source, f"{where}/")
            else:
                applied = None if "activation" in changes else self._applied(source, where)
                self.copies[key] = copy = copy_layer(source, changes, where, applied)
                self.unfinished.append(start_cheaply(copy, source))
        return self.copies[key]

    def _applied(self, source: Any, where: str) -> Any | None:
        """What the copy of a layer applies as its activation: one for all that apply the same."""
        theirs = applied_layer(source)
        if theirs is None:
            return None
        key = (id(theirs), repr({}))  # as if it were called, which it may be too
        if key not in self.copies:
            self.copies[key] = copy_applied(theirs, f"{where}/{theirs.name}")
        return self.copies[key]

    def _refuse_torn(self, source: Any, changes: Mapping[str, Any], where: str) -> None:
        """One layer that stands at two levels can't be changed at one of them only."""
        first, known = self.told.setdefault(id(source), (where, repr(changes)))
        if known != repr(changes):
            raise SurgeryError(
                f"layer {where!r} is also called as {first!r}, in another model, and only one of "
                "the two would change. Build the inner model of layers of its own."
            )


def _known(graph: Graph, original: Graph, names: Mapping[str, str]) -> dict[str, Node]:
    """For each layer of a graph that is one of the source's: a call of it there."""
    theirs = {node.layer: node for node in original.nodes}
    given_away = frozenset(names.values())
    found = {}
    for node in graph.nodes:
        name = names.get(node.layer)
        if name is None and node.layer not in given_away:
            name = node.layer
        before = theirs.get(name) if name is not None else None
        # A layer of another class is another layer, whatever its name.
        if before is not None and before.class_name == node.class_name:
            found[node.layer] = before
    return found


def _name_in_source(node: Node, known: Mapping[str, Node]) -> str:
    """What the source calls a node, "" if it has no such call."""
    if node.layer not in known:
        return ""
    layer = known[node.layer].layer
    return layer if node.call == 0 else f"{layer}:{node.call}"


def _depth(path: str) -> int:
    return path.count("/")


def _changes(node: Node, before: Node) -> dict[str, Any]:
    """What the node's configuration sets differently from the source's."""
    if node.config == before.config:
        return {}
    return {
        key: thaw(value)
        for key, value in node.config.items()
        if key not in before.config or before.config[key] != value
    }


def _filled(live: Any, told: Any, made: Mapping[Tensor, Any]) -> Any:
    """The live structure with new tensors in the place of the source's; constants stay."""
    if hasattr(live, "_keras_history"):
        return made[told]
    if isinstance(live, dict):
        return {key: _filled(value, told[str(key)], made) for key, value in live.items()}
    if isinstance(live, (list, tuple)) and any(hasattr(t, "_keras_history") for t in _flat(live)):
        parts = [_filled(value, part, made) for value, part in zip(live, told, strict=True)]
        if hasattr(live, "_fields"):
            return type(live)(*parts)
        return tuple(parts) if isinstance(live, tuple) else parts
    return live


def _flat(structure: Any) -> list[Any]:
    import keras  # noqa: PLC0415

    flat: list[Any] = keras.tree.flatten(structure)
    return flat


def _new_input(tensor: Any, told: Sequence[Node], known: Mapping[str, Node]) -> Any:
    """A fresh input like the one that made a tensor, its name included, but for what its node says.

    Args:
        tensor: Of the source.
        told: Its node, if the graph has one.
        known: The source's nodes by layer.
    """
    layer = tensor._keras_history.operation
    config = layer.get_config()
    for node in told[:1]:
        config.update(_changes(node, known[node.layer]) if node.layer in known else {})
    copy = type(layer).from_config(config).output
    # An input that got no name has one name as a layer and another as a tensor.
    copy.name = tensor.name
    return copy
