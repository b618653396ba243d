"""Colours of network drawings: one for each kind of normalization, grey for everything else."""

from collections.abc import Mapping
from types import MappingProxyType

KIND_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "batch": "#0072b2",
        "batch-renorm": "#56b4e9",
        "sync-batch": "#332288",
        "group": "#e69f00",
        "instance": "#009e73",
        "layer": "#882255",
        "rms": "#f0e442",
        "standardize": "#111111",
    }
)
"""From the palettes of Okabe and Ito and of Paul Tol, which colour-blind people can tell apart."""

OTHER_NORM = "#555555"
"""A normalization that no kind describes."""

RAW_SKIP = "#cc3311"
WIRE = "#9a9a9a"
INK = "#222222"
QUIET_INK = "#666666"
BANDS = ("#ffffff", "#f6f6f4")
EDGES = "#8a8a86"
"""Of boxes that are no normalization."""

PART_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "input": "#ffffff",
        "linear": "#e4e4e0",
        "activation": "#c4c4be",
        "merge": "#ffffff",
        "other": "#f1f1ee",
    }
)

_LIGHT, _DARK = "#ffffff", "#111111"


def colour_of(kind: str | None) -> str:
    """The colour of a kind of normalization; None stands for one that no kind describes."""
    return KIND_COLOURS.get(kind or "", OTHER_NORM)


def text_on(colour: str) -> str:
    """Black or white, whichever is easier to read on a colour (WCAG 2 contrast)."""
    return max((_LIGHT, _DARK), key=lambda ink: contrast(ink, colour))


def contrast(one: str, other: str) -> float:
    """Contrast of two `#rrggbb` colours after WCAG 2: from 1, the same, to 21, black on white."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
