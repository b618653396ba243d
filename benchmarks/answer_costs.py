"""What plans cost and what probes measured, the tables of docs/the-question.md beside quality."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from answer_design import SETS, Cell, DataSet
from answer_results import Results, Row
from answer_texts import BEHAVIOUR, COUNTED, FOLDED, IN_TIME, TIMED, UNTIMED
from answer_words import table_head

from normwise.report.page.numbers import MINUS, MISSING
from normwise.workflows.question_times import Times


def costs(results: Results, place: int) -> Iterator[str]:
    """What each plan of the U-Net costs, beside the network without normalization."""
    timed = any(row["seconds_per_step"] is not None for row in results.rows)
    (part,) = (part for part in results.parts if part.name == "where")
    yield from (f"## {place}. What it costs", "")
    yield from ("\n".join((COUNTED, TIMED if timed else UNTIMED, FOLDED)), "")
    times = [*(f"step, {s.name}" for s in SETS), "predict"] if timed else []
    yield from table_head(
        ["plan", "norms", "parameters trained", "statistics kept", *times, "memory"]
    )
    for variant in part.variants:
        cell = Cell(part.name, variant.name, variant.name)
        counts = (more(results, cell, key) for key in ("norms", "parameters", "statistics"))
        measured = [([s], "seconds_per_step") for s in SETS]
        measured = [*measured, (SETS, "seconds_per_megapixel")] if timed else []
        ratios = (ratio(results, *one, cell) for one in (*measured, (SETS, "peak_memory")))
        yield f"| {' | '.join([f'`{variant.name}`', *counts, *ratios])} |"
    if not timed and (measured_apart := Times.read()) is not None:
        for paragraph in (IN_TIME, *measured_apart.told()):
            yield from ("", paragraph)


def behaviour(results: Results, place: int) -> Iterator[str]:
    """What probes say of the trained U-Nets, whatever they reach."""
    yield from (f"## {place}. What else it does", "", BEHAVIOUR, "")
    columns = {
        "training mode against inference": "disparity",
        "between overlapping tiles": "tile_mismatch",
        "by the others of a batch, in training": "batch_dependence",
    }
    yield from table_head(["plan", *columns])
    for part in (part for part in results.parts if not part.name.startswith("question")):
        for variant in part.variants:
            cell = Cell(part.name, variant.name, variant.name)
            rows = [row for s in SETS for row in results.of_cell(s.name, cell).values()]
            found = (probed(rows, key) for key in columns.values())
            yield f"| {' | '.join([f'`{variant.name}`', *found])} |"


def probed(rows: Sequence[Row], key: str) -> str:
    """The median of what a probe measured over sets and seeds."""
    found = [value for row in rows if (value := row["probes"][key]) is not None]
    return f"{statistics.median(found):.2g}" if found else MISSING


def more(results: Results, cell: Cell, key: str) -> str:
    """How much larger a count is than without normalization; a range over sets if they differ."""
    found = sorted({own - without for own, without in beside(results, SETS, cell, key)})
    return " to ".join(map(counted, dict.fromkeys((found[0], found[-1])))) if found else MISSING


def counted(extra: int) -> str:
    """A difference of counts with its sign."""
    return f"{extra:+,}".replace("-", MINUS) if extra else "0"


def ratio(results: Results, sets: Sequence[DataSet], key: str, cell: Cell) -> str:
    """The median over seeds of a cost beside that of the network without normalization."""
    found = [own / without for own, without in beside(results, sets, cell, key) if without]
    return f"{statistics.median(found):.2f}" if found else MISSING


def beside(
    results: Results, sets: Sequence[DataSet], cell: Cell, key: str
) -> Iterator[tuple[Any, Any]]:
    """What was measured of each training, and of that without normalization on the same seed."""
    for data_set in sets:
        base = results.of_cell(data_set.name, Cell("where", "none", "none"))
        for seed, row in results.of_cell(data_set.name, cell).items():
            pair = row[key], base[seed][key] if seed in base else None
            if None not in pair:
                yield pair
