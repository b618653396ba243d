"""All benchmarks in turn: prints the page and writes it to `docs/speed.md`."""

import importlib.util
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import startup
import synthetic

HERE = Path(__file__).parent
ROUNDS = 3
LARGE_MB, SMALL_MB = 8000, 100


def number(script: str, *arguments: str) -> float:
    """What a script prints last, in a process of its own."""
    command = [sys.executable, str(HERE / script), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    value = float(done.stdout.split()[-1])
    print(f"{script} {' '.join(arguments)}: {value:.3f}", file=sys.stderr)
    return value


def in_turn(script: str, ways: list[tuple[str, ...]]) -> list[float]:
    """Medians of each way, A B A B."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for values, arguments in zip(found, ways, strict=True):
            values.append(number(script, *arguments))
    return [statistics.median(values) for values in found]


def steps() -> list[str]:
    """The cost of a training step."""
    ways = ["normwise", "plain"] + (["torch"] if importlib.util.find_spec("torch") else [])
    lines = ["## A training step", "", "Batch 8, float32; the question's network at 512x512x9, a "
             "32-filter U-Net at 256x256x9.", "",
             "| network | way | seconds | beside plain Keras | to reach |",
             "|---|---|---|---|---|"]  # fmt: skip
    for network in ("question", "unet"):
        seconds = dict(zip(ways, in_turn("step.py", [(w, network) for w in ways]), strict=True))
        for way, value in seconds.items():
            goal = "1.02 at most" if way == "normwise" else ""
            name = {"plain": "plain Keras script", "torch": "PyTorch channels_last"}.get(way, way)
            lines.append(
                f"| {network} | {name} | {value:.3f} | {value / seconds['plain']:.3f} | {goal} |"
            )
    if "torch" not in ways:
        lines += ["", "PyTorch isn't installed in this environment; it was not measured."]
    return lines


def loading(folder: Path) -> list[str]:
    """The cost of reading, cutting and varying patches."""
    small = synthetic.make(folder / "small", SMALL_MB)
    loaded, ready = in_turn("loading.py", [(str(small), "loaded"), (str(small), "ready")])
    return ["## An epoch with loading", "",
            "8 steps of the 32-filter U-Net, 8 patches of 256x256x9, flips, turns and intensity.",
            "", "| epoch | seconds | ratio | to reach |", "|---|---|---|---|",
            f"| patches cut while training | {loaded:.2f} | {loaded / ready:.3f} | 1.1 at most |",
            f"| the same batches, in memory before | {ready:.2f} | 1 | |"]  # fmt: skip


def memory(folder: Path) -> list[str]:
    """Peak memory on much and on little data."""
    small = number("memory.py", str(folder / "small"))
    large = number("memory.py", str(synthetic.make(folder / "large", LARGE_MB)))
    return ["## Memory", "",
            "Checks, statistics and two epochs of a small U-Net; the whole process's peak.", "",
            "| data | peak MB | more than on little data | to reach |", "|---|---|---|---|",
            f"| {SMALL_MB} MB | {small:.0f} | | |",
            f"| {LARGE_MB} MB | {large:.0f} | {large - small:.0f} | 500 at most |"]  # fmt: skip


def start_up(folder: Path) -> list[str]:
    """Whole processes."""
    from normwise.keras_format.saving import save_model
    from normwise.workflows.plans import build

    save_model(build("question", (512, 512, 9), 1), folder / "model.keras")
    seconds = startup.measure(folder / "model.keras")
    return ["## Start-up", "", "Whole processes.", "", "| command | seconds |", "|---|---|",
            *(f"| `{name}` | {value:.2f} |" for name, value in seconds.items())]  # fmt: skip


def main() -> None:
    """Runs everything and writes the page."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = [start_up(folder), steps(), loading(folder), memory(folder)]
    head = [
        "# Speed and memory",
        "",
        f"Written by `make bench` on {os.cpu_count()} {platform.machine()} processors, Python "
        f"{platform.python_version()}, keras {version('keras')}, TensorFlow "
        f"{version('tensorflow-cpu')}. Medians of {ROUNDS} alternating runs; the ratios count, "
        "not the seconds.",
    ]
    page = "\n\n".join("\n".join(part) for part in [head, *parts]) + "\n"
    print(page)
    (HERE.parent / "docs" / "speed.md").write_text(page)


if __name__ == "__main__":
    main()
