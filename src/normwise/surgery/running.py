"""Runs a model and its rewritten copy on the same inputs, and leaves both as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normwise.graph.graph import Graph
from normwise.keras_format.live import live_calls, probe
from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import Array


@dataclass(frozen=True)
class Pair:
    """A model and its rewritten copy.

    Attributes:
        graph: The source's graph.
        source: The source model.
        copy: The copy.
        replaced: What stands in for some of the source's variables, by the variable's `id`; the
            copy holds what the rewrite makes of these already.
        everywhere: Whether every call that stands in both makes the same in both; else only what
            activations read and make.
    """

    graph: Graph
    source: Any
    copy: Replayed
    replaced: Mapping[int, Array] = field(default_factory=dict)
    everywhere: bool = True

    def wanted(self, inputs: Any) -> list[Array]:
        """The source's outputs."""
        return outputs_of(self.source, inputs, self.replaced)

    def found(self, inputs: Any) -> list[Array]:
        """The copy's outputs."""
        return outputs_of(self.copy.model, inputs)

    def same_calls(self) -> list[str]:
        """Calls of the outermost model that mean the same in both, in the source's order."""
        ours, theirs = live_calls(self.copy.model), live_calls(self.source)
        return [
            name
            for name, call in theirs.items()
            if name in ours
            and call.arguments.keras_tensors
            and self.copy.keeps(call.operation.name)
        ]

    def inside(
        self, names: list[str], inputs: Any, *, reads: bool = False
    ) -> list[tuple[Array, Array]]:
        """Results of single calls, the source's and the copy's.

        Args:
            names: Some of `same_calls`.
            inputs: What both models read.
            reads: Whether what a call reads first comes before its result.
        """
        wanted = outputs_of(probe(self.source, names, reads=reads), inputs, self.replaced)
        found = outputs_of(probe(self.copy.model, names, reads=reads), inputs)
        return list(zip(wanted, found, strict=True))


def outputs_of(model: Any, inputs: Any, replaced: Mapping[int, Array] | None = None) -> list[Array]:
    """All outputs of a model in inference, with other values for some variables."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    # A random layer moves its seed on at each call, a stateful one its state: neither may change
    # the model, nor differ between the two calls of a comparison.
    other = replaced or {}
    values = [
        [other.get(id(v), v.value) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    outputs, _ = model.stateless_call(*values, inputs, training=False)
    return [
        np.asarray(keras.ops.convert_to_numpy(output)) for output in keras.tree.flatten(outputs)
    ]
