"""The engine that applies a model: the one that is asked for, or the fastest that agrees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, final

import numpy as np

from normwise.errors import ExportError
from normwise.graph.flatten import flatten
from normwise.inference.agreement import COARSE, TOLERANCE, deviation
from normwise.inference.engines.candidates import PLAIN, Candidate, Run, candidates_of
from normwise.inference.engines.source import Array, Shape, Source
from normwise.inference.engines.wanted import AUTO, BFLOAT16, Wanted
from normwise.keras_format.reading import read_graph

_TURNS: Final = 3
_SHAPES: Final = 2
"""Shapes for which an engine is kept ready: that of tiles, and of turned ones. Each may hold memory
for all that the network makes of a tile."""

_LOOKED_AT: Final = 2**18
"""Pixels on which engines are compared: a large tile takes Keras seconds, each time."""

Say = Callable[[str], None]


@final
class ChosenEngine:
    """Applies a model; which engine does it is decided with the first batch.

    There every engine that may be used is compared with Keras, on the batch itself (of large ones
    on their middle) and on noise of the same mean and deviation; one that differs is not used, and
    that is said. Of several the fastest is kept.

    Args:
        model: A live functional or Sequential model with one input.
        wanted: What is asked for.
        say: Gets what a user has to know, a line at a time.
        stride: What the sides of images are multiples of.

    Raises:
        EngineMissingError: The engine that is named isn't installed.
        NormwiseError: It has no such precision here.
    """

    def __init__(
        self, model: Any, wanted: Wanted, say: Say, stride: Sequence[int] | None = None
    ) -> None:
        self._source, self._wanted, self._say = Source(model), wanted, say
        free = not any(model.input_shape[1:-1]) and not _interpolates(model)
        self._stride = stride if free else None
        self._candidates = candidates_of(wanted, self._source)
        self._chosen: Candidate | None = None
        self._ready: dict[Shape | None, Run] = {}

    @property
    def chosen(self) -> str | None:
        """What was chosen, in words; None before the first batch."""
        return None if self._chosen is None else str(self._chosen)

    def keep(self, name: str) -> bool:
        """Takes what was chosen before, by another process, instead of choosing.

        Args:
            name: As `chosen` gave it.

        Returns:
            Whether it may be used here.
        """
        known = {str(candidate): candidate for candidate in (*self._candidates, PLAIN)}
        if name not in known:
            return False
        self._chosen = known[name]
        self._ready.clear()
        return True

    def forget(self) -> None:
        """Chooses again, with the next batch."""
        self._chosen = None
        self._ready.clear()

    def __call__(self, batch: Array) -> Any:
        """As `predict_on_batch`.

        Raises:
            ExportError: The model can't be converted for the engine that is named.
        """
        if self._chosen is None:
            self._chosen = self._choose(batch)
        return self._run(self._chosen, batch.shape)(batch)

    def _run(self, chosen: Candidate, shape: Shape) -> Run:
        """What is ready for a shape; what was used last stands at the end."""
        key = chosen.fits(self._source, shape)
        run = self._ready.pop(key, None)
        if run is None:
            while len(self._ready) >= _SHAPES:
                del self._ready[next(iter(self._ready))]
            run = chosen.ready(self._source, shape)
        self._ready[key] = run
        return run

    def _choose(self, batch: Array) -> Candidate:
        sample = batch if self._stride is None else _middle(batch, self._stride)
        probes = sample, _like(sample)
        keras = PLAIN.ready(self._source, sample.shape)
        wanted = [_each(keras(probe)) for probe in probes]
        fit = {one: run for one in self._candidates if (run := self._tried(one, probes, wanted))}
        if not fit:
            self._say(f"Predicting with {PLAIN}.")
            return PLAIN
        seconds = time_candidates(fit, sample) if len(fit) > 1 else {}
        best = min(fit, key=lambda one: seconds.get(one, 0.0))
        key = best.fits(self._source, batch.shape)
        if key == best.fits(self._source, sample.shape):
            self._ready[key] = fit[best]
        if self._wanted.is_open:
            self._say(_verdict(best, seconds, sample.shape))
        return best

    def _tried(
        self, candidate: Candidate, probes: Sequence[Array], wanted: Sequence[list[Array]]
    ) -> Run | None:
        """The candidate made ready, if it can be used."""
        try:
            run = candidate.ready(self._source, probes[0].shape)
        except ExportError as error:
            if self._wanted.engine != AUTO:
                raise
            self._say(f"{candidate} isn't used: {error}")
            return None
        if candidate == PLAIN:
            return run  # what the others are compared with
        pairs = zip(probes, wanted, strict=True)
        off = max(deviation(told, _each(run(probe))) for probe, told in pairs)
        allowed = self._allowed(candidate)
        if not off <= allowed:
            self._say(
                f"{candidate} isn't used: it differs from Keras by {off:.1e} of the output's "
                f"range; {allowed:.0e} would count as the same."
            )
            return None
        if candidate.precision == BFLOAT16:
            self._say(
                f"{candidate} deviates from Keras in float32 by {off:.1e} of the output's range."
            )
        return run

    def _allowed(self, candidate: Candidate) -> float:
        if candidate.precision != BFLOAT16:
            return TOLERANCE
        return COARSE if self._wanted.precision == AUTO else float(np.finfo(np.float64).max)


def time_candidates(runs: Mapping[Candidate, Run], batch: Array) -> dict[Candidate, float]:
    """The shortest time of each for a batch; they take turns, for a machine's speed drifts."""
    times: dict[Candidate, list[float]] = {one: [] for one in runs}
    for _ in range(_TURNS):
        for one, run in runs.items():
            started = time.perf_counter()
            run(batch)
            times[one].append(time.perf_counter() - started)
    return {one: min(found) for one, found in times.items()}


