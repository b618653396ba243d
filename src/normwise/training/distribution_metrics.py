"""Metrics of predicted quantiles or normal laws: how good and how honest they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.training.distribution import Distribution
from normwise.training.metrics import Metrics
from normwise.training.regression_metrics import RegressionMetrics
from normwise.training.segmentation_metrics import nan_mean

Numbers = npt.NDArray[np.float64]

# The interval of a normal law that holds 95 % of it, in standard deviations.
_WIDTH: Final = 1.959963984540054
_SHARE: Final = 0.95


@dataclass
class _Sums:
    """Of one target: pixels, the sum of the scores, and how many lie inside the interval."""

    count: int = 0
    score: float = 0.0
    inside: int = 0


class DistributionMetrics:
    """The metrics of a regression on the median or mean, and those of the whole distribution.

    `pinball` is the mean pinball loss over pixels and quantiles, in the target's units; `nll` the
    mean negative log-likelihood of a normal law in nats, of targets in their units. `coverage` is
    the share of truths between the lowest and the highest quantile (below it, where there is one
    quantile alone), or within 1.96 standard deviations of the mean; `expected_coverage` is what
    it would be if the distribution were right.

    Args:
        channels: The names of the target channels.
        distribution: What is predicted for each.
    """

    def __init__(self, channels: Sequence[str], distribution: Distribution) -> None:
        self._channels, self._distribution = tuple(channels), distribution
        self._point = RegressionMetrics(channels)
        self._sums = [_Sums() for _ in self._channels]

    def update(
        self,
        truth: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        weight: npt.NDArray[Any] | None = None,
    ) -> None:
        """Adds pixels.

        Args:
            truth: Values in the target's units, shape (..., channels); NaN where ignored is fine.
            predicted: Finished outputs in the target's units, shape (..., channels x outputs).
            weight: 0 for ignored values, the shape of `truth`; every other value counts once.
        """
        self._point.update(truth, self._distribution.point(predicted), weight)
        each = self._distribution.of_each_target(predicted)
        for channel, sums in enumerate(self._sums):
            valid = ... if weight is None else np.asarray(weight)[..., channel] > 0
            true = truth[..., channel][valid].astype(np.float64).ravel()
            given = each[..., channel, :][valid].astype(np.float64)
            score, inside = self._judged(true, given.reshape(true.size, -1))
            sums.count += true.size
            sums.score += float(score.sum())
            sums.inside += int(inside.sum())

    def result(self) -> Metrics:
        """The metrics of all pixels so far."""
        point = self._point.result()
        own = {
            name: {**point.per_class[name], **self._numbers(sums)}
            for name, sums in zip(self._channels, self._sums, strict=True)
        }
        further = {
            name: nan_mean(np.array([numbers[name] for numbers in own.values()], float))
            for name in self._numbers(_Sums())
        }
        return replace(point, values={**point.values, **further}, per_class=own)

    def _judged(self, truth: Numbers, given: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """The score of each pixel, and whether it lies inside the interval."""
        if self._distribution.gaussian:
            # A network's float32 can round a tiny standard deviation to 0.
            std = np.maximum(given[:, 1], np.finfo(np.float32).tiny)
            z = (truth - given[:, 0]) / std
            return 0.5 * z**2 + np.log(std * np.sqrt(2 * np.pi)), np.abs(z) <= _WIDTH
        levels = np.array(self._distribution.quantiles)
        error = truth[:, None] - given
        score = np.maximum(levels * error, (levels - 1) * error).mean(-1)
        above = given[:, 0] <= truth if len(levels) > 1 else np.ones(truth.shape, bool)
        return score, above & (truth <= given[:, -1])

    def _numbers(self, sums: _Sums) -> dict[str, float]:
        levels = self._distribution.quantiles
        expected = _SHARE
        if levels:
            expected = levels[-1] - levels[0] if len(levels) > 1 else levels[0]
        count = sums.count or float("nan")
        return {
            "nll" if self._distribution.gaussian else "pinball": sums.score / count,
            "coverage": sums.inside / count,
            "expected_coverage": round(expected, 12),
        }
