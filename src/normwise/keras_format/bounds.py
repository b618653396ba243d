"""What the configuration of a model may ask for: bounds on names, calls, outputs and nesting.

A small file can ask for more than any machine holds, so each bound is far beyond what anyone built,
and is looked at before the work that it bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from normwise.errors import ModelReadError
from normwise.graph.graph import Graph
from normwise.keras_format.references import MAX_OUTPUTS

MAX_NESTING = 64
"""Models inside models; more than that is no model that anyone built."""

MAX_CALLS = 10_500
"""Calls with all nested models opened. Models that call each other twice double at each level, so
that a small file could ask for more than any machine holds."""

MAX_READS = 100_000
"""Tensors that calls read, each counted once a reader, with all nested models opened. In a network
whose 400 layers each read all before them it is 80,000."""

MAX_LOOKS = 5 * MAX_CALLS // 2
"""Calls times the models around them: shapes are inferred on each level, for what is inside."""

MAX_NAME = 500
"""Characters of a layer's name, which stands in the paths of all that is in it."""


@dataclass(frozen=True)
class _Opened:
    """Of a graph with all nested models opened: its calls or outputs, what they read, how deep."""

    calls: int
    reads: int
    levels: int


def refuse_nesting(depth: int, source: str, what: str) -> None:
    """Refuses models or layers that are nested too deep.

    Args:
        depth: How many are around the one that is read.
        source: The file or object, for messages.
        what: What they are: `"models"` or `"layers"`.
    """
    if depth > MAX_NESTING:
        raise ModelReadError(f"{source}: {what} are nested more than {MAX_NESTING} deep.")


def refuse_long_name(name: str, source: str) -> None:
    """Refuses a name that would make the paths of layers endless."""
    if len(name) > MAX_NAME:
        raise ModelReadError(
            f"{source}: a layer's name has {len(name)} characters, more than {MAX_NAME}: "
            f"{name[:40]!r}..."
        )


def refuse_many_outputs(outputs: int, source: str) -> None:
    """Refuses more outputs of calls than any model's calls have together."""
    if outputs > 2 * MAX_CALLS:
        raise ModelReadError(
            f"{source}: {outputs} outputs of calls are read; more than {2 * MAX_CALLS} are none "
            "of a model."
        )


def refuse_nested_excess(graph: Graph, source: str) -> None:
    """Refuses more calls or reads than anyone built, and outputs that a nested model hasn't."""
    opened = _opened(graph, {})
    if opened.calls > MAX_CALLS or opened.calls * opened.levels > MAX_LOOKS:
        raise ModelReadError(
            f"{source}: model {graph.name!r} has {_written(opened.calls)} calls or outputs with "
            f"its nested models opened, {opened.levels} deep; more than {MAX_CALLS}, or "
            f"{MAX_LOOKS} by depth, are not read."
        )
    if opened.reads > MAX_READS:
        raise ModelReadError(
            f"{source}: its calls read over {MAX_READS:,} tensors, more than those of any model."
        )
    for node in graph.nodes:
        made = 1 if node.class_name == "InputLayer" else MAX_OUTPUTS
        made = made if node.model is None else len(node.model.output_tensors)
        if len(node.outputs) > made:
            raise ModelReadError(
                f"{source}: output {len(node.outputs) - 1} of layer {node.layer!r} is read, but "
                f"it has {made} at most."
            )


def _opened(graph: Graph, known: dict[int, _Opened]) -> _Opened:
    """What a graph has with nested models opened; each of these is looked at once."""
    if id(graph) not in known:
        inside = (node.model or node.steps for node in graph.nodes)
        inner = [_opened(part, known) for part in inside if part is not None]
        known[id(graph)] = _Opened(
            calls=sum(len(node.outputs) or 1 for node in graph.nodes if node.model is None)
            + sum(part.calls for part in inner),
            reads=sum(len(node.inputs) for node in graph.nodes) + sum(part.reads for part in inner),
            levels=1 + max((part.levels for part in inner), default=0),
        )
    return known[id(graph)]


def _written(number: int) -> str:
    return str(number) if number < 10**12 else "over 10**12"
