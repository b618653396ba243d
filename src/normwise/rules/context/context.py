"""What a rule may look at: the opened graph, and what else is known of a model and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import final

from normwise.errors import WeightsTooLargeError
from normwise.rules.context.batch_norm_weights import BatchNormWeights
from normwise.rules.context.dataflow import Dataflow
from normwise.rules.context.measurements import Measurements, StateChange
from normwise.rules.context.modes import HONOURED_FROM, told_to_rest
from normwise.rules.context.sizes import Sizes
from normwise.rules.context.training import Training
from normwise.rules.context.weights import Weights


@final
@dataclass(frozen=True)
class Context(Dataflow, Sizes):
    """A model, opened, with what else is known.

    Nodes are named by their index in `graph`.

    Attributes:
        model: The graph as it was read, nested models closed.
        weights: Its weights, None if there are none to read.
        training: Its training set-up.
        keras_version: Of the Keras that wrote the file, such as `(3, 15, 1)`, None if unknown.
        written: Whether it was read from a file, which another Keras may have to read.
        measured: What was measured on data, None without data.
        live: Tries what training does to the state, where a live model is at hand.
        unread: The layers whose weights are too many to look at, as far as rules asked for them.
    """

    weights: Weights | None = None
    training: Training = field(default_factory=Training)
    keras_version: tuple[int, ...] | None = None
    written: bool = False
    measured: Measurements | None = None
    live: StateChange | None = None
    unread: list[str] = field(default_factory=list, repr=False, compare=False)

    @cached_property
    def resting(self) -> frozenset[int]:
        """Batch norms that use moving statistics in training too, as a call says `training=False`.

        Before Keras 3.16 a call inside a model couldn't say that.
        """
        if self.keras_version is None or self.keras_version < HONOURED_FROM:
            return frozenset()
        return told_to_rest(self.model, self.graph)

    def weights_of(self, index: int) -> BatchNormWeights | None:
        """The weights of a batch normalization, None where there are none that fit its settings.

        None, too, where they are too many to look at: then its layer is in `unread`.
        """
        layer = self.layer(index)
        if layer not in self._batch_norm_weights:
            self._batch_norm_weights[layer] = self._weights_read(index)
        return self._batch_norm_weights[layer]

    @cached_property
    def _batch_norm_weights(self) -> dict[str, BatchNormWeights | None]:
        return {}

    def _weights_read(self, index: int) -> BatchNormWeights | None:
        layer = self.layer(index)
        try:
            arrays = self.weights.of(layer) if self.weights else None
            return BatchNormWeights.of(arrays, self.nodes[index].config)
        except WeightsTooLargeError:
            self.unread.append(layer)
            return None
