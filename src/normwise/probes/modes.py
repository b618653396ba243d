"""What norms read and make in training mode and in inference mode, on the same batches.

In training mode each batch normalization uses the statistics of the batch, as `fit` would, and
everything else (dropout, noise) is as in inference. No variable is touched and no random layer
moves its seed on: layers are looked at while the model runs (`surgery.taps`), so that the model is
the same afterwards bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normwise.errors import NormwiseError
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path, operations_by_path
from normwise.probes.gaps import gap, held_by, is_new
from normwise.rules.context.measurements import Branches, Gap, Modes
from normwise.surgery.batches import Batch
from normwise.surgery.moments import Array, Bools, Moments, moments_of
from normwise.surgery.running import outputs_of
from normwise.surgery.validity import valid_features

Call = Callable[..., Any]

_MERGES = ("Add", "Concatenate")


@dataclass
class Seen:
    """What both modes showed, added up over batches.

    Attributes:
        inference: For each norm the moments of what it read, one for each call.
        training: The same in training mode.
        merges: For each merge and each of its calls in a batch, the mean squares of its branches,
            one for each batch; in inference, or in training mode where norms are new.
        squares: Sum of the squared differences of the outputs, and their number.
        outputs: Moments of the outputs in inference.
    """

    inference: dict[str, list[Moments]] = field(default_factory=dict)
    training: dict[str, list[Moments]] = field(default_factory=dict)
    merges: dict[tuple[str, int], list[tuple[float, ...]]] = field(default_factory=dict)
    squares: float = 0.0
    outputs: Moments | None = None


class BothModes:
    """Runs a model in both modes.

    Args:
        model: The live model; it is not changed.
        graph: Its graph, flattened.
    """

    def __init__(self, model: Any, graph: Graph) -> None:
        from normwise.surgery.statistics import batch_norms  # noqa: PLC0415 - needs the backend

        self._model = model
        self._order = {layer: indices[0] for layer, indices in graph.calls.items()}
        self.norms = batch_norms(model)
        everything = layers_by_path(model)
        self.scalings = {
            path: layer
            for path, layer in everything.items()
            if _is_keras(layer) and type(layer).__name__ == "Normalization"
        }
        self._merges = {
            path: operation
            for path, operation in operations_by_path(model).items()
            if _is_keras(operation) and type(operation).__name__ in _MERGES
        }
        # New norms know no statistics yet: only those of batches make the sizes of a network.
        self._is_new = any(is_new(norm) for norm in self.norms.values())
        self.seen = Seen()

    def run(self, batches: Iterable[Batch]) -> None:
        """Adds some batches to what was seen."""
        for batch in batches:
            made = self.outputs(batch)
            self._compare(made, self.outputs(batch, training=True))

    def outputs(self, batch: Batch, training: bool = False) -> list[Array]:
        """The outputs in a mode; what norms read on the way is added to what was seen."""
        from normwise.surgery.taps import eager, wrapped_calls  # noqa: PLC0415

        merging = training == self._is_new
        watched = {**self.norms, **self.scalings, **(self._merges if merging else {})}
        counts: dict[str, int] = {}
        wraps = {path: self._reading(path, layer, batch, training)
                 for path, layer in {**self.norms, **self.scalings}.items()}  # fmt: skip
        if merging:
            wraps |= {path: self._merging(path, counts) for path in self._merges}
        with wrapped_calls(watched, wraps), eager():
            return outputs_of(self._model, batch.inputs)

    def modes(self) -> Modes:
        """The gaps in training mode of the norms that learn, and what they make of the outputs."""
        learning = {path: layer for path, layer in self.norms.items() if layer.trainable}
        gaps = self._gaps(self.seen.training, learning)
        return Modes(gaps, self._difference())

    def gaps(self) -> tuple[Gap, ...]:
        """The gaps in inference of every norm that holds statistics, scalings included."""
        return self._gaps(self.seen.inference, {**self.norms, **self.scalings})

    def merges(self) -> tuple[Branches, ...]:
        """The branches of every merge that ran."""
        return tuple(
            Branches(path, call, tuple(np.sqrt(np.mean(squares, axis=0)).tolist()))
            for (path, call), squares in sorted(self.seen.merges.items())
            if len({len(each) for each in squares}) == 1
        )

    def _gaps(
        self, seen: Mapping[str, list[Moments]], layers: Mapping[str, Any]
    ) -> tuple[Gap, ...]:
        found = []
        for path in sorted(layers, key=lambda p: self._order.get(p, len(self._order))):
            layer = layers[path]
            held = held_by(layer)
            new = path in self.norms and is_new(layer)
            if held is not None and not new and path in seen:
                one = gap(path, seen[path], held)
                found += [] if one is None else [one]
        return tuple(found)

    def _difference(self) -> float | None:
        made = self.seen.outputs
        if made is None or not made.variance.sum() > 0 or not np.isfinite(self.seen.squares):
            return None
        return float(np.sqrt(self.seen.squares / made.count / made.variance.sum()))

    def _compare(self, inference: list[Array], training: list[Array]) -> None:
        """Adds the difference of the first output."""
        a, b = inference[0].astype(np.float64), training[0].astype(np.float64)
        found = moments_of(a, -1) if a.ndim > 1 else moments_of(a[:, None], -1)
        before = self.seen.outputs
        self.seen.outputs = found if before is None else before.merge(found)
        self.seen.squares += float(((a - b) ** 2).sum())

    def _reading(
        self, path: str, layer: Any, batch: Batch, training: bool
    ) -> Callable[[Call], Call]:
        """A norm that is looked at and, in training mode, uses the statistics of the batch."""
        from normwise.surgery.passes import channel_axis, normalized  # noqa: PLC0415
        from normwise.surgery.taps import as_array  # noqa: PLC0415

        into = self.seen.training if training else self.seen.inference
        is_norm = path in self.norms
        learns = training and is_norm and layer.trainable and not getattr(layer, "renorm", False)
        axis = channel_axis(layer) if is_norm else -1

        def wrap(own: Call) -> Call:
            def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
                try:
                    values = as_array(inputs, path)
                except NormwiseError:  # inside a compiled loop: nothing to see of it
                    return own(inputs, training=False, mask=mask)
                shape = tuple(np.delete(values.shape, axis))
                if any(len(pixels) != shape[0] for pixels in batch.valid):
                    # Space in the batch: which features stand on missing pixels isn't known.
                    return own(inputs, training=False, mask=mask) if is_norm else own(inputs)
                valid = _valid(batch, shape, None if mask is None else as_array(mask, path))
                found = moments_of(values, axis, valid)
                into.setdefault(path, []).append(found)
                if learns and found.count:
                    return normalized(layer, inputs, found.mean, found.variance)
                return own(inputs, training=False, mask=mask) if is_norm else own(inputs)

            return call

        return wrap

    def _merging(self, path: str, counts: dict[str, int]) -> Callable[[Call], Call]:
        """A merge whose branches are looked at."""
        from normwise.surgery.taps import as_array  # noqa: PLC0415

        def wrap(own: Call) -> Call:
            def call(*args: Any, **kwargs: Any) -> Any:
                number = counts.get(path, 0)
                counts[path] = number + 1
                squares = tuple(
                    float(np.mean(np.square(as_array(tensor, path), dtype=np.float64)))
                    for tensor in _tensors(args, kwargs)
                )
                self.seen.merges.setdefault((path, number), []).append(squares)
                return own(*args, **kwargs)

            return call

        return wrap


def _is_keras(operation: Any) -> bool:
    return type(operation).__module__.partition(".")[0] == "keras"


def _valid(batch: Batch, shape: tuple[int, ...], mask: Array | None) -> Bools | None:
    valid = None if mask is None else mask.astype(bool)
    for pixels in batch.valid:
        more = valid_features(pixels, shape)
        valid = more if valid is None else valid & more
    return valid


def _tensors(args: Any, kwargs: Any) -> list[Any]:
    """The tensors among arguments, without the numbers."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    given = keras.tree.flatten((args, kwargs))
    return [value for value in given if hasattr(value, "shape") and hasattr(value, "dtype")]
