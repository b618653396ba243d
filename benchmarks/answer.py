"""The question's claims, measured on real data: trainings under equal conditions, and a page.

    python benchmarks/answer.py                        runs what is missing, writes the page
    python benchmarks/answer.py --only isl_fluor       of one set; or a part: isl_fluor:question
    python benchmarks/answer.py --render               writes docs/the-question.md, runs nothing

Which trainings those are stands in answer_design.py. They are made as by `normwise compare`, one
after another in processes of their own, all sets and parts with the first seed, then with the
second, so that whatever is done by any time can be read. Each finished training is kept in
answer.json at once; the same command goes on after an interruption. No training is begun once
`--time` is used up. A training's number comes from its steps alone, whatever else the machine
does; its times don't, and `--busy` leaves them out.
"""

import argparse
import json
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from answer_design import PARTS, SETS, DataSet, Part
from answer_page import page

from normwise.comparison.experiment import Trial
from normwise.comparison.outcome import Outcome
from normwise.comparison.processes import in_processes
from normwise.environment import installed
from normwise.files import write_text
from normwise.workflows.configure import seconds_of

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "answer.json"
PAGE = ROOT / "docs" / "the-question.md"
DATA = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "answer"
SEEDS, TIME = 4, "3h"

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A training that is wanted."""

    data_set: DataSet
    part: Part
    trial: Trial

    @property
    def row(self) -> Row:
        """What names it in the results."""
        return {
            "set": self.data_set.name,
            "part": self.part.name,
            "variant": self.trial.variant.name,
            "seed": self.trial.seed,
            "key": self.part.key(self.data_set, self.trial.variant),
        }


def main() -> None:
    """Runs what is missing and writes the page."""
    options = arguments()
    parts = tuple(replace(p, steps=options.steps or p.steps) for p in PARTS)
    rows = load(options.results)
    if not options.render:
        wanted = [
            asked
            for asked in trials(parts, options.seeds)
            if chosen(asked, options.only) and (options.data / asked.data_set.name).is_dir()
        ]
        run(wanted, rows, options)
    write_text(options.page, page(rows, parts, options.seeds))
    print(f"written: {options.page}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="write the page, run nothing")
    parser.add_argument("--only", action="append", help="SET or SET:PART to run; default all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default {SEEDS}")
    parser.add_argument("--time", default=TIME, help=f"begin nothing after it; default {TIME}")
    parser.add_argument("--busy", action="store_true", help="other work runs beside: keep no times")
    parser.add_argument("--steps", type=int, help="of each epoch, for trying this script out")
    parser.add_argument("--results", type=Path, default=MEASURED, help="where results are kept")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument("--runs", type=Path, default=RUNS, help="run folders, removed when done")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("NORMWISE_DATA", DATA)))
    options = parser.parse_args()
    known = {s.name for s in SETS} | {f"{s.name}:{p.name}" for s in SETS for p in PARTS}
    if unknown := sorted({*(options.only or ())} - known):
        parser.error(f"--only {unknown[0]}: expected one of {', '.join(sorted(known))}")
    return options


def trials(parts: Sequence[Part], seeds: int) -> Iterator[Asked]:
    """Every training, seed by seed."""
    for seed in range(seeds):
        for data_set in SETS:
            for part in parts:
                for variant in part.variants:
                    yield Asked(data_set, part, Trial(variant, seed))


def chosen(asked: Asked, only: Sequence[str] | None) -> bool:
    """Whether `--only` names it."""
    name = asked.data_set.name
    return only is None or name in only or f"{name}:{asked.part.name}" in only


def load(path: Path) -> list[Row]:
    """What was measured so far."""
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def run(wanted: Sequence[Asked], rows: list[Row], options: argparse.Namespace) -> None:
    """Makes what is missing, and keeps each at once."""
    if not wanted:
        sys.exit(f"{options.data}: no data set to run on; name their folder with --data.")
    known = {named(row) for row in rows}
    missing = [asked for asked in wanted if named(asked.row) not in known]
    print(f"{len(wanted)} trainings, {len(wanted) - len(missing)} of them done already", flush=True)
    end = time.monotonic() + seconds_of(options.time)
    for number, asked in enumerate(missing, 1):
        if time.monotonic() > end:
            print(f"{options.time} are used up; the same command goes on with the rest")
            return
        row = measured(asked, options)
        rows.append(row)
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in rows)
        write_text(options.results, f"[\n{lines}\n]\n")
        gave = row["diverged"] or f"{row['metric']} {row['value']}"
        name = f"{row['set']}, {asked.part.name}: {asked.trial.name}"
        print(f"{number} of {len(missing)}: {name}: {gave}, {row['wall']:.0f} s", flush=True)


def named(row: Row) -> tuple[Any, ...]:
    """What two results of the same training have in common."""
    return row["set"], row["part"], row["variant"], row["seed"], row["key"]


def measured(asked: Asked, options: argparse.Namespace) -> Row:
    """Makes one training, or goes on with it; its run folder is removed, for all take gigabytes."""
    experiment = asked.part.experiment(asked.data_set, options.data, options.seeds)
    folder = (
        options.runs / asked.data_set.name / asked.part.key(asked.data_set, asked.trial.variant)
    )
    folder = folder / f"seed{asked.trial.seed}"
    started = time.perf_counter()
    in_processes([(asked.trial, experiment.recipe(asked.trial), folder)], 1)
    wall = time.perf_counter() - started
    outcome = Outcome.read(folder)
    assert outcome is not None
    shutil.rmtree(folder)
    return asked.row | told(outcome, options.busy) | {"wall": round(wall, 1), **machine()}


def told(outcome: Outcome, busy: bool) -> Row:
    """What is kept of an outcome; null where it gave no number, or none that means anything."""
    cost = outcome.cost
    return {
        "metric": outcome.metric,
        "split": outcome.split,
        "value": outcome.value if math.isfinite(outcome.value) else None,
        "diverged": outcome.diverged,
        "best_epoch": outcome.best_epoch,
        "metrics": {k: rounded(v) for k, v in outcome.metrics.get(outcome.split, {}).items()},
        "images": [outcome.images.train, outcome.images.evaluated, outcome.images.key],
        "steps": cost.steps,
        "seconds": None if busy else rounded(cost.seconds),
        "seconds_per_step": None if busy else rounded(cost.seconds_per_step),
        "seconds_per_megapixel": None if busy else rounded(cost.seconds_per_megapixel),
        "parameters": cost.parameters,
        "statistics": cost.statistics,
        "peak_memory": cost.peak_memory,
        # A training that diverged left no network to count in.
        "norms": None if outcome.diverged else outcome.norms.layers,
        "probes": {k: rounded(v) for k, v in asdict(outcome.probes).items() if k != "samples"},
    }


def rounded(value: float) -> float | None:
    """To 7 digits, more than a training is reproducible to on another machine."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


def machine() -> Row:
    """Where it was measured, and with what."""
    names = ("normwise", "python", "keras", "backend", "tensorflow", "tensorflow-cpu")
    versions = {name: value for name, value in installed().items() if name in names}
    return {"versions": versions, "processors": os.cpu_count(), "machine": platform.machine()}


if __name__ == "__main__":
    main()
