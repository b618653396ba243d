"""What a finished comparison leaves: its numbers as JSON, a page as HTML and as Markdown."""

import logging
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from normwise.comparison.answer import answer
from normwise.comparison.experiment import Trial
from normwise.comparison.outcome import Outcome
from normwise.comparison.summary import Line, Summary, decided
from normwise.comparison.verdicts import Pair
from normwise.comparison.versions import versions_of
from normwise.distributed.where import Where
from normwise.environment import installed
from normwise.files import write_text
from normwise.json_files import write_json
from normwise.keras_format.reading import read_graph
from normwise.report.compared.charts import letter_of
from normwise.report.compared.facts import Curve, Drawing, Facts, Gap, Point, Table
from normwise.report.compared.markdown import markdown_page
from normwise.report.compared.page import html_page
from normwise.report.network.inline import inline_svg
from normwise.report.page.examples import example_row
from normwise.report.page.facts import Cell, Row
from normwise.report.page.numbers import number, small
from normwise.training.run_files import MODEL
from normwise.workflows.compare_equal import equal
from normwise.workflows.compare_examples import examples_of
from normwise.workflows.compare_looks import looks
from normwise.workflows.compare_words import command, intervals, limits, stopped

_NUMBERS: Final = "comparison.json"
_WORDS: Final = {"test": "test images", "val": "validation images"}

log = logging.getLogger("normwise.comparison")


def write_report(folder: Path, summary: Summary, fingerprint: str, where: Where) -> None:
    """Writes `comparison.json`, `report.md` and `report.html`.

    Pictures that can't be made are left out, and a warning says why.

    Args:
        folder: The comparison's folder, with the runs of its trials.
        summary: Its numbers.
        fingerprint: Of the data.
        where: Where trials were made.
    """
    looked = looks(folder / _NUMBERS, summary.experiment.seeds)
    facts = facts_of(folder, summary, fingerprint, where, looked)
    content = {
        "answer": facts.answer,
        **summary.to_dict(),
        "looks": list(looked),
        "data": {"path": summary.experiment.base.data.path, "fingerprint": fingerprint},
        "recipe": summary.experiment.base.model_dump(mode="json"),
        "equal": list(facts.equal),
        "limits": list(facts.limits),
        "command": facts.command,
        "versions": dict(facts.versions),
        "trials": {
            name: [_trial(outcome) for outcome in outcomes]
            for name, outcomes in summary.outcomes.items()
        },
    }
    write_json(folder / _NUMBERS, content)
    write_text(folder / "report.md", markdown_page(facts))
    write_text(folder / "report.html", html_page(facts))


def facts_of(
    folder: Path, summary: Summary, fingerprint: str, where: Where, looked: Sequence[int]
) -> Facts:
    """All that the page shows.

    Args:
        folder: As for `write_report`.
        summary: As for `write_report`.
        fingerprint: As for `write_report`.
        where: As for `write_report`.
        looked: Every number of seeds with which the comparison was reported.
    """
    letters = {line.variant.name: letter_of(i) for i, line in enumerate(summary.lines)}
    recipe = summary.experiment.base
    kind = "lower is better" if summary.lower_is_better else "higher is better"
    costs = summary.costs
    return Facts(
        title=f"{len(letters)} variants on {Path(recipe.data.path).name}, by {summary.metric}",
        answer=answer(summary),
        variants={letter: name for name, letter in letters.items()},
        table=_table(summary, letters),
        measured=_measured(summary, letters),
        stopped=stopped(summary),
        metric=f"{summary.metric} of {_WORDS[summary.split]}, {kind}",
        lower_is_better=summary.lower_is_better,
        curve_metric=f"validation {summary.metric}",
        curves=tuple(
            _curve(line, letters[line.variant.name], summary.metric) for line in summary.lines
        ),
        gaps=tuple(_gap(summary, pair, letters) for pair in summary.pairs),
        better=_better(summary),
        intervals=intervals(summary),
        points=tuple(
            Point(letter, costs[name], line.mean, name in summary.front)
            for line in summary.lines
            for name, letter in [(line.variant.name, letters[line.variant.name])]
        ),
        axes=("seconds of training", f"mean {summary.metric}"),
        examples=_examples(folder, summary, letters),
        drawings=tuple(_drawings(folder, summary, letters)),
        equal=tuple(equal(summary)),
        limits=tuple(limits(summary, looked)),
        command=command(summary, folder, where),
        versions=_versions(summary, fingerprint),
    )


