"""No wrong output is ever left under its final name: `python benchmarks/reliability.py`.

    python benchmarks/reliability.py                   all of it (about 15 minutes on 2 cores)
    python benchmarks/reliability.py --only kills      one part: inputs, disk or kills
    python benchmarks/reliability.py --inputs 2000     more broken inputs

Three parts, all with fixed seeds (tests/reliability has them):

- `inputs`: GeoTIFF, PNG, NPY and Zarr files are broken at random (truncated, bits flipped, blocks
  zeroed or moved, headers changed, files swapped) and predicted, whole or by tiles. Each must end
  in an error that names the file, without an output, or in what rasterio, NumPy, zarr or a strict
  PNG reader and `model.predict_on_batch` make of the very same file.
- `disk`: outputs are written with too little room, by a limit of the size of files and, where a
  small disk can be mounted, on one that is full; then with enough, which must go on to the same
  bytes.
- `kills`: processes are killed (SIGKILL) at random moments of their work and called again with
  `--resume`; at no moment may anything but the whole output stand under its name, and it must have
  the bytes of an undisturbed process.

What came of it is kept in reliability.json, and shown in docs/results.md; faults make it fail.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from normwise.files import write_text  # noqa: E402 - after the path above

MEASURED = ROOT / "benchmarks" / "reliability.json"
PAGE = ROOT / "docs" / "results.md"
INPUTS, KILLS, SEED = 200, 10, 0
SUFFIXES = (".tif", ".npy", ".zarr")
SIZE, TILE = (700, 640), 32
DISK = "12m"
MEMORY = 12 * 2**30
"""Bytes of address space of the process that reads broken inputs: none may take the machine's."""

Row = dict[str, Any]


def inputs(count: int) -> Row:
    """What came of broken inputs; the process is started anew if one of them kills it."""
    rows: list[Row] = []
    first = 0
    while first < count:
        begun: Row = {"number": first}
        for line in _lines("tests.reliability.broken_inputs", first, count):
            if "came" in line:
                rows.append(line)
                print(f"{line['number']}: {line['kind']}, {line['what']}: {line['came']}"
                      f" {line.get('fault', '')}", file=sys.stderr, flush=True)  # fmt: skip
            begun = line
        if "came" not in begun:
            rows.append({**begun, "came": "fault", "fault": "the process died"})
        first = int(begun["number"]) + 1
    return {
        "count": len(rows),
        "came": dict(Counter(row["came"] for row in rows)),
        "by_kind": _table(rows, "kind"),
        "by_way": _table(rows, "what"),
        "faults": [row for row in rows if row["came"] == "fault"],
    }


def disk(_: int) -> Row:
    """What came of outputs that there was too little room for."""
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        rows += _lines("tests.reliability.full_disk", "limit", folder)
    mounted, reason = _on_a_small_disk()
    rows += mounted
    return {
        "count": len(rows),
        "came": {way: dict(Counter(row["came"] for row in rows if row["way"] == way))
                 for way in sorted({row["way"] for row in rows})},
        "small_disk": reason or "tmpfs",
        "faults": [row for row in rows if row["came"] == "fault"],
    }  # fmt: skip