def _verdict(best: Candidate, seconds: Mapping[Candidate, float], shape: Shape) -> str:
    size = "x".join(map(str, shape[1:-1]))
    others = sorted((took, str(one)) for one, took in seconds.items() if one != best)
    if not others:
        return f"Predicting with {best}: no other engine is installed or agrees."
    rest = ", ".join(f"{name} {took:.3g} s" for took, name in others)
    return f"Predicting with {best}: {seconds[best]:.3g} s for {size} pixels; {rest}."


def _interpolates(model: Any) -> bool:
    """Whether it has layers that TensorFlow can't trace for any size, as it would for a second."""
    nodes = flatten(read_graph(model)).nodes
    return any(node.config.get("interpolation", "nearest") != "nearest" for node in nodes)


def _middle(batch: Array, stride: Sequence[int]) -> Array:
    """The middle of a batch's images, where they are large."""
    sides = batch.shape[1:-1]
    pixels = batch.shape[0] * prod(sides)
    if pixels <= _LOOKED_AT:
        return batch
    part = (_LOOKED_AT / pixels) ** (1 / len(sides))
    taken = [slice(None)]
    for side, step in zip(sides, stride, strict=True):
        own = max(1, int(side * part) // step) * step
        start = (side - own) // 2 // step * step
        taken.append(slice(start, start + own))
    return batch[tuple(taken)]


def _like(batch: Array) -> Array:
    """Noise with the mean and deviation of each channel."""
    axes = tuple(range(batch.ndim - 1))
    spread = batch.std(axes)
    noise = np.random.default_rng(0).normal(size=batch.shape)
    return np.asarray(batch.mean(axes) + noise * np.where(spread > 0, spread, 1.0), batch.dtype)


def _each(outputs: Any) -> list[Array]:
    """The outputs of a call, in their order."""
    import keras  # noqa: PLC0415 - light start-up

    return [np.asarray(output, np.float32) for output in keras.tree.flatten(outputs)]
