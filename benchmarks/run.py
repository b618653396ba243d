"""All benchmarks in turn: prints the page and writes it to `docs/speed.md`.

Those of scenes are written to `docs/results.md`.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import startup
import synthetic

HERE = Path(__file__).parent
LARGE_MB, SMALL_MB = 8000, 100
WAYS = {
    "normwise": "normwise",
    "plain": "plain Keras script",
    "torch": "PyTorch channels_last",
}


def told(script: str, *arguments: str, **environment: str) -> Any:
    """What a script prints last, as JSON, in a process of its own."""
    command = [sys.executable, str(HERE / script), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    last = done.stdout.strip().splitlines()[-1]
    print(f"{script} {' '.join(arguments)}: {last}", file=sys.stderr)
    return json.loads(last)


def spread(row: dict[str, float]) -> str:
    """A ratio with its interval."""
    return f"{row['ratio']:.3f} ({row['lowest']:.2f} to {row['highest']:.2f})"


def steps() -> list[str]:
    """The cost of a training step."""
    lines = ["## A training step", "",
             "The question's network at 512x512x9, batch 8; a 32-filter U-Net at 256x256x9, batch "
             "4; float32. One process, the ways take turns of four steps; it keeps freed memory, "
             "as the `normwise` command does.", "",
             "| network | way | seconds | beside plain Keras: median turn (95 %) | to reach |",
             "|---|---|---|---|---|"]  # fmt: skip
    for network in ("question", "unet"):
        for way, row in told("step.py", network).items():
            goal = "1.02 at most" if way == "normwise" else ""
            ratio = "1" if way == "plain" else spread(row)
            lines.append(f"| {network} | {WAYS[way]} | {row['seconds']:.3f} | {ratio} | {goal} |")
    if not find_spec("torch"):
        lines += ["", "PyTorch isn't installed in this environment; it was not measured."]
    return lines


def folding() -> list[str]:
    """Predictions before and after folding."""
    lines = ["## Folding", "",
             "One prediction of one image by each backend and engine that is installed; folded and "
             "unfolded take turns in one process.", "",
             "| engine: network | norms folded | unfolded s | folded s | "
             "folded beside unfolded: median turn (95 %) |", "|---|---|---|---|---|"]  # fmt: skip
    for backend in (name for name in ("tensorflow", "torch", "jax") if find_spec(name)):
        for name, row in told("fold.py", KERAS_BACKEND=backend).items():
            lines.append(
                f"| {name} | {row['folded_norms']} of {row['norms']} | {row['unfolded']:.4f} | "
                f"{row['folded']:.4f} | {spread(row)} |"
            )
    return lines


def loading(folder: Path) -> list[str]:
    """The cost of reading, cutting and varying patches."""
    row = told("loading.py", str(synthetic.make(folder / "small", SMALL_MB)))
    return ["## An epoch with loading", "",
            "6 steps of the 32-filter U-Net, 4 patches of 256x256x9, flips, turns and intensity; "
            "epochs of one run in turn.",
            "", "| median epoch | seconds | ratio: median pair (95 %) | to reach |",
            "|---|---|---|---|",
            f"| patches cut while training | {row['cut']:.2f} | {spread(row)} | 1.1 at most |",
            f"| the same batches, in memory before | {row['ready']:.2f} | 1 | |"]  # fmt: skip


def memory(folder: Path) -> list[str]:
    """Peak memory on much and on little data."""
    small = told("memory.py", str(folder / "small"))
    large = told("memory.py", str(synthetic.make(folder / "large", LARGE_MB)))
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
    seconds = startup.measure(startup.commands(folder / "model.keras"))
    checks = told("startup.py")
    return ["## Start-up", "", "Whole processes.", "", "| command | seconds | to reach |",
            "|---|---|---|",
            *(f"| `{name}` | {value:.2f} | |" for name, value in seconds.items()),
            *(f"| `normwise check {name}.keras` | {value:.2f} | {startup.GOALS[name]} at most |"
              for name, value in checks.items())]  # fmt: skip


def main() -> None:
    """Runs everything and writes the page."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = [start_up(folder), steps(), folding(), loading(folder), memory(folder)]
    head = [
        "# Speed and memory",
        "",
        f"Written by `make bench` on {os.cpu_count()} {platform.machine()} processors, Python "
        f"{platform.python_version()}, keras {version('keras')}, TensorFlow "
        f"{version('tensorflow-cpu')}. What is compared takes turns; the ratios count, not the "
        "seconds.",
    ]
    page = "\n\n".join("\n".join(part) for part in [head, *parts]) + "\n"
    print(page)
    (HERE.parent / "docs" / "speed.md").write_text(page)
    told("scenes.py")
    subprocess.run([sys.executable, str(HERE / "results.py"), "--render"], check=True)


if __name__ == "__main__":
    main()
