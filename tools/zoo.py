"""Runs the tests of `make test-zoo` in parts, and remembers which of them have passed.

python tools/zoo.py [--jobs N] [--seconds S] [NAME ...]

A part is a network of keras.applications with all its tests, twenty tests of hand-made models, or
those of random ones. One that has passed is not run again until something in src or tests changes,
a setting, the backend or a version; so a run may be interrupted at any time and goes on where it
was. With names, only these parts are run.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (
    "tests/rules/test_applications.py",
    "tests/surgery/test_applications.py",
    "tests/surgery/test_contract.py",
    "tests/surgery/test_place.py",
    "tests/surgery/test_random_graphs.py",
)
MEMORY = ROOT / ".pytest_cache" / "zoo.json"
TOGETHER = 20
"""Tests of hand-made models in one part."""

ALSO = ("constraints.txt", "pyproject.toml", "tools/zoo.py")
"""Files beside src and tests that the tests depend on."""
COMPUTING = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}
"""Packages of each backend; TensorFlow comes as either of two."""

ENVIRONMENT = {**os.environ, "NORMWISE_ZOO": "all", "NORMWISE_EXAMPLES": "25"}
"""All networks, all passes on each hand-made model, and 300 random networks instead of 12."""


def collected() -> list[str]:
    """The ids of all tests."""
    words = [sys.executable, "-m", "pytest", "--collect-only", *FILES]
    found = subprocess.run(
        words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return [line for line in found.stdout.splitlines() if "::" in line]


def parts_of(ids: list[str]) -> dict[str, list[str]]:
    """Tests by the name of their part."""
    parts: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for test in ids:
        file, _, name = test.partition("::")
        network = re.search(r"\[(\w+)", name)
        if "applications" in file and network:
            part = network[1]
        else:
            group = "/".join(Path(file).with_suffix("").parts[1:])
            counts[group] = counts.get(group, -1) + 1
            part = f"{group}-{counts[group] // TOGETHER + 1}"
        parts.setdefault(part, []).append(test)
    return parts


def versions() -> dict[str, str]:
    """The backend that the tests run on, and the versions of what computes there."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    found = {"backend": backend, "python": sys.version}
    for package in ("keras", "numpy", *COMPUTING.get(backend, (backend,))):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def state() -> str:
    """What changes when anything does that the tests depend on."""
    digest = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    files = [path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    for path in sorted([*files, *(ROOT / name for name in ALSO)]):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def remembered(now: str) -> dict[str, float]:
    """The parts that passed in this state, and the seconds that they took."""
    try:
        told = json.loads(MEMORY.read_text())
    except (OSError, ValueError):
        return {}
    return told["passed"] if told["state"] == now else {}


def run(tests: list[str], seconds: float) -> tuple[str, str]:
    """How a part went (`passed`, `failed` or `timed out`), and what pytest said."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            words, check=False, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
            timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return "timed out", (late.stdout or b"").decode()
    return ("passed" if done.returncode == 0 else "failed"), done.stdout + done.stderr


def main() -> int:
    """Runs what hasn't passed yet; returns how many parts fail."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="only these parts, such as ResNet50")
    parser.add_argument("--jobs", type=int, default=1, help="parts at the same time")
    parser.add_argument("--seconds", type=float, default=3600, help="limit of a part")
    given = parser.parse_args()
    parts, now = parts_of(collected()), state()
    unknown = [name for name in given.names if name not in parts]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    passed, failed = remembered(now), 0
    left = [name for name in given.names or parts if name not in passed]
    print(
        f"{len(parts)} parts, {len(passed)} of them passed before, {len(left)} to run", flush=True
    )

    def tried(name: str) -> tuple[str, float, str, str]:
        start = time.monotonic()
        how, said = run(parts[name], given.seconds)
        return name, time.monotonic() - start, how, said

    with ThreadPoolExecutor(given.jobs) as pool:
        for name, took, how, said in pool.map(tried, left):
            print(f"{name}: {how} in {took:.0f} s", flush=True)
            if how == "passed":
                passed[name] = took
                MEMORY.parent.mkdir(exist_ok=True)
                MEMORY.write_text(json.dumps({"state": now, "passed": passed}))
            else:
                failed += 1
                print(said, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
