"""How messages count and name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def counted(count: int, singular: str) -> str:
    """`"1 layer"`, `"3 layers"`."""
    return f"{count:,} {singular}{'' if count == 1 else 's'}"


def span(layers: Iterable[str]) -> str:
    """Layers for a message: the first and the last where there are many."""
    names = list(layers)
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def named(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, the first few where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
