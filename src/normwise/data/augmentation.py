"""Flips, turns and changes of intensity, the same for an image, its label and its weight."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a patch before the network sees it.

    Args:
        flips: Whether patches are flipped along each axis.
        rotations: Whether patches are turned by quarters in the plane of rows and columns;
            patches that are not square only by half a turn.
        intensity: How much each channel changes on its own: the standard deviation of its gain
            around 1, and of its offset in units of the channel's standard deviation.

    Raises:
        ValueError: If `intensity` is negative.

    Example:
        ```python
        augmentation = Augmentation(intensity=0.05)
        image, label, weight = augmentation.apply(
            image, label, weight, rng, mean=statistics.mean, std=statistics.std
        )
        ```
    """

    flips: bool = True
    rotations: bool = True
    intensity: float = 0.1

    def __post_init__(self) -> None:
        if not self.intensity >= 0:
            raise ValueError(f"intensity={self.intensity}: expected 0 or more.")

    def apply(
        self,
        image: Floats,
        label: Array,
        weight: Array,
        rng: np.random.Generator,
        *,
        mean: Array | None = None,
        std: Array | None = None,
    ) -> tuple[Floats, Array, Array]:
        """Changes one patch.

        Args:
            image: Raw values, float32 of shape `(rows, columns, channels)` or `(slices, rows,
                columns, channels)`; NaN where there is no measurement, which stays so. It is not
                modified.
            label: Shape as the image's, without channels or with outputs instead; only its geometry
                changes.
            weight: Shape as the label's, or without outputs; likewise.
            rng: All chance comes from here.
            mean: Mean of each channel, shape `(channels,)`: what a gain leaves in place.
            std: Standard deviation of each channel, shape `(channels,)`: the unit of offsets.

        Returns:
            Image, label and weight, of the same shapes and dtypes.

        Raises:
            ValueError: If `intensity` is not 0 and `mean` or `std` is missing.
        """
        # Everything is drawn in any case, so that one option does not change the others' draws.
        axes = image.ndim - 1
        flips, turns = rng.integers(0, 2, size=axes), int(rng.integers(0, 4))
        draws = rng.standard_normal((2, image.shape[-1]))
        if self.intensity > 0:
            image = self._with_intensity(image, draws, mean, std)
        arrays = (image, label, weight)
        if self.rotations:
            quarters = turns if image.shape[axes - 2] == image.shape[axes - 1] else turns // 2 * 2
            arrays = tuple(np.rot90(array, quarters, (axes - 2, axes - 1)) for array in arrays)  # type: ignore[assignment]
        if self.flips:
            along = tuple(int(axis) for axis in np.flatnonzero(flips))
            arrays = tuple(np.flip(array, along) for array in arrays)  # type: ignore[assignment]
        return arrays

    def _with_intensity(
        self, image: Floats, draws: Array, mean: Array | None, std: Array | None
    ) -> Floats:
        if mean is None or std is None:
            raise ValueError(
                "A change of intensity needs the mean and std of each channel; give both, or "
                "intensity=0."
            )
        gain = 1 + self.intensity * draws[0]
        offset = self.intensity * draws[1] * std + mean * (1 - gain)
        changed: Floats = image * gain.astype(np.float32)
        changed += offset.astype(np.float32)
        return changed
