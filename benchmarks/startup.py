"""Seconds of whole processes: `normwise --help`, `show` and `check`, beside `import keras`."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7


def commands(model: Path) -> dict[str, list[str]]:
    """What is timed."""
    normwise = [sys.executable, "-m", "normwise"]
    return {
        "normwise --help": [*normwise, "--help"],
        "normwise show model.keras": [*normwise, "show", str(model)],
        "normwise check model.keras": [*normwise, "check", str(model), "--fail-on", "never"],
        "python -c 'import normwise'": [sys.executable, "-c", "import normwise"],
        "python -c 'import keras'": [sys.executable, "-c", "import keras"],
    }


def measure(model: Path) -> dict[str, float]:
    """Median seconds of each, the commands taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in commands(model)}
    for turn in range(ROUNDS + 1):
        for name, command in commands(model).items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env={**os.environ})
            if turn:  # the first round warms the disk cache
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}
