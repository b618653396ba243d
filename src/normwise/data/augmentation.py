"""What varies a training patch, the same for an image, its label and its weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.data.intensity import Intensity
from normwise.data.warping import Warp, warped

Floats = NDArray[np.float32]
Array = NDArray[Any]

_LIMITS = {"angle": 180.0, "channel_dropout": 1.0}


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a patch before the network sees it.

    Args:
        flips: Whether patches are flipped along each axis.
        rotations: Whether patches are turned by quarters in the plane of rows and columns;
            patches that are not square only by half a turn.
        intensity: How much each channel changes on its own: the standard deviation of its gain
            around 1, and of its offset in units of the channel's standard deviation.
        scale: Largest change of size: 0.25 means between 1/1.25 and 1.25 times as large.
        angle: Largest rotation, in degrees.
        elastic: Standard deviation of a smooth displacement, in pixels.
        gamma: Standard deviation of the logarithm of an exponent that all channels share.
        noise: Standard deviation of noise, in units of the channel's standard deviation.
        blur: Largest standard deviation of a Gaussian blur, in pixels.
        channel_dropout: Probability that a channel is replaced by its mean.
        offset: Standard deviation of a further offset of each channel, in units of its standard
            deviation; one number a channel, or None.

    All of them act in the plane of rows and columns, in volumes on each slice alike; flips go
    along the slices too.

    Raises:
        ValueError: If a number is negative or too large, or there are not as many offsets as
            channels.

    Example:
        ```python
        augmentation = Augmentation(intensity=0.05, angle=10)
        image, label, weight = augmentation.apply(
            image, label, weight, rng, mean=statistics.mean, std=statistics.std
        )
        ```
    """

    flips: bool = True
    rotations: bool = True
    intensity: float = 0.1
    scale: float = 0.0
    angle: float = 0.0
    elastic: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    channel_dropout: float = 0.0
    offset: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        others = ("flips", "rotations", "offset")
        numbers = {n: getattr(self, n) for n in self.__dataclass_fields__ if n not in others}
        numbers |= {f"offset[{n}]": value for n, value in enumerate(self.offset or ())}
        for name, value in numbers.items():
            limit = _LIMITS.get(name, np.inf)
            if not 0 <= value <= limit or value == np.inf:
                most = "" if limit == np.inf else f" and at most {limit:g}"
                raise ValueError(f"{name}={value}: expected 0 or more{most}.")

    @cached_property
    def warp(self) -> Warp:
        """What changes the geometry, beyond flips and quarter turns."""
        return Warp(self.scale, self.angle, self.elastic)

    @cached_property
    def values(self) -> Intensity:
        """What changes the values."""
        changes = (self.intensity, self.gamma, self.blur, self.noise, self.channel_dropout)
        return Intensity(*changes, tuple(self.offset or ()))

    def check_channels(self, channels: int) -> None:
        """Refuses offsets of another number of channels.

        Raises:
            ValueError: If there are not as many as channels.
        """
        if self.offset is not None and len(self.offset) != channels:
            raise ValueError(
                f"offset: received {len(self.offset)} numbers; expected one for each of the "
                f"{channels} channels."
            )

    def margin(self, patch: Sequence[int]) -> tuple[int, ...]:
        """How far beyond a patch its pixels may come from, along each axis, in pixels."""
        if not self.warp.moves:
            return (0,) * len(patch)
        return (*[0] * (len(patch) - 2), *self.warp.margin(*patch[-2:]))

    def apply(
        self,
        image: Floats,
        label: Array,
        weight: Array,
        rng: np.random.Generator,
        *,
        mean: Array | None = None,
        std: Array | None = None,
        patch: Sequence[slice] | None = None,
    ) -> tuple[Floats, Array, Array]:
        """Changes one patch.

        Args:
            image: Raw values, float32 of shape `(rows, columns, channels)` or `(slices, rows,
                columns, channels)`; NaN where there is no measurement, which stays so. It is not
                modified.
            label: Shape as the image's, without channels or with outputs instead; only its geometry
                changes. Class ids if integers, else targets.
            weight: Shape as the label's, or without outputs; likewise.
            rng: All chance comes from here.
            mean: Mean of each channel, shape `(channels,)`: what a gain leaves in place.
            std: Standard deviation of each channel, shape `(channels,)`: the unit of offsets.
            patch: Which part of the arrays the patch is, one span an axis; it may go beyond them.
                What surrounds it fills the corners of a turned patch. None: all of them.

        Returns:
            Image, label and weight of the patch, with the same dtypes.

        Raises:
            ValueError: If values are to be changed and `mean` or `std` is missing.
        """
        # Everything is drawn in any case, so that one option does not change the others' draws.
        axes = image.ndim - 1
        flips, turns = rng.integers(0, 2, size=axes), int(rng.integers(0, 4))
        draws = rng.standard_normal((2, image.shape[-1]))
        geometry, values = rng.spawn(2)
        arrays: tuple[Any, ...] = (image, label, weight)
        if self.warp.moves:
            arrays = self._warped(arrays, patch, geometry)
        elif patch is not None:
            arrays = tuple(array[tuple(patch)] for array in arrays)
        self.check_channels(image.shape[-1])
        if self.values.changes:
            mean, std = _given(mean, std)
            arrays = (self.values.changed(arrays[0], draws, values, mean, std), *arrays[1:])
        if self.rotations:
            square = arrays[0].shape[axes - 2] == arrays[0].shape[axes - 1]
            quarters = turns if square else turns // 2 * 2
            arrays = tuple(np.rot90(array, quarters, (axes - 2, axes - 1)) for array in arrays)
        if self.flips:
            along = tuple(int(axis) for axis in np.flatnonzero(flips))
            arrays = tuple(np.flip(array, along) for array in arrays)
        made, made_label, made_weight = arrays
        return made, made_label, made_weight

    def _warped(
        self, arrays: tuple[Any, ...], patch: Sequence[slice] | None, rng: np.random.Generator
    ) -> tuple[Any, ...]:
        spans = patch or [slice(0, side) for side in arrays[0].shape[:-1]]
        rows, columns = (span.stop - span.start for span in spans[-2:])
        places = self.warp.places(rows, columns, rng)
        moved = tuple(
            place + np.float32(span.start) for place, span in zip(places, spans[-2:], strict=True)
        )
        image, label, weight = arrays
        return warped(image, label, weight, (moved[0], moved[1]))


def _given(mean: Array | None, std: Array | None) -> tuple[Floats, Floats]:
    if mean is None or std is None:
        raise ValueError(
            "A change of intensity needs the mean and std of each channel; give both, or "
            "intensity=0."
        )
    return np.asarray(mean, np.float32), np.asarray(std, np.float32)
