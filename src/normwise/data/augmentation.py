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
        flips: Whether patches are flipped, top to bottom and left to right.
        rotations: Whether patches are turned by quarters; patches that are not square only by
            half a turn.
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
            image: Raw values, float32 of shape `(rows, columns, channels)`; NaN where there is
                no measurement, which stays so. It is not modified.
            label: Shape `(rows, columns)` or `(rows, columns, outputs)`; only its geometry
                changes.
            weight: Shape as the label's, or `(rows, columns)`; likewise.
            rng: All chance comes from here.
            mean: Mean of each channel, shape `(channels,)`: what a gain leaves in place.
            std: Standard deviation of each channel, shape `(channels,)`: the unit of offsets.

        Returns:
            Image, label and weight, of the same shapes and dtypes.

        Raises:
            ValueError: If `intensity` is not 0 and `mean` or `std` is missing.
        """
        # Everything is drawn in any case, so that one option does not change the others' draws.
        flips, turns = rng.integers(0, 2, size=2), int(rng.integers(0, 4))
        draws = rng.standard_normal((2, image.shape[-1]))
        if self.intensity > 0:
            image = self._with_intensity(image, draws, mean, std)
        arrays = (image, label, weight)
        if self.rotations:
            quarters = turns if image.shape[0] == image.shape[1] else turns // 2 * 2
            arrays = tuple(np.rot90(array, quarters) for array in arrays)  # type: ignore[assignment]
        if self.flips:
            axes = tuple(int(axis) for axis in np.flatnonzero(flips))
            arrays = tuple(np.flip(array, axes) for array in arrays)  # type: ignore[assignment]
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
