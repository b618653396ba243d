"""The page of a comparison as one HTML file: style, script, charts and pictures are inside it."""

import math
import re
from base64 import b64encode
from collections.abc import Callable
from html import escape
from importlib.resources import files

from normwise.report.compared.charts import colour, curves_chart, gaps_chart, points_chart
from normwise.report.compared.facts import Cell, Facts, Gap, Tile
from normwise.report.compared.numbers import number, signed, span


def html_page(facts: Facts) -> str:
    """The whole page.

    It asks no server for anything, follows the reader's choice of light or dark, and can be
    printed. Its table sorts by a click on a head; without scripts all is there all the same.

    Args:
        facts: What it shows.

    Returns:
        HTML text.
    """
    body = "".join(section(facts) for section in _SECTIONS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="generator" content="normwise"><link rel="icon" href="data:,">'
        f"<title>{escape(facts.title)}</title><style>\n{_own('style.css')}</style></head>"
        f"<body><main>{body}</main><script>\n{_own('sort.js')}</script></body></html>\n"
    )


def _own(name: str) -> str:
    return files("normwise.report.compared").joinpath(name).read_text(encoding="utf-8")


def _head(facts: Facts) -> str:
    return f'<h1>{escape(facts.title)}</h1><p class="answer">{escape(facts.answer)}</p>'


def _table(facts: Facts) -> str:
    heads = "".join(
        f'<th scope="col" title="{escape(meaning)}"><button>{escape(name)}</button></th>'
        for name, meaning in (("variant", "the norm plan and what varies"), *facts.table.head)
    )
    rows = "".join(
        f"<tr>{_named(letter, facts.variants[letter])}{''.join(map(_cell, cells))}</tr>"
        for letter, cells in facts.table.rows.items()
    )
    meanings = " · ".join(f"{name}: {meaning}" for name, meaning in facts.table.head)
    return (
        f'<h2>The variants</h2><p class="quiet">{escape(facts.metric)}. Click a head to sort.</p>'
        f'<div class="card wide"><table class="sortable"><thead><tr>{heads}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="quiet">{escape(meanings)}</p>'
    )


def _named(letter: str, name: str) -> str:
    return (
        f'<td class="name" data-sorts="{escape(letter)}"><div>{_badge(letter)}'
        f"<code>{_breakable(name)}</code></div></td>"
    )


def _breakable(name: str) -> str:
    """A plan or setting that may be broken behind its signs and nowhere else."""
    return "<wbr>".join(escape(part) for part in re.split(r"(?<=[,@+:/=])", name))


def _badge(letter: str) -> str:
    return f'<span class="letter {colour(letter)}">{escape(letter)}</span>'


def _cell(cell: Cell) -> str:
    nothing = cell.sorts is None or (isinstance(cell.sorts, float) and math.isnan(cell.sorts))
    sorts = "" if nothing else str(cell.sorts)
    return f'<td data-sorts="{escape(sorts)}">{escape(cell.text)}</td>'


def _charts(facts: Facts) -> str:
    return (
        '<div class="two"><section><h2>Learning curves</h2><figure class="card">'
        f"{curves_chart(facts.curves, facts.curve_metric)}<figcaption>{escape(facts.curve_metric)} "
        "after each epoch: the mean of all trials, and a band from the lowest to the highest."
        "</figcaption></figure></section><section><h2>Quality against time</h2>"
        f'<figure class="card">{points_chart(facts.points, facts.axes)}<figcaption>Up and left is '
        "better. Filled, joined by a line: no other variant is better in one and as good in the "
        "other (the Pareto front of the means; differences by chance are not taken out)."
        "</figcaption></figure></section></div>"
    )


def _gaps(facts: Facts) -> str:
    if not facts.gaps:
        return ""
    rows = "".join(map(_gap_row, facts.gaps))
    return (
        '<h2>Paired differences</h2><figure class="card">'
        f"{gaps_chart(facts.gaps, facts.metric.partition(' of ')[0], facts.better)}"
        "<figcaption>Point and bar: the mean difference and its 95 % interval; small marks: single "
        "pairs of trials. Coloured: beyond chance after correction for all comparisons."
        '</figcaption></figure><div class="card wide below"><table><thead><tr><th>pair</th>'
        "<th>difference</th><th>95 % interval</th><th>effect</th><th>adjusted p</th>"
        f'<th class="text">what it says</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="quiet">{escape(facts.intervals)}</p>'
    )


def _gap_row(gap: Gap) -> str:
    one, other = gap.letters
    cells = (
        signed(gap.mean),
        span(gap.interval),
        number(gap.effect, "{:.2f}"),
        number(gap.adjusted, "{:.2g}"),
    )
    return (
        f'<tr><td title="{escape(" minus ".join(gap.names))}">{_badge(one)}{_badge(other)}</td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + f'<td class="text verdict">{escape(gap.verdict)}</td></tr>'
    )


def _examples(facts: Facts) -> str:
    if not facts.examples:
        return ""
    rows = "".join(
        f'<h3>{escape(title)}</h3><div class="card tiles">{"".join(map(_tile, tiles))}</div>'
        for title, tiles in facts.examples
    )
    return f"<h2>Example predictions</h2>{rows}"


def _tile(tile: Tile) -> str:
    note = f"<br>{escape(tile.note)}" if tile.note else ""
    return (
        f'<figure><img alt="{escape(tile.title)}" src="data:image/png;base64,'
        f'{b64encode(tile.png).decode()}"><figcaption>{escape(tile.title)}{note}</figcaption>'
        "</figure>"
    )


def _drawings(facts: Facts) -> str:
    pictures = "".join(
        f"<h3>{_badge(d.letter)}<code>{escape(d.name)}</code></h3>"
        f'<div class="card wide"><div class="network"><img alt="the network of {escape(d.name)}" '
        f'src="data:image/svg+xml;base64,{b64encode(d.svg.encode()).decode()}"></div></div>'
        for d in facts.drawings
    )
    return f"<h2>The networks</h2>{pictures}" if pictures else ""


def _ground(facts: Facts) -> str:
    equal = "".join(f"<li>{escape(line)}</li>" for line in facts.equal)
    limits = "".join(f"<li>{escape(line)}</li>" for line in facts.limits)
    versions = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.versions.items()
    )
    return (
        f"<h2>What was held equal</h2><ul>{equal}</ul><h2>What these numbers can't say</h2>"
        f"<ul>{limits}</ul><h2>How to reproduce it</h2><pre><code>{escape(facts.command)}</code>"
        f"</pre><dl>{versions}</dl>"
    )


_SECTIONS: tuple[Callable[[Facts], str], ...] = (
    _head, _table, _charts, _gaps, _examples, _drawings, _ground,
)  # fmt: skip