def _on_a_small_disk() -> tuple[list[Row], str]:
    """The same on a tmpfs, in a mount namespace of its own; why not, where that isn't allowed."""
    with TemporaryDirectory() as folder:
        script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
        user = [] if os.geteuid() == 0 else ["-r"]
        shell = ["unshare", *user, "-m", "sh", "-c", script, "sh", DISK, folder]
        try:
            subprocess.run([*shell, "true"], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            told = getattr(error, "stderr", "") or str(error)
            return [], f"not mounted: {told.strip()}"
        return list(_lines("tests.reliability.full_disk", "disk", folder, before=shell)), ""


def kills(_: int) -> Row:
    """What came of processes that were killed, for each format of outputs."""
    import numpy as np

    from tests.reliability import healthy
    from tests.reliability.kills import Job, ten_kills

    told: Row = {"per_format": KILLS, "formats": {}, "faults": []}
    for suffix in SUFFIXES:
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            healthy.network(SEED).save(folder / "model.keras")
            pixels = healthy.pixels_of(np.random.default_rng(SEED), "float32", SIZE)
            np.save(folder / "scene.npy", pixels)
            words = ["predict", "model.keras", "scene.npy", "-o", f"out{suffix}"]
            module = [sys.executable, "-m", "tests.reliability.worker"]
            job = Job([*module, *words, "--tile", str(TILE), "--resume"], folder / f"out{suffix}")
            came = ten_kills(job, np.random.default_rng([SEED, *suffix.encode()]), KILLS)
        print(f"{suffix}: {came}", file=sys.stderr, flush=True)
        told["faults"] += [{"format": suffix, "fault": fault} for fault in came.pop("faults")]
        told["formats"][suffix] = came
    return told


PARTS: Mapping[str, Callable[[int], Row]] = {"inputs": inputs, "disk": disk, "kills": kills}


def _lines(module: str, *arguments: object, before: Sequence[str] = ()) -> Iterator[Row]:
    """The lines of JSON that a module prints, in a process of its own."""
    command = [*before, sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        preexec_fn=_bounded,  # noqa: PLW1509 - no other thread runs here
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)
    if process.wait():
        print(f"{module} ended with code {process.returncode}", file=sys.stderr, flush=True)


def _bounded() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _table(rows: Sequence[Row], key: str) -> dict[str, dict[str, int]]:
    """How often each outcome came, by what stands under a key."""
    values = sorted({row[key] for row in rows if key in row})
    return {
        value: dict(Counter(row["came"] for row in rows if row.get(key) == value))
        for value in values
    }


def load() -> Row:
    """What came of it last time."""
    return dict(json.loads(MEASURED.read_text())) if MEASURED.is_file() else {}


def summary(found: Row) -> list[str]:
    """What came of it, for docs/results.md."""
    lines = ["| what | trials | refused | as it should be | wrong |", "|---|---|---|---|---|"]
    if "inputs" in found:
        for name, came in found["inputs"]["by_kind"].items():
            lines.append(_line(f"broken `{name}`", came))
    for way, came in found.get("disk", {}).get("came", {}).items():
        lines.append(_line(DISKS[way], came))
    for suffix, came in found.get("kills", {}).get("formats", {}).items():
        wrong = sum(fault["format"] == suffix for fault in found["kills"]["faults"])
        lines.append(
            f"| killed while `{suffix}` was made | {came['kills']} kills | - | "
            f"{came['outputs']} whole outputs | {wrong} |"
        )
    return [*lines, *_notes(found)]


def _line(what: str, came: Mapping[str, int]) -> str:
    count, refused, fault = sum(came.values()), came.get("refused", 0), came.get("fault", 0)
    return f"| {what} | {count} | {refused} | {count - refused - fault} | {fault} |"


def _notes(found: Row) -> list[str]:
    notes: list[str] = []
    late = found.get("inputs", {}).get("came", {}).get("too long", 0)
    if late:
        notes += ["", f"{late} of the inputs claimed to be huge images, and were stopped after two "
                  "minutes without an output; they count as they should be."]  # fmt: skip
    small = found.get("disk", {}).get("small_disk", "tmpfs")
    if small != "tmpfs":
        notes += ["", f"No small disk could be mounted ({small})."]
    if "kills" in found:
        kept = [k for came in found["kills"]["formats"].values() for k in came["kept"]]
        notes += ["", f"Kills left between {min(kept)} and {max(kept)} finished tiles to go on "
                  "with."]  # fmt: skip
    else:
        notes += ["", "Kills have not been tried in full yet (`--only kills`)."]
    return notes


DISKS = {
    "limit": "no room: a limit of the size of files (RLIMIT_FSIZE)",
    "disk": "no room: a small disk (tmpfs) that is full",
}


def main() -> int:
    """Runs what is asked for; returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"default {INPUTS}")
    options = parser.parse_args()
    for name in options.only or PARTS:
        row = PARTS[name](options.inputs)
        machine = {"system": platform.system(), "processors": os.cpu_count()}
        write_text(MEASURED, json.dumps({**load(), name: row, "machine": machine}, indent=1) + "\n")
    found = load()
    print("\n".join(summary(found)))
    faults = [fault for name in PARTS for fault in found.get(name, {}).get("faults", [])]
    print("\n".join(map(json.dumps, faults)))
    return int(bool(faults))


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