def _better(summary: Summary) -> tuple[str, str]:
    both = ("the first is better", "the second is better")
    return (both[1], both[0]) if summary.lower_is_better else both


def _table(summary: Summary, letters: Mapping[str, str]) -> Table:
    head = (
        (summary.metric, f"mean ± standard deviation over {summary.unit}"),
        ("params", "weights that are trained"),
        ("stats", "numbers kept beside them, such as moving means"),
        ("train", "median time of a training that came to its end, with validation"),
        ("step", "median time of a training step, loading included"),
        ("predict", "median time of predicting a million pixels (or voxels)"),
        ("memory", "largest of a trial's own process, with --processes or --on"),
    )
    return Table(head, {letters[line.variant.name]: tuple(_cells(line)) for line in summary.lines})


def _cells(line: Line) -> Iterator[Cell]:
    spread = f" ± {line.spread:.2g}" if math.isfinite(line.spread) else ""
    lost = {"diverged": line.diverged, "undefined": line.undefined}
    failed = ", ".join(f"{count} {how}" for how, count in lost.items() if count)
    shown = number(line.mean, f"{{:.4g}}{spread}")
    yield Cell(f"{shown} ({failed})" if failed else shown, line.mean)
    for of, form in (
        (line.median(lambda one: one.cost.parameters), "{:,.0f}"),
        (line.median(lambda one: one.cost.statistics), "{:,.0f}"),
        (line.seconds, "{:,.1f} s"),
        (line.median(lambda one: _thousandfold(one.cost.seconds_per_step)), "{:,.1f} ms"),
        (line.median(lambda one: one.cost.seconds_per_megapixel), "{:,.2g} s"),
        (line.median(lambda one: _megabytes(one.cost.peak_memory)), "{:,.0f} MB"),
    ):
        yield Cell(number(of, form), of)


def _measured(summary: Summary, letters: Mapping[str, str]) -> Table:
    share = "in standard deviations of the output"
    head = (
        ("norms", "normalization layers"),
        ("foldable", "how many of them convolutions can take over"),
        ("modes", "by how much outputs in training mode, where batch normalizations use the "
         f"statistics of the batch, differ from those in inference, {share}"),
        ("tiles", f"by how much a pixel differs between two tiles that overlap, {share}; 0: no "
         "layer sees the whole tile, so that tiles with a halo are exact"),
        ("batch", "by how much a patch's output in training mode differs beside other patches, "
         f"{share}"),
        ("findings", "of check, without notes: those in check.json of the runs, and what the rules "
         "that need data find in the trained network"),
    )  # fmt: skip
    rows = {letters[line.variant.name]: tuple(_traits(line)) for line in summary.lines}
    return Table(head, rows)


def _traits(line: Line) -> Iterator[Cell]:
    for count in (
        line.norms(lambda norms: norms.layers),
        line.norms(lambda norms: norms.foldable),
    ):
        yield Cell(number(count, "{:.0f}"), count)
    for share in (
        line.median(lambda one: one.probes.disparity),
        line.median(lambda one: one.probes.tile_mismatch),
        line.median(lambda one: one.probes.batch_dependence),
    ):
        yield Cell(small(share), share)
    found = {name.partition(" ")[2] for one in line.outcomes
             for name, severity in one.norms.findings if severity != "info"}  # fmt: skip
    yield Cell(", ".join(sorted(found)) or "none", len(found))


def _thousandfold(value: float) -> float:
    return value * 1000


