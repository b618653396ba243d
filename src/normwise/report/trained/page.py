"""The page of a training run as one HTML file."""

import math
from collections.abc import Callable
from html import escape
from typing import Final

from normwise.report.page import pieces
from normwise.report.page.chart import EPOCHS, Line, lines_chart
from normwise.report.page.document import document
from normwise.report.page.numbers import MISSING
from normwise.report.trained.facts import Choice, Course, Fault, RunFacts, Scores

_TRAINING, _VALIDATION = "c0", "c1"
_FAINTEST: Final = 0.005
"""A smaller share is no colour."""


def html_page(facts: RunFacts) -> str:
    """The whole page, as HTML."""
    return document(facts.title, "".join(section(facts) for section in _SECTIONS))


def _head(facts: RunFacts) -> str:
    plan = f'<p class="quiet">Norm plan <code>{pieces.breakable(facts.plan)}</code></p>'
    return pieces.head(facts.title, facts.answer, troubled=facts.troubled) + plan


def _scores(facts: RunFacts) -> str:
    return "".join(map(_reached, facts.scores))


def _reached(scores: Scores) -> str:
    heads = (f"={scores.head[0]}", *scores.head[1:])
    rows = [_row(row) for row in scores.rows]
    rows += [_row(row, "foot") for row in scores.foot]
    return (
        f"<h2>On {escape(scores.title)}</h2>{pieces.plain_table(heads, rows)}"
        f'<p class="quiet">{escape(scores.note)}</p>{_confusion(scores)}'
    )


def _row(row: tuple[str, ...], kind: str = "") -> str:
    own = f' class="{kind}"' if kind else ""
    first = f'<td class="text {kind}">{escape(row[0])}</td>'
    return first + "".join(f"<td{own}>{escape(value)}</td>" for value in row[1:])


def _confusion(scores: Scores) -> str:
    if not scores.confusion:
        return ""
    heads = ("=truth", *(f"as {name}" for name in scores.confusion))
    rows = (
        f'<td class="text">{escape(name)}</td>' + "".join(map(_share, shares))
        for name, shares in scores.confusion.items()
    )
    return (
        "<details><summary>Which class is taken for which</summary>"
        f"{pieces.plain_table(heads, rows)}</details>"
    )


def _share(share: float) -> str:
    if math.isnan(share):
        return f"<td>{MISSING}</td>"
    faint = f' style="--share:{share:.2f}"' if share >= _FAINTEST else ""
    return f'<td class="share"{faint}>{share:.1%}</td>'


def _course(facts: RunFacts) -> str:
    course = facts.course
    if not course.epochs:
        return ""
    losses = pieces.figure(
        lines_chart(
            [
                Line(_TRAINING, course.epochs, course.training),
                Line(_VALIDATION, course.epochs, course.validation),
            ],
            (EPOCHS, course.loss),
            f"{course.loss} after each epoch",
        ),
        f"Loss: {_key(_TRAINING, 'training')} (mean over the epoch's patches), "
        f"{_key(_VALIDATION, 'validation')} (after it).",
    )
    values = pieces.figure(
        lines_chart(
            [Line(_VALIDATION, course.epochs, course.values)],
            (EPOCHS, course.metric),
            f"{course.metric} of the validation images after each epoch",
            _best(course),
        ),
        f"{_key(_VALIDATION, f'{course.metric} of the validation images')}. {_marked(course)}",
    )
    return (
        f'<h2>Learning curves</h2><div class="two">{losses}{values}</div>'
        f'<p class="quiet">{escape(course.note)}</p>'
    )


def _key(style: str, name: str) -> str:
    return f'<span class="key {style}">{escape(name)}</span>'


def _best(course: Course) -> tuple[float, float] | None:
    if course.best not in course.epochs:
        return None
    return float(course.best), course.values[course.epochs.index(course.best)]


def _marked(course: Course) -> str:
    return f"Marked: epoch {course.best}, whose weights were kept." if course.best else ""


def _examples(facts: RunFacts) -> str:
    shown = facts.shown
    if shown is None:
        return ""
    classes = "".join(
        f'<span class="class"><i style="background:{escape(colour)}"></i>{escape(name)}</span>'
        for name, colour in shown.classes
    )
    return (
        f'<h2>Example predictions</h2><p class="quiet">{escape(shown.note)}</p>'
        f"<p>{classes}</p>{pieces.examples(shown.rows)}"
    )


def _network(facts: RunFacts) -> str:
    return f"<h2>The network</h2>{pieces.network(facts.network)}" if facts.network else ""


def _faults(facts: RunFacts) -> str:
    found = "".join(map(_fault, facts.faults))
    nothing = '<p class="quiet">Nothing: no rule has anything to say of this network.</p>'
    return f"<h2>What check says of it</h2>{found or nothing}"


def _fault(fault: Fault) -> str:
    where = ", ".join(fault.layers)
    placed = f'<p class="quiet"><code>{pieces.breakable(where)}</code></p>' if where else ""
    return (
        f'<div class="card fault"><p><span class="badge {fault.severity}">{fault.severity}</span> '
        f"<strong>{escape(fault.name)}</strong></p><p>{escape(fault.message)}</p>{placed}"
        f'<p class="quiet">{escape(fault.why)}</p><p>{escape(fault.fix)}</p></div>'
    )


def _recipe(facts: RunFacts) -> str:
    rows = map(_choice, facts.choices)
    return (
        "<h2>The recipe, and why it is so</h2>"
        f"{pieces.plain_table(('=setting', '=value', '=why'), rows)}"
        "<details><summary>Every setting, those at their defaults too</summary>"
        f"<pre><code>{escape(facts.recipe)}</code></pre></details>"
    )


def _choice(choice: Choice) -> str:
    return (
        f'<td class="text"><code>{pieces.breakable(choice.key)}</code></td>'
        f'<td class="text verdict"><code>{pieces.breakable(choice.value)}</code></td>'
        f'<td class="text verdict">{escape(choice.reason)}</td>'
    )


def _ground(facts: RunFacts) -> str:
    return pieces.reproduce(facts.command, facts.versions)


_SECTIONS: tuple[Callable[[RunFacts], str], ...] = (
    _head, _scores, _course, _examples, _network, _faults, _recipe, _ground,
)  # fmt: skip
