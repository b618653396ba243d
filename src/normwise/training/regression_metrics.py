"""Regression metrics from moments that are merged batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.training.metrics import Metrics
from normwise.training.segmentation_metrics import nan_mean

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Moments:
    """Of the pixels of one channel: counts, means, and sums of products about the means."""

    count: int
    truth: float
    predicted: float
    absolute_error: float
    truth_squares: float
    predicted_squares: float
    error_squares: float
    products: float


class RegressionMetrics:
    """Mean absolute and root mean squared error, R2, bias and Pearson correlation.

    Moments of parts are merged about their common mean (Chan, Golub & LeVeque 1979, Updating
    Formulae and a Pairwise Algorithm), so that a variance of 1 survives a mean of 1e4.

    Args:
        channels: The names of the target channels.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._moments = [_moments_of(np.empty(0), np.empty(0)) for _ in self._channels]

    def update(
        self,
        truth: npt.NDArray[Any],
        predicted: npt.NDArray[Any],
        weight: npt.NDArray[Any] | None = None,
    ) -> None:
        """Adds pixels.

        Args:
            truth: Values in the target's units, shape (..., channels); NaN where ignored is fine.
            predicted: Values in the target's units, the shape of `truth`.
            weight: 0 for ignored values, the shape of `truth`; every other value counts once.
        """
        for channel in range(len(self._channels)):
            true, guess = truth[..., channel], predicted[..., channel]
            valid = ... if weight is None else np.asarray(weight)[..., channel] > 0
            part = _moments_of(
                true[valid].astype(np.float64).ravel(), guess[valid].astype(np.float64).ravel()
            )
            self._moments[channel] = _merged(self._moments[channel], part)

    def result(self) -> Metrics:
        """The metrics of all pixels so far."""
        per_class = {
            name: _numbers(moments)
            for name, moments in zip(self._channels, self._moments, strict=True)
        }
        names = list(_numbers(_moments_of(np.empty(0), np.empty(0))))
        return Metrics(
            task="regression",
            values={
                name: nan_mean(np.array([own[name] for own in per_class.values()], float))
                for name in names
            },
            per_class=per_class,
            pixels=sum(moments.count for moments in self._moments),
        )


def _moments_of(truth: Numbers, predicted: Numbers) -> _Moments:
    if not truth.size:
        return _Moments(0, *[0.0] * 7)
    error = predicted - truth
    truth_mean, predicted_mean, error_mean = truth.mean(), predicted.mean(), error.mean()
    from_truth, from_predicted = truth - truth_mean, predicted - predicted_mean
    return _Moments(
        count=truth.size,
        truth=float(truth_mean),
        predicted=float(predicted_mean),
        absolute_error=float(np.abs(error).mean()),
        truth_squares=float(from_truth @ from_truth),
        predicted_squares=float(from_predicted @ from_predicted),
        error_squares=float((error - error_mean) @ (error - error_mean)),
        products=float(from_truth @ from_predicted),
    )


def _merged(one: _Moments, two: _Moments) -> _Moments:
    if not one.count or not two.count:
        return two if not one.count else one
    count = one.count + two.count
    share, weight = two.count / count, one.count * two.count / count
    truth, predicted = two.truth - one.truth, two.predicted - one.predicted
    return _Moments(
        count=count,
        truth=one.truth + truth * share,
        predicted=one.predicted + predicted * share,
        absolute_error=one.absolute_error + (two.absolute_error - one.absolute_error) * share,
        truth_squares=one.truth_squares + two.truth_squares + truth**2 * weight,
        predicted_squares=one.predicted_squares + two.predicted_squares + predicted**2 * weight,
        error_squares=one.error_squares + two.error_squares + (predicted - truth) ** 2 * weight,
        products=one.products + two.products + truth * predicted * weight,
    )


def _numbers(moments: _Moments) -> dict[str, float]:
    if not moments.count:
        return dict.fromkeys(("mae", "rmse", "r2", "bias", "correlation"), float("nan"))
    bias = moments.predicted - moments.truth
    squares = moments.error_squares + moments.count * bias**2
    spread = (moments.truth_squares * moments.predicted_squares) ** 0.5
    return {
        "mae": moments.absolute_error,
        "rmse": (squares / moments.count) ** 0.5,
        # Both are undefined where the truth is constant: there is nothing to explain.
        "r2": 1 - squares / moments.truth_squares if moments.truth_squares > 0 else float("nan"),
        "bias": bias,
        "correlation": moments.products / spread if spread > 0 else float("nan"),
    }
