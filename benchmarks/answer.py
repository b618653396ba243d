"""The question's claims, measured on real data: trainings under equal conditions, and a page.

    python benchmarks/answer.py                        runs what is missing, writes the page
    python benchmarks/answer.py --only isl_fluor       of one set; or a part: isl_fluor:question
    python benchmarks/answer.py --render               writes docs/the-question.md, runs nothing

Which trainings those are stands in answer_design.py. They are made as by `normwise compare`, in
processes of their own, all sets and parts with the first seed, then with the second, so that
whatever is done by any time can be read. Each computes with one thread on one processor, since
much of a short training is not the work of many (its start, building, pictures, probes); `--jobs`
of them run at once. Each finished training is kept in answer.json at once; the same command goes on
after an interruption, and tries again what failed. No training is begun once `--time` is used up.
A training's number comes from its steps alone, whatever else the machine does; its times don't, and
`--busy` leaves them out. All trainings of a page are made on one backend.
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from answer_design import PARTS, SETS, DataSet, Part
from answer_page import page
from answer_results import Results

from normwise.backend import chosen_backend
from normwise.comparison.experiment import Trial
from normwise.comparison.outcome import Outcome
from normwise.comparison.processes import Asked as Order
from normwise.comparison.processes import Ended, each_in_process
from normwise.distributed.alike import usable_processors
from normwise.environment import installed
from normwise.errors import NormwiseError, RunError
from normwise.files import write_text
from normwise.memory import available_memory
from normwise.workflows.amounts import seconds_of

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "answer.json"
PAGE = ROOT / "docs" / "the-question.md"
DATA = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "answer"
SEEDS, TIME = 4, "3h"
MEMORY = 2 * 2**30
"""Bytes, more than a training takes."""

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

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.data_set.name}, {self.part.name}: {self.trial.name}"

    def folder(self, runs: Path) -> Path:
        """Its run folder, one of its own for each design."""
        row = self.row
        return runs / row["set"] / row["key"] / f"seed{row['seed']}"

    def order(self, options: argparse.Namespace) -> Order:
        """It as `normwise compare` makes it."""
        experiment = self.part.experiment(self.data_set, options.data, options.seeds)
        return self.trial, experiment.recipe(self.trial), self.folder(options.runs)


def main() -> None:
    """Runs what is missing and writes the page, whatever ends the run."""
    options = arguments()
    parts = tuple(replace(p, steps=options.steps or p.steps) for p in PARTS)
    wanted = [] if options.render else wanted_of(parts, options)
    rows, failed = load(options.results), 0
    if not options.render:
        refuse_other_backend(Results.of(rows, parts, options.seeds).rows, options.results)
    try:
        if not options.render:
            failed = run(wanted, rows, options)
    finally:
        write_text(options.page, page(rows, parts, options.seeds))
        print(f"written: {options.page}")
    if failed:
        sys.exit(f"failed: {failed} of the trainings; the same command tries them again")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="write the page, run nothing")
    parser.add_argument("--only", action="append", help="SET or SET:PART to run; default all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default {SEEDS}")
    parser.add_argument("--time", default=TIME, help=f"begin nothing after it; default {TIME}")
    parser.add_argument(
        "--jobs", type=int, help="trainings at once; default one a processor, if memory is enough"
    )
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
    if options.jobs is None:
        options.jobs = jobs()
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: expected 1 or more")
    return options


def jobs() -> int:
    """As many trainings at once as there are processors, and memory for."""
    return max(1, min(usable_processors(), available_memory() // MEMORY))


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


def wanted_of(parts: Sequence[Part], options: argparse.Namespace) -> list[Asked]:
    """Every training that is asked for, on the sets that are there."""
    found = [asked for asked in trials(parts, options.seeds) if chosen(asked, options.only)]
    names = dict.fromkeys(asked.data_set.name for asked in found)
    missing = [name for name in names if not (options.data / name).is_dir()]
    for name in missing:
        print(f"left out: {name}, as there is no folder {options.data / name}", flush=True)
    if len(missing) == len(names):
        sys.exit(f"{options.data}: no data set to run on; name their folder with --data.")
    return [asked for asked in found if asked.data_set.name not in missing]


def load(path: Path) -> list[Row]:
    """What was measured so far."""
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def refuse_other_backend(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Ends the run where the page would show trainings of another backend than is active.

    Args:
        rows: What the page shows of what was measured so far.
        path: Where that is kept.
    """
    active = chosen_backend()
    others = sorted({row["versions"].get("backend", active) for row in rows} - {active})
    if others:
        sys.exit(
            f"{path}: holds trainings on {' and '.join(others)}, and the backend is {active}: they "
            f"would be compared with each other. Set KERAS_BACKEND={others[0]}, or keep those of "
            f"{active} elsewhere (--results and --page)."
        )


