"""Layers as lines of output name them."""

from collections.abc import Sequence

_SHOWN = 6


def shown_layers(layers: Sequence[str], verbose: bool) -> str:
    """Layers for a line: all of them, or the first few and how many more."""
    shown = layers if verbose else layers[:_SHOWN]
    more = len(layers) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
