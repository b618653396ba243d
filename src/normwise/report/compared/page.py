"""The page of a comparison as one HTML file: style, script, charts and pictures are inside it."""

from collections.abc import Callable, Iterator
from html import escape

from normwise.report.compared.charts import colour, curves_chart, gaps_chart, points_chart
from normwise.report.compared.facts import STOPPED, Facts, Gap, Table
from normwise.report.page import pieces
from normwise.report.page.document import document
from normwise.report.page.numbers import number, signed, span


def html_page(facts: Facts) -> str:
    """The whole page, as HTML."""
    return document(facts.title, "".join(section(facts) for section in _SECTIONS))


def _head(facts: Facts) -> str:
    return pieces.head(facts.title, facts.answer)


def _tables(facts: Facts) -> str:
    return (
        f'<h2>The variants</h2><p class="quiet">{escape(facts.metric)}. Click a head to sort.</p>'
        f"{_table(facts, facts.table)}<h2>What the trained networks are like</h2>"
        f"{_table(facts, facts.measured)}"
    )


def _table(facts: Facts, table: Table) -> str:
    heads = (("variant", "the norm plan and what varies"), *table.head)
    rows = (
        f"{_named(letter, facts.variants[letter])}{''.join(map(pieces.cell, cells))}"
        for letter, cells in table.rows.items()
    )
    meanings = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in table.head
    )
    return (
        f"{pieces.sortable(heads, rows)}<details><summary>What the columns mean</summary>"
        f"<dl>{meanings}</dl></details>"
    )


def _named(letter: str, name: str) -> str:
    return (
        f'<td class="name" data-sorts="{escape(letter)}"><div>{_badge(letter)}'
        f"<code>{pieces.breakable(name)}</code></div></td>"
    )


def _badge(letter: str) -> str:
    return f'<span class="letter {colour(letter)}">{escape(letter)}</span>'


def _stopped(facts: Facts) -> str:
    if facts.stopped is None:
        return ""
    heads = ("=variant", *(name for name, _ in facts.stopped.head))
    rows = (
        f'<td class="name"><code>{pieces.breakable(name)}</code></td>'
        f"{''.join(map(pieces.cell, cells))}"
        for name, cells in facts.stopped.rows.items()
    )
    return (
        f"<h2>Stopped early</h2>{pieces.plain_table(heads, rows)}"
        f'<p class="quiet">{escape(STOPPED)}</p>'
    )


def _charts(facts: Facts) -> str:
    curves = pieces.figure(
        curves_chart(facts.curves, facts.curve_metric),
        f"{escape(facts.curve_metric)} after each epoch: the mean of all trials, and a band from "
        "the lowest to the highest.",
    )
    better = "Down" if facts.lower_is_better else "Up"
    points = pieces.figure(
        points_chart(facts.points, facts.axes),
        f"{better} and left is better. Filled, joined by a line: no other variant is better in one "
        "and as good in the other (the Pareto front of the means; differences by chance are not "
        "taken out).",
    )
    return (
        f'<div class="two"><section><h2>Learning curves</h2>{curves}</section>'
        f"<section><h2>Quality against time</h2>{points}</section></div>"
    )


def _gaps(facts: Facts) -> str:
    if not facts.gaps:
        return ""
    chart = pieces.figure(
        gaps_chart(facts.gaps, facts.metric.partition(" of ")[0], facts.better),
        "Point and bar: the mean difference and its 95 % interval; small marks: single pairs of "
        "trials. Coloured: beyond chance after correction for all comparisons.",
    )
    heads = ("=pair", "difference", "95 % interval", "effect", "adjusted p", "=what it says")
    table = pieces.plain_table(heads, map(_gap_row, facts.gaps))
    return (
        f'<h2>Paired differences</h2>{chart}<div class="below">{table}</div>'
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
        f'<td title="{escape(" minus ".join(gap.names))}">{_badge(one)}{_badge(other)}</td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + f'<td class="text verdict">{escape(gap.verdict)}</td>'
    )


def _examples(facts: Facts) -> str:
    rows = pieces.examples(facts.examples)
    return f"<h2>Example predictions</h2>{rows}" if rows else ""


def _drawings(facts: Facts) -> str:
    return "".join(_drawn(facts))


def _drawn(facts: Facts) -> Iterator[str]:
    if facts.drawings:
        yield "<h2>The networks</h2>"
    for d in facts.drawings:
        yield f"<h3>{_badge(d.letter)}<code>{escape(d.name)}</code></h3>{pieces.network(d.svg)}"


def _ground(facts: Facts) -> str:
    return (
        f"<h2>What was held equal</h2>{pieces.bullets(facts.equal)}"
        f"<h2>What these numbers can't say</h2>{pieces.bullets(facts.limits)}"
        f"{pieces.reproduce(facts.command, facts.versions)}"
    )


_SECTIONS: tuple[Callable[[Facts], str], ...] = (
    _head, _tables, _stopped, _charts, _gaps, _examples, _drawings, _ground,
)  # fmt: skip