def run(wanted: Sequence[Asked], rows: list[Row], options: argparse.Namespace) -> int:
    """Makes what is missing, and keeps each at once; one that fails costs no other.

    Args:
        wanted: What is asked for.
        rows: What was measured so far; what is measured now is appended.
        options: The command line.

    Returns:
        How many failed.
    """
    known = {named(row) for row in rows}
    missing = {a.folder(options.runs): a for a in wanted if named(a.row) not in known}
    print(f"{len(wanted)} trainings, {len(wanted) - len(missing)} of them done already", flush=True)
    failed = 0
    orders = in_time(missing, options)
    with closing(each_in_process(orders, options.jobs, one_processor=True)) as found:
        for number, ended in enumerate(found, 1):
            asked = missing[ended.folder]
            try:
                row = measured(asked, ended, options)
            except NormwiseError as error:
                failed += 1
                gave = f"failed: {error}"
            else:
                rows.append(row)
                keep(rows, options.results)
                # All of them would take gigabytes.
                shutil.rmtree(ended.folder)
                gave = row["diverged"] or f"{row['metric']} {row['value']}"
            took = f"{ended.seconds:.0f} s"
            print(f"{number} of {len(missing)}: {asked.name}: {gave}, {took}", flush=True)
    return failed


def in_time(missing: Mapping[Path, Asked], options: argparse.Namespace) -> Iterator[Order]:
    """What is begun, in turn, until `--time` is used up."""
    end = time.monotonic() + seconds_of(options.time)
    for asked in missing.values():
        if time.monotonic() > end:
            print(f"{options.time} are used up; the same command goes on with the rest")
            return
        yield asked.order(options)


def named(row: Row) -> tuple[Any, ...]:
    """What two results of the same training have in common."""
    return row["set"], row["part"], row["variant"], row["seed"], row["key"]


def keep(rows: Sequence[Row], path: Path) -> None:
    """Writes all results, a line each."""
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in rows)
    write_text(path, f"[\n{lines}\n]\n")


def measured(asked: Asked, ended: Ended, options: argparse.Namespace) -> Row:
    """What a training gave.

    Raises:
        RunError: If it failed, or its folder holds something else than its outcome.
    """
    outcome = None if ended.error else Outcome.read(ended.folder)
    if outcome is None:
        raise RunError(ended.error or f"{ended.folder} holds no outcome.")
    found = asked.row | told(outcome, options.busy) | {"wall": round(ended.seconds, 1)}
    return found | machine(options.jobs)


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


def machine(at_once: int) -> Row:
    """Where it was measured and with what; `at_once` trainings ran, each with so many threads."""
    names = ("normwise", "python", "keras", "backend", "tensorflow", "tensorflow-cpu")
    versions = {name: value for name, value in installed().items() if name in names}
    where = {"processors": os.cpu_count(), "machine": platform.machine()}
    return {"versions": versions, "commit": commit(), **where, "at_once": at_once, "threads": 1}


def commit() -> str:
    """The commit of this checkout; empty if it is none."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return "" if asked.returncode else asked.stdout.strip()


if __name__ == "__main__":
    main()
