"""Small facts that pages show, whatever they are about."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and what it is sorted by (None: last)."""

    text: str
    sorts: float | str | None = None


@dataclass(frozen=True)
class Tile:
    """A small picture: PNG, its title, and words below it."""

    title: str
    png: bytes = field(repr=False)
    note: str = ""


Row = tuple[str, tuple[Tile, ...]]
"""What a row of pictures shows, and the pictures."""
