"""The page of a comparison as Markdown, for terminals, pull requests and notebooks."""

from collections.abc import Iterator, Sequence

from normwise.report.compared.facts import STOPPED, Facts, Table
from normwise.report.page.numbers import MINUS, number, signed, span


def markdown_page(facts: Facts) -> str:
    """The page without its pictures."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    yield from (f"# {facts.title}", "", facts.answer, "", "## The variants", "", facts.metric, "")
    yield from _variants(facts, facts.table)
    yield from ("", "## What the trained networks are like", "")
    yield from _variants(facts, facts.measured)
    if facts.stopped is not None:
        yield from ("", "## Stopped early", "", STOPPED, "")
        ended = ([f"`{name}`", *(c.text for c in own)] for name, own in facts.stopped.rows.items())
        yield from _table(["variant", *(name for name, _ in facts.stopped.head)], ended)
    if facts.gaps:
        yield from ("", "## Paired differences", "", facts.intervals, "")
        yield from _table(
            ["pair", "difference", "95 % interval", "effect", "adjusted p", "what it says"],
            _gaps(facts),
        )
    for title, points in (
        ("What was held equal", facts.equal),
        ("What these numbers can't say", facts.limits),
    ):
        yield from ("", f"## {title}", "", *(f"- {point}" for point in points))
    yield from ("", "## How to reproduce it", "", "```", facts.command, "```", "")
    yield from (f"- {name}: {value}" for name, value in facts.versions.items())


def _variants(facts: Facts, table: Table) -> Iterator[str]:
    heads = ["", "variant", *(name for name, _ in table.head)]
    rows = (
        [letter, f"`{facts.variants[letter]}`", *(cell.text for cell in cells)]
        for letter, cells in table.rows.items()
    )
    yield from _table(heads, rows)
    yield ""
    yield from (f"- {name}: {meaning}" for name, meaning in table.head)


def _gaps(facts: Facts) -> Iterator[list[str]]:
    for gap in facts.gaps:
        numbers = [signed(gap.mean), span(gap.interval), number(gap.effect, "{:.2f}")]
        letters = f" {MINUS} ".join(gap.letters)
        yield [letters, *numbers, number(gap.adjusted, "{:.2g}"), gap.verdict]


def _table(heads: Sequence[str], rows: "Iterator[list[str]]") -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
