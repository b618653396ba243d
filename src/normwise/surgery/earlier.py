"""A source's weights as earlier edits leave them, for edits of what those made.

Edits are planned again on the graph that they lead to. No model exists of it yet, so what a layer's
weights are by then is asked of the rules that the earlier edits gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from normwise.keras_format.weights import LayerWeights, WeightRule, Weights


@final
class EarlierWeights(Weights):
    """Weights by the names and rules of earlier edits.

    Args:
        source: The weights of the model that was edited first.
        rules: What the earlier edits make of them, by the paths that layers have since.
        names: Layers that they called otherwise: from their new names to those in the source.
    """

    def __init__(
        self, source: Weights, rules: Mapping[str, WeightRule], names: Mapping[str, str]
    ) -> None:
        super().__init__({})
        self._source, self._rules, self._names = source, rules, names

    def of(self, path: str) -> LayerWeights:
        """The arrays of one layer by the names of its variables.

        Raises:
            SurgeryError: Neither the source nor an earlier edit has a layer of that path.
        """
        rule = self._rules.get(path)
        if rule is not None:
            return rule(self._source)
        return self._source.of(self._names.get(path, path))
