"""Seconds of whole processes: `normwise --help`, `show` and `check`, beside `import keras`.

python benchmarks/startup.py [MODEL.keras...]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROUNDS = 7
GOALS = {"ResNet50": 0.5, "EfficientNetV2L": 1.5}
"""Networks of keras.applications, and in how many seconds they are to be checked; the second one
takes the longest of all."""

NORMWISE = (sys.executable, "-m", "normwise")


def commands(model: Path) -> dict[str, list[str]]:
    """What is timed with a small model."""
    return {
        "normwise --help": [*NORMWISE, "--help"],
        "normwise show model.keras": [*NORMWISE, "show", str(model)],
        "normwise check model.keras": checking(model),
        "python -c 'import normwise'": [sys.executable, "-c", "import normwise"],
        "python -c 'import keras'": [sys.executable, "-c", "import keras"],
    }


def checking(model: Path) -> list[str]:
    """The check of a model without errors."""
    return [*NORMWISE, "check", str(model)]


def measure(timed: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Median seconds of each command, which take turns.

    Modules are compiled in the first round, which isn't counted, as they are where a package was
    installed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(ROUNDS + 1):
            for name, command in timed.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=environment)
                if turn:
                    seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def save_applications(folder: Path) -> dict[str, Path]:
    """The networks of `GOALS` as files, with fresh weights."""
    import keras

    paths = {name: folder / f"{name}.keras" for name in GOALS}
    for name, path in paths.items():
        getattr(keras.applications, name)(weights=None).save(path)
    return paths


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        named = {Path(path).stem: Path(path) for path in sys.argv[1:]}
        models = named or save_applications(Path(temporary))
        print(json.dumps(measure({name: checking(path) for name, path in models.items()})))