def _megabytes(value: int | None) -> float | None:
    return None if value is None else value / 2**20


def _curve(line: Line, letter: str, metric: str) -> Curve:
    """Mean and range over the trials that have come so far; a shorter one ends the curve's band."""
    key = f"val_{metric}"
    rows: dict[float, list[float]] = {}
    for outcome in line.outcomes:
        for row in outcome.history:
            if math.isfinite(row.get(key, math.nan)):
                rows.setdefault(row["epoch"], []).append(row[key])
    epochs = sorted(rows)
    return Curve(
        letter,
        tuple(epochs),
        tuple(statistics.fmean(rows[epoch]) for epoch in epochs),
        tuple(min(rows[epoch]) for epoch in epochs),
        tuple(max(rows[epoch]) for epoch in epochs),
    )


def _gap(summary: Summary, pair: Pair, letters: Mapping[str, str]) -> Gap:
    found = pair.paired
    return Gap(
        (letters[pair.one], letters[pair.other]),
        (pair.one, pair.other),
        found.mean,
        found.interval,
        found.differences,
        pair.adjusted,
        found.effect,
        pair.verdict(summary.unit),
        decided(summary, pair.one, pair.other),
    )


def _examples(folder: Path, summary: Summary, letters: Mapping[str, str]) -> tuple[Row, ...]:
    # Images of one trial's split: what another seed evaluates may have trained this one.
    shown = next(summary.experiment.blocks())
    runs = {name: run for name, trial, run in _runs(folder, summary) if _block(trial) == shown}
    try:
        examples, meaning = examples_of(runs)
        return tuple(
            example_row(replace(example, predicted=_lettered(example.predicted, letters)), meaning)
            for example in examples
            if meaning is not None
        )
    except Exception as error:
        _left_out("example predictions", error)
        return ()


def _left_out(what: str, error: Exception) -> None:
    """Numbers that took hours are not lost for a picture of them."""
    log.warning("the page has no %s: %s: %s", what, type(error).__name__, error)


def _lettered(predicted: Mapping[str, Any], letters: Mapping[str, str]) -> dict[str, Any]:
    return {letters[name]: values for name, values in predicted.items()}


def _block(trial: Trial) -> tuple[int, tuple[int, int] | None]:
    return trial.seed, trial.fold


def _runs(folder: Path, summary: Summary) -> Iterator[tuple[str, Trial, Path]]:
    """The run of each variant's first trial that has a model."""
    trials = list(summary.experiment.trials())
    for line in summary.lines:
        own = [trial for trial in trials if trial.variant == line.variant]
        for trial, outcome in zip(own, line.outcomes, strict=True):
            if not outcome.diverged:
                yield line.variant.name, trial, folder / trial.folder
                break


def _drawings(folder: Path, summary: Summary, letters: Mapping[str, str]) -> Iterator[Drawing]:
    for name, _, run in _runs(folder, summary):
        try:
            drawn = inline_svg(read_graph(run / MODEL), name)
        except Exception as error:
            _left_out(f"drawing of “{name}”", error)
        else:
            yield Drawing(letters[name], name, drawn)


def _versions(summary: Summary, fingerprint: str) -> dict[str, str]:
    path = summary.experiment.base.data.path
    made = versions_of(one for own in summary.outcomes.values() for one in own)
    told = {name: " and ".join(found) for name, found in made.items()}
    return {"data": path, "data fingerprint": fingerprint, **(told or installed())}


def _trial(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.recipe["training"]["seed"],
        "fold": outcome.recipe["data"]["fold"],
        "diverged": outcome.diverged,
        "stopped": outcome.stopped,
        "best_epoch": outcome.best_epoch,
        "metrics": {split: dict(values) for split, values in outcome.metrics.items()},
        "probes": asdict(outcome.probes),
        "peak_memory": outcome.cost.peak_memory,
        "findings": [list(finding) for finding in outcome.norms.findings],
        "steps": outcome.cost.steps,
        "seconds": outcome.cost.seconds,
    }
