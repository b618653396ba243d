"""What an OME-Zarr says of its axes: units, how far pixels lie apart, and where the first one lies.

See NGFF 0.4 (in Zarr of version 2) and 0.5 (of version 3), `multiscales`: the levels of an image
are arrays of a group, channels before slices, rows and columns, each with a scale and perhaps a
translation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

LEVEL: Final = "0"
"""The name of the largest level of what is written."""
_CHANNEL: Final = "C"
_NGFF: Final = {2: "0.4", 3: "0.5"}


@dataclass(frozen=True)
class Axis:
    """An axis of an image.

    Attributes:
        scale: The distance of neighbouring pixels.
        start: Where the first one lies.
        unit: Of both, such as `micrometer`; None if none is named.
    """

    scale: float = 1.0
    start: float = 0.0
    unit: str | None = None


Axes = tuple[tuple[str, Axis], ...]
"""Axes by their letters."""


def axes_of(multiscale: Mapping[str, Any], letters: str) -> Axes | None:
    """The axes of an OME-Zarr image; None of others, or where more is told than scale and start.

    Args:
        multiscale: What the group says of its levels; empty of others.
        letters: One for each axis of the first level.
    """
    try:
        levels, told = multiscale["datasets"], multiscale["axes"]
        key = "coordinateTransformations"
        steps = [*levels[0].get(key, ()), *multiscale.get(key, ())]
        scale, start = np.ones(len(letters)), np.zeros(len(letters))
        for step in steps:
            if step["type"] == "scale":
                scale, start = scale * step["scale"], start * step["scale"]
            else:
                start = start + step["translation"]
        if not (np.isfinite(scale) & np.isfinite(start)).all():
            return None
        named = [axis.get("unit") if isinstance(axis, dict) else None for axis in told]
        units = [unit if isinstance(unit, str) else None for unit in named]
        found = zip(scale.tolist(), start.tolist(), units, strict=True)
        return tuple((letter, Axis(*axis)) for letter, axis in zip(letters, found, strict=True))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def attributes_of(axes: Axes, letters: str, version: Literal[2, 3]) -> dict[str, Any]:
    """What a group says of an image with a single level.

    Args:
        axes: As `axes_of` gives them.
        letters: One for each axis of the level, the channels' first.
        version: Of Zarr.
    """
    known = {**dict(axes), _CHANNEL: Axis()}
    kept = [known.get(letter, Axis()) for letter in letters]
    named = [
        {
            "name": letter.lower(),
            "type": "channel" if letter == _CHANNEL else "space",
            **({} if axis.unit is None else {"unit": axis.unit}),
        }
        for letter, axis in zip(letters, kept, strict=True)
    ]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": [axis.scale for axis in kept]}]
    if any(axis.start for axis in kept):
        steps.append({"type": "translation", "translation": [axis.start for axis in kept]})
    level = {"path": LEVEL, "coordinateTransformations": steps}
    told = {"axes": named, "datasets": [level]}
    if version == 2:
        return {"multiscales": [{"version": _NGFF[version], **told}]}
    return {"ome": {"version": _NGFF[version], "multiscales": [told]}}
