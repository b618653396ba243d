"""A replayed model: where each of its layers comes from, and what its weights are made of."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from normwise.keras_format.weights import (
    Array,
    LayerWeights,
    WeightRule,
    Weights,
    assign,
    copy_variables,
    variables_of,
)
from normwise.memory import return_freed_memory

REPLACED = 2**24
"""Bytes of weights after which the memory of what they replaced is given back."""


@dataclass
class Replayed:
    """A replayed model and where its layers come from.

    Attributes:
        model: The new model, a functional or Sequential `keras.Model`, not compiled.
        layers: New layers by path (`backbone/conv1` inside the nested model `backbone`).
        origins: Source layers by the same paths; new kinds of layers have none.
        rules: For layers whose weights are not the source's: what they are.
        changed: Paths of layers with other settings than the source's.
        sources: All layers of the source by path, also those that the model has no longer.
        notes: What the copy is not, for reports: a model of a user's own class.
        names: Layers that are called otherwise in the source: from their names to those there.
    """

    model: Any
    layers: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Any] = field(default_factory=dict)
    rules: Mapping[str, WeightRule] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    sources: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def keeps(self, layer: str) -> bool:
        """Whether a layer of the outermost model is what it was: settings, weights and name."""
        return not (layer in self.rules or layer in self.changed or layer in self.names.values())

    def touched(self, replaced: Mapping[int, Array]) -> frozenset[str]:
        """Paths of the layers whose weights depend on some of the source's variables.

        Args:
            replaced: What stands in for variables of the source, by the variable's `id`.
        """
        return frozenset(
            path
            for path in self.layers
            if path in self.rules
            or any(id(v) in replaced for v in variables_of(self.origins.get(path)))
        )

    def replace(self, replaced: Mapping[int, Array]) -> frozenset[str]:
        """Sets the weights that depend on some of the source's variables, others in their place.

        All other weights are expected to be what `transfer` made of the source's.

        Args:
            replaced: What stands in for variables of the source, by the variable's `id`.

        Returns:
            Paths of the layers that have other weights now.
        """
        weights = Weights(self.sources, replaced)
        return frozenset(
            path for path in self.touched(replaced) if self._replaced(path, weights, replaced)
        )

    def _replaced(self, path: str, weights: Weights, replaced: Mapping[int, Array]) -> bool:
        layer = self.layers[path]
        if path not in self.rules:
            copy_variables(path, self.origins[path], layer, weights)
            return True
        weights.read.clear()
        told = self._ruled(path, layer, weights)
        if weights.read.isdisjoint(replaced):
            return False  # a rule is a pure function, so it would say the same as before
        assign(path, layer, told)
        return True

    def transfer(self, weights: Weights, only: Collection[str] | None = None) -> None:
        """Sets the weights of the model from the source's, layer by layer.

        Args:
            weights: The source's weights, as they are or with some of them replaced.
            only: Paths of the layers that are set, all others stay; None: all of them.
        """
        done: set[int] = set()
        replaced, gaps = 0, False
        for path, layer in self.layers.items():
            if id(layer) in done or (only is not None and path not in only):
                continue
            done.add(id(layer))
            if path in self.rules:
                assign(path, layer, self._ruled(path, layer, weights))
                replaced += _bytes(layer)
            elif path in self.origins:
                copy_variables(path, self.origins[path], layer, weights)
            if replaced > REPLACED:
                gaps = return_freed_memory()
                replaced = 0
        if gaps:
            return_freed_memory()

    def _ruled(self, path: str, layer: Any, weights: Weights) -> LayerWeights:
        """What a rule says, and the source's weights of the same names for the rest."""
        told = self.rules[path](weights)
        if path not in self.origins:
            return told
        names = {variable.name for variable in layer.variables}
        return {**{n: a for n, a in weights.of(path).items() if n in names}, **told}


def _bytes(layer: Any) -> int:
    """Memory of a layer's weights, about: most are float32."""
    return sum(4 * math.prod(variable.shape) for variable in variables_of(layer))
