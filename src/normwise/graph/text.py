"""A graph as text, one line a node, and a readable difference of two graphs."""

from collections.abc import Mapping
from typing import Any

from normwise.graph.graph import Graph, Node, Shape, Tensor

QUIET: Mapping[str, Any] = {
    "activation": "linear",
    "axis": -1,
    "batch_shape": None,
    "center": True,
    "data_format": "channels_last",
    "depth_multiplier": 1,
    "dilation_rate": 1,
    "epsilon": 1e-3,
    "groups": 1,
    "invert": False,
    "momentum": 0.99,
    "optional": False,
    "padding": "valid",
    "ragged": False,
    "renorm": False,
    "renorm_momentum": 0.99,
    "scale": True,
    "sparse": False,
    "strides": 1,
    "synchronized": False,
    "trainable": True,
    "use_bias": True,
}
"""Settings that are not worth a word when they are at Keras' usual value."""

_UNSAID = frozenset({"name", "dtype", "batch_shape", "batch_input_shape"})


def text_of(graph: Graph, *, names: bool = True, inner: bool = True) -> str:
    """One line a node: name, class with its settings, what it reads, shape and dtype.

    Args:
        graph: Any graph.
        names: Whether to write layer names; without them equal texts mean equal structures.
        inner: Whether to write nested models below their calls, indented.

    Returns:
        The text, one line a node and one for the outputs.

    Example:
        >>> print(text_of(graph))
        input = InputLayer() -> (None, 64, 64, 9) float32
        conv1 = Conv2D(filters=16, kernel_size=3)(input) -> (None, 62, 62, 16) float32
        outputs: conv1
    """
    return "\n".join(_lines(graph, names, inner, ""))


def _lines(graph: Graph, names: bool, inner: bool, indent: str) -> list[str]:
    lines = []
    for index, node in enumerate(graph.nodes):
        lines.append(f"{indent}{_line(graph, index, node, names)}")
        if inner and node.model is not None and node.call == 0:
            lines += _lines(node.model, names, inner, f"{indent}  | ")
    return [*lines, f"{indent}outputs: {_argument(graph, graph.outputs, names)}"]


def _line(graph: Graph, index: int, node: Node, names: bool) -> str:
    label = node.name if names else f"%{index}"
    read = [_argument(graph, a, names) for a in node.args]
    read += [f"{k}={_argument(graph, v, names)}" for k, v in node.kwargs.items() if v is not None]
    call = f"({', '.join(read)})" if read else ""
    outputs = ", ".join(f"{shape_text(s.shape)} {s.dtype or '?'}" for s in node.outputs)
    return f"{label} = {node.class_name}({settings_text(node)}){call} -> {outputs}"


def _argument(graph: Graph, value: Any, names: bool) -> str:
    if isinstance(value, Tensor):
        label = graph.nodes[value.node].name if names else f"%{value.node}"
        several = len(graph.nodes[value.node].outputs) > 1
        return f"{label}[{value.output}]" if several else label
    if isinstance(value, tuple):
        return f"[{', '.join(_argument(graph, v, names) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}: {_argument(graph, v, names)}' for k, v in value.items())}}}"
    return repr(value)


def shape_text(shape: Shape | None) -> str:
    """A shape as text: `(None, 64, 64, 9)`, or `?` where it is unknown."""
    return "?" if shape is None else f"({', '.join(str(d) for d in shape)})"


def settings_text(node: Node) -> str:
    """The settings of a layer that differ from the usual: `filters=16, kernel_size=3`."""
    said = []
    for key, value in node.config.items():
        plain = _plain(value)
        quiet = key in _UNSAID or key.endswith(("_initializer", "_regularizer", "_constraint"))
        counts = key == "groups" and "Normalization" in node.class_name
        usual = key in QUIET and plain == QUIET[key] and not counts
        if quiet or plain is None or usual:
            continue
        said.append(f"{key}={plain}")
    return ", ".join(said)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and value and all(v == value[0] for v in value):
        return value[0] if isinstance(value[0], int) else list(value)
    if isinstance(value, Mapping):
        inside = value.get("config")
        return inside if isinstance(inside, str) else value.get("class_name", "?")
    return list(value) if isinstance(value, tuple) else value


def diff(before: Graph, after: Graph) -> str:
    """What differs between two graphs, one line a layer; empty if nothing does.

    Calls are matched by name. A line starts with `-` (gone), `+` (new) or `~` (changed, with what
    it was and what it is).

    Example:
        >>> print(diff(before, after))
        + conv1_norm = BatchNormalization()(conv1) -> (None, 62, 62, 16) float32
        ~ conv2 reads conv1_norm instead of conv1
    """
    lines = [_gone(before, i) for i, n in enumerate(before.nodes) if n.name not in after.index]
    for index, node in enumerate(after.nodes):
        if node.name not in before.index:
            lines.append(f"+ {_line(after, index, node, names=True)}")
        else:
            lines += _changes(before, before.index[node.name], after, index)
    ends = [_argument(graph, graph.outputs, names=True) for graph in (before, after)]
    if ends[0] != ends[1]:
        lines.append(f"~ outputs are {ends[1]} instead of {ends[0]}")
    return "\n".join(lines)


def _gone(graph: Graph, index: int) -> str:
    return f"- {_line(graph, index, graph.nodes[index], names=True)}"


def _changes(before: Graph, old: int, after: Graph, new: int) -> list[str]:
    a, b = before.nodes[old], after.nodes[new]
    lines = []
    if a.class_name != b.class_name:
        lines.append(f"~ {b.name} is {b.class_name} instead of {a.class_name}")
    elif a.config != b.config:
        lines.append(f"~ {b.name}: {_changed_settings(a, b)}")
    was, now = (_reads(g, n) for g, n in ((before, a), (after, b)))
    if was != now:
        lines.append(f"~ {b.name} reads {now} instead of {was}")
    if a.outputs != b.outputs:
        shapes = [", ".join(f"{shape_text(s.shape)} {s.dtype}" for s in n.outputs) for n in (a, b)]
        lines.append(f"~ {b.name} makes {shapes[1]} instead of {shapes[0]}")
    if a.model is not None and b.model is not None:
        inside = diff(a.model, b.model)
        lines += [f"{line[:2]}{b.name}/{line[2:]}" for line in inside.splitlines()]
    return lines


def _changed_settings(before: Node, after: Node) -> str:
    keys = dict.fromkeys([*before.config, *after.config])
    changed = [k for k in keys if before.config.get(k) != after.config.get(k) and k != "name"]
    was, now = (
        ", ".join(f"{k}={_plain(node.config.get(k))}" for k in changed) for node in (before, after)
    )
    return f"{now} instead of {was}" if changed else "only its own name differs"


def _reads(graph: Graph, node: Node) -> str:
    read = [_argument(graph, a, names=True) for a in node.args]
    read += [f"{k}={_argument(graph, v, True)}" for k, v in node.kwargs.items() if v is not None]
    return ", ".join(read) or "nothing"
