"""Passes over the same batches, with some layers of a model looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from normwise.errors import DataError
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path
from normwise.surgery.batches import Batches
from normwise.surgery.circle import Circle
from normwise.surgery.depth import Level
from normwise.surgery.moments import Bools, Doubles, Moments, moments_of, no_moments
from normwise.surgery.population import Measured, Population, Track
from normwise.surgery.taps import AllSeen, Call, Wrap, as_array, eager, run, wrapped_calls
from normwise.surgery.validity import valid_features

LOOPS = 30
"""Most passes for norms that read their own results, beside one for each of them."""


class Passes:
    """Passes over the same batches with the same layers looked at.

    Args:
        model: The live model; it is not changed.
        batches: What it reads.
        layers: The layers that are looked at, by path.
        norms: All batch normalizations of the model, by path.
        track: Shows how far a pass is.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        layers: Mapping[str, Any],
        norms: Mapping[str, Any],
        track: Track,
    ) -> None:
        self._model, self._batches, self._layers, self._track = model, batches, layers, track
        self._others = {path: layer for path, layer in norms.items() if path not in layers}
        self._calls = _calls_of(layers, model, batches.graph)
        self._known: dict[str, Population] = {}
        self._pools: dict[str, Moments] = {}
        self._left = 0
        self._valid: tuple[Bools, ...] = ()
        self._samples: list[int] = []
        self._regrouped: tuple[str, int, int] | None = None

    def exact(self, levels: Sequence[Level]) -> Measured:
        """Level after level, each with the statistics of those before it in effect."""
        for number, level in enumerate(levels):
            title = f"depth {number + 1} of {len(levels)}"
            if level.looped:
                self._settle(level, title)
            else:
                self._known.update(self._pass(level.layers, self._exact_wrap, title))
        return self._measured(self._known)

    def _settle(self, level: Level, title: str) -> None:
        """Looks for statistics that norms read while they hold them; keeps the best that it saw."""
        circle: Circle | None = None
        best: dict[str, Population] = {}
        for _ in range(len(level.circles) + LOOPS):
            found = self._pass(level.layers, self._exact_wrap, title)
            if circle is None:
                called = [path for path in level.layers if path in level.circles & found.keys()]
                circle = Circle({path: self._layers[path] for path in called})
            told = circle.compared(found)
            if not best or _farthest(told) < _farthest(best):
                best = told
            if all(one.settled for one in told.values()):
                break
            self._known.update({**found, **circle.next(found)})
        self._known.update(best)

    def fast(self) -> Measured:
        """One pass in which every batch is normalized by its own statistics."""
        return self._measured(self._pass(tuple(self._layers), self._fast_wrap, "one pass"))

    def inputs(self) -> Measured:
        """One pass through the model as it stands."""
        return self._measured(self._pass(tuple(self._layers), self._input_wrap, "one pass"))

    def _measured(self, found: Mapping[str, Population]) -> Measured:
        kept = {path: found[path] for path in self._layers if path in found}
        uncalled = tuple(path for path in self._layers if path not in found)
        samples = self._samples[0] if self._samples else 0
        return Measured(kept, len(self._samples), samples, uncalled)

    def _pass(
        self, observed: Sequence[str], wrap: Callable[[str, bool], Wrap], title: str
    ) -> dict[str, Population]:
        self._pools = {}
        looked_at = frozenset(observed)
        wraps = {path: wrap(path, path in looked_at) for path in self._layers}
        wraps.update(dict.fromkeys(self._others, _still))
        # A layer that no graph shows may be called any number of times.
        counted = all(self._calls[path] for path in observed)
        calls = sum(self._calls[path] for path in observed)
        samples = 0
        with wrapped_calls({**self._layers, **self._others}, wraps), eager():
            for batch in self._track(self._batches, title, len(self._batches)):
                self._valid, samples = batch.valid, samples + batch.samples
                self._left = calls if counted else -1
                run(self._model, batch.inputs)
                self._refuse_regrouped()
        self._samples.append(samples)
        if samples != self._samples[0]:
            raise DataError(
                f"batches: {self._samples[0]} samples in the first pass and {samples} in pass "
                f"{len(self._samples)}; every pass must give the same."
            )
        return {path: self._population(path) for path in observed if path in self._pools}

    def _refuse_regrouped(self) -> None:
        if self._regrouped is not None:
            path, read, given = self._regrouped
            raise DataError(
                f"batches: pixels are missing, and layer {path!r} reads {read} samples of a batch "
                f"of {given}, so which of its pixels these are isn't known. Fill them before, or "
                "leave out the images that have some."
            )

    def _population(self, path: str) -> Population:
        pool = self._pools[path]
        if pool.count == 0:
            raise DataError(f"batches: no valid pixel reaches layer {path!r}; all is nodata.")
        if not (np.isfinite(pool.mean).all() and np.isfinite(pool.deviation).all()):
            raise DataError(
                f"layer {path!r} reads values that are no finite numbers; look for impossible "
                "values in the images, or for nodata values that aren't named."
            )
        return Population(pool.mean, pool.variance, pool.count)

    def _exact_wrap(self, path: str, observed: bool) -> Wrap:
        layer = self._layers[path]

        def wrap(own: Call) -> Call:
            def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
                if observed:
                    self._observe(path, inputs, mask)
                    self._seen()
                known = self._known.get(path)
                if known is None:
                    return own(inputs, training=False, mask=mask)
                return normalized(layer, inputs, known.mean, known.variance)

            return call

        return wrap

    def _fast_wrap(self, path: str, observed: bool) -> Wrap:
        layer = self._layers[path]

        def wrap(own: Call) -> Call:
            def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
                seen = self._observe(path, inputs, mask)
                self._seen()
                return normalized(layer, inputs, seen.mean, seen.variance)

            return call

        return wrap

    def _input_wrap(self, path: str, observed: bool) -> Wrap:
        def wrap(own: Call) -> Call:
            def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
                self._observe(path, inputs, kwargs.get("mask"))
                self._seen()
                return own(inputs, *args, **kwargs)

            return call

        return wrap

    def _observe(self, path: str, inputs: Any, mask: Any) -> Moments:
        values = as_array(inputs, path)
        axis = channel_axis(self._layers[path])
        shape = tuple(np.delete(values.shape, axis))
        valid = None if mask is None else as_array(mask, path).astype(bool)
        for pixels in self._valid:
            if len(pixels) != shape[0]:
                # Keras would rewrite an error here.
                self._regrouped = (path, shape[0], len(pixels))
                raise AllSeen
            more = valid_features(pixels, shape)
            valid = more if valid is None else valid & more
        found = moments_of(values, axis, valid)
        pool = self._pools.get(path, no_moments(values.shape[axis]))
        self._pools[path] = pool.merge(found)
        return found

    def _seen(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise AllSeen


def _still(own: Call) -> Call:
    """Inference mode even where a call says `training=True`, which would move the averages."""

    def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return own(inputs, training=False, mask=mask)

    return call


def normalized(layer: Any, inputs: Any, mean: Doubles, variance: Doubles) -> Any:
    """What a norm with a fixed scale and shift for each channel makes with these statistics.

    Args:
        layer: A batch normalization, or a group normalization whose groups' statistics are given
            for each of their channels.
        inputs: What it reads.
        mean: Of each channel.
        variance: Likewise.
    """
    dtype = keras.backend.result_type(inputs.dtype, "float32")
    cast = keras.ops.cast
    outputs = keras.ops.batch_normalization(
        cast(inputs, dtype),
        keras.ops.convert_to_tensor(mean, dtype),
        keras.ops.convert_to_tensor(variance, dtype),
        layer.axis,
        offset=cast(layer.beta, dtype) if layer.center else None,
        scale=cast(layer.gamma, dtype) if layer.scale else None,
        epsilon=layer.epsilon,
    )
    return cast(outputs, layer.compute_dtype)


def channel_axis(layer: Any) -> int:
    """Where the channels are in what a layer reads."""
    axis = getattr(layer, "axis", None)
    # A fixed `Normalization` keeps a tuple, a built layer normalization a list.
    if isinstance(axis, (tuple, list)) and len(axis) == 1:
        axis = axis[0]
    if isinstance(axis, int):
        return axis
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _farthest(found: Mapping[str, Population]) -> float:
    return max((one.moved for one in found.values()), default=0.0)


def _calls_of(layers: Mapping[str, Any], model: Any, graph: Graph) -> dict[str, int]:
    """How often each layer is called, by whichever of its paths; 0 where the graph doesn't tell."""
    paths: dict[int, list[str]] = {}
    for path, layer in layers_by_path(model).items():
        paths.setdefault(id(layer), []).append(path)
    found = {}
    for path, layer in layers.items():
        calls = [len(graph.calls.get(name, ())) for name in paths[id(layer)]]
        found[path] = sum(calls) if all(calls) else 0
    return found
