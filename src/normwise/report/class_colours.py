"""Colours of classes that have none of their own, the same in pictures and in class maps."""

from colorsys import hls_to_rgb
from typing import Final

# Okabe & Ito (2008): told apart with any colour vision. The first stands for the background; it is
# far enough from white, which is no data.
CLASS_COLOURS: Final = (
    "#bfbfbf", "#0072b2", "#009e73", "#e69f00", "#cc79a7",
    "#56b4e9", "#d55e00", "#f0e442", "#7f4f24", "#333333",
)  # fmt: skip
_GOLDEN: Final = 0.618034
"""Steps of the golden ratio around the circle of hues never come near each other."""


def class_colours(count: int) -> tuple[str, ...]:
    """As many colours as there are classes, each another one.

    Args:
        count: How many.
    """
    return tuple(
        CLASS_COLOURS[index] if index < len(CLASS_COLOURS) else _further(index)
        for index in range(count)
    )


def _further(index: int) -> str:
    lightness = (0.35, 0.5, 0.65)[index % 3]
    parts = hls_to_rgb(index * _GOLDEN % 1, lightness, 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
