"""Pieces of HTML that pages share: tables, rows of pictures, networks, how to repeat something."""

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from normwise.report.page.facts import Cell, Row, Tile


def head(title: str, answer: str, troubled: bool = False) -> str:
    """The title, and below it what the page says in a paragraph.

    Args:
        title: Text.
        answer: Text; what stands between backticks is set as code.
        troubled: Whether it tells of trouble, which has another colour.
    """
    kind = "answer troubled" if troubled else "answer"
    said = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(answer))
    return f'<h1>{escape(title)}</h1><p class="{kind}">{said}</p>'


def breakable(name: str) -> str:
    """A plan or setting that may be broken behind its signs and nowhere else."""
    return "<wbr>".join(escape(part) for part in re.split(r"(?<=[,@+:/=])", name))


def cell(shown: Cell) -> str:
    """A cell of a table that sorts."""
    nothing = shown.sorts is None or (isinstance(shown.sorts, float) and math.isnan(shown.sorts))
    sorts = "" if nothing else str(shown.sorts)
    return f'<td data-sorts="{escape(sorts)}">{escape(shown.text)}</td>'


def sortable(heads: Iterable[tuple[str, str]], rows: Iterable[str]) -> str:
    """A table that sorts by a click on a head.

    Args:
        heads: Name and meaning of each column.
        rows: The rows' cells as HTML, each with what it is sorted by.
    """
    named = "".join(
        f'<th scope="col" title="{escape(meaning)}"><button>{escape(name)}</button></th>'
        for name, meaning in heads
    )
    return _table(named, rows, "sortable")


def plain_table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """A table.

    Args:
        heads: The names of the columns; those behind a `=` hold text and stand left.
        rows: The rows' cells as HTML.
    """
    named = "".join(
        f'<th scope="col" class="text">{escape(name[1:])}</th>'
        if name.startswith("=")
        else f'<th scope="col">{escape(name)}</th>'
        for name in heads
    )
    return _table(named, rows, "plain")


def _table(heads: str, rows: Iterable[str], kind: str) -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="card wide"><table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def figure(chart: str, caption: str) -> str:
    """A chart with the words below it; both are HTML."""
    return f'<figure class="card">{chart}<figcaption>{caption}</figcaption></figure>'


def examples(rows: Iterable[Row]) -> str:
    """Rows of pictures."""
    return "".join(
        f'<h3>{escape(title)}</h3><div class="card tiles">{"".join(map(_tile, tiles))}</div>'
        for title, tiles in rows
    )


def _tile(tile: Tile) -> str:
    note = f"<br>{escape(tile.note)}" if tile.note else ""
    return (
        f'<figure><img alt="{escape(tile.title)}" src="data:image/png;base64,'
        f'{b64encode(tile.png).decode()}"><figcaption>{escape(tile.title)}{note}</figcaption>'
        "</figure>"
    )


def network(svg: str) -> str:
    """A network's drawing, as `inline_svg` makes it."""
    return f'<div class="card wide"><div class="network">{svg}</div></div>'


def bullets(points: Iterable[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{escape(point)}</li>' for point in points)}</ul>"


def reproduce(command: str, versions: Mapping[str, str]) -> str:
    """The command that repeats it, and with what it was made."""
    named = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in versions.items()
    )
    return f"<h2>How to reproduce it</h2><pre><code>{escape(command)}</code></pre><dl>{named}</dl>"
