"""Changes of a patch's values: gain, offset, gamma, blur, noise, missing channels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float32]
Array = NDArray[Any]

_RANGE = 3.0
"""A gamma bends the values within so many standard deviations of the mean."""


@dataclass(frozen=True)
class Intensity:
    """What may happen to the values of a patch, whatever its number of channels.

    Args:
        gain: Standard deviation of each channel's gain around 1, and of its offset in standard
            deviations of the channel.
        gamma: Standard deviation of the logarithm of an exponent that all channels share.
        blur: Largest standard deviation of a Gaussian blur along rows and columns, in pixels.
        noise: Standard deviation of noise in each pixel, in standard deviations of the channel.
        channel_dropout: Probability that a channel is replaced by its mean; one always stays.
        offset: Standard deviation of a further offset of each channel, in its own standard
            deviations; one number a channel, or none.
    """

    gain: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    channel_dropout: float = 0.0
    offset: tuple[float, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is changed at all."""
        options = (self.gain, self.gamma, self.blur, self.noise, self.channel_dropout)
        return max(*options, *self.offset) > 0

    def changed(
        self, image: Floats, draws: Array, rng: np.random.Generator, mean: Floats, std: Floats
    ) -> Floats:
        """The patch with other values; NaN stays NaN.

        Args:
            image: Raw values, shape `(..., rows, columns, channels)`; it is not modified.
            draws: Standard normal numbers for gain and offset, shape `(2, channels)`.
            rng: All further chance comes from here.
            mean: Mean of each channel.
            std: Standard deviation of each channel.
        """
        # Everything but the noise is drawn in any case, so that options don't disturb each other.
        exponent = float(np.exp(self.gamma * rng.standard_normal()))
        sigma = self.blur * float(rng.uniform())
        chances: Array = rng.uniform(size=(image.shape[-1],))
        if max((self.gain, *self.offset)) > 0:
            # Two normal offsets are together one, so that it needs no draw of its own.
            spread = np.hypot(self.gain, self.offset) if self.offset else self.gain
            image = _with_gain(image, self.gain * draws[0], spread * draws[1], mean, std)
        if self.gamma > 0:
            image = _with_gamma(image, exponent, mean, std)
        if sigma > 0:
            image = _blurred(image, sigma, mean)
        if self.noise > 0:
            noise = rng.standard_normal(image.shape, np.float32)
            noise *= np.asarray(self.noise * std, np.float32)
            image = image + noise
        if self.channel_dropout > 0:
            image = _without(image, chances, self.channel_dropout, mean)
        return image


def _with_gain(image: Floats, gains: Array, offsets: Array, mean: Floats, std: Floats) -> Floats:
    gain = 1 + gains
    offset = offsets * std + mean * (1 - gain)
    changed: Floats = image * gain.astype(np.float32)
    changed += offset.astype(np.float32)
    return changed


def _with_gamma(image: Floats, exponent: float, mean: Floats, std: Floats) -> Floats:
    width = np.where(std > 0, 2 * _RANGE * std, 1).astype(np.float32)
    lowest = (mean - _RANGE * std).astype(np.float32)
    share = (image - lowest) / width
    bent = np.clip(share, 0, 1) ** np.float32(exponent)
    # Beyond the range values stay as they are; NaN is in neither.
    outside = (share < 0) | (share > 1)
    return np.where(outside, image, bent * width + lowest)


def _blurred(image: Floats, sigma: float, mean: Floats) -> Floats:
    missing = np.isnan(image)
    any_missing = bool(missing.any())
    filled = np.where(missing, mean, image) if any_missing else image
    sigmas = [0.0] * image.ndim
    sigmas[-3:-1] = [sigma, sigma]
    made = np.asarray(gaussian_filter(filled, sigmas, mode="nearest", truncate=3.0), np.float32)
    if any_missing:
        made[missing] = np.nan
    return made


def _without(image: Floats, chances: Array, probability: float, mean: Floats) -> Floats:
    dropped = chances < probability
    # The network always sees something: the channel with the best luck stays.
    dropped[chances.argmax()] = False
    if not dropped.any():
        return image
    gone = dropped & ~np.isnan(image)
    return np.where(gone, mean, image)
