"""Norms that read their own results, while statistics are looked for that are right for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np

from normwise.surgery.fixed_point import FixedPoint
from normwise.surgery.moments import Doubles
from normwise.surgery.population import SETTLED, Population


@final
class Circle:
    """What such norms hold from pass to pass; at first what they hold in the model.

    Then what was found: of norms that stand one behind another where no graph shows it, each pass
    makes one more exact. When it could have been all of them, the search begins.

    Args:
        norms: Live batch normalizations by path.
    """

    def __init__(self, norms: Mapping[str, Any]) -> None:
        self._epsilons = {path: float(norm.epsilon) for path, norm in norms.items()}
        self._held = {path: _held_by(norm) for path, norm in norms.items()}
        self._scales: dict[str, Doubles] = {}
        self._search = FixedPoint()
        self._passes = 0

    def compared(self, found: Mapping[str, Population]) -> dict[str, Population]:
        """What norms should hold after a pass: these what they held in it, until that is right."""
        told = dict(found)
        for path, held in self._held.items():
            one = found[path]
            moved = _distance(held, one, self._epsilons[path])
            kept = held if moved > SETTLED else one
            told[path] = Population(kept.mean, kept.variance, one.count, moved)
        return told

    def next(self, found: Mapping[str, Population]) -> Mapping[str, Population]:
        """What these norms hold in the next pass."""
        if not self._scales:
            self._scales = {path: self._deviation(path, found[path]) for path in self._held}
        tried = self._search.following(self._joined(self._held), self._joined(found))
        self._passes += 1
        if self._passes <= len(self._held):
            self._held = {path: found[path] for path in self._held}
        else:
            self._held = self._parted(tried, found)
        return self._held

    def _joined(self, statistics: Mapping[str, Population]) -> Doubles:
        """Means, and logarithms of standard deviations, in units of the first ones found."""
        parts: list[Doubles] = []
        for path, scale in self._scales.items():
            one = statistics[path]
            parts += [one.mean / scale, np.log(self._deviation(path, one) / scale)]
        return np.concatenate(parts)

    def _parted(self, joined: Doubles, found: Mapping[str, Population]) -> dict[str, Population]:
        told: dict[str, Population] = {}
        start = 0
        for path, scale in self._scales.items():
            mean, spread = joined[start : start + len(scale)], joined[start + len(scale) :]
            deviation = scale * np.exp(spread[: len(scale)])
            variance = np.maximum(deviation**2 - self._epsilons[path], 0.0)
            told[path] = Population(mean * scale, variance, found[path].count)
            start += 2 * len(scale)
        return told

    def _deviation(self, path: str, one: Population) -> Doubles:
        return _deviation(one, self._epsilons[path])


def _held_by(norm: Any) -> Population:
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(v.value), "float64")
        for v in (norm.moving_mean, norm.moving_variance)
    )
    return Population(mean, variance, 0)


def _distance(held: Population, found: Population, epsilon: float) -> float:
    """The largest difference of means and of standard deviations, in standard deviations."""
    deviation = _deviation(found, epsilon)
    moved = np.abs(held.mean - found.mean) / deviation
    widened = np.abs(_deviation(held, epsilon) / deviation - 1)
    return float(max(moved.max(), widened.max()))


def _deviation(one: Population, epsilon: float) -> Doubles:
    # As the norm uses it: a channel that never varies is divided by the root of epsilon.
    return np.asarray(np.sqrt(np.maximum(one.variance, 0) + np.maximum(epsilon, 1e-24)))
