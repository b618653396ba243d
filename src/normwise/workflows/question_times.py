"""What plans cost the question's network in time, as it was measured where the package was made.

`benchmarks/norm_times.py` measures and writes it; nothing is said where that was never run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from normwise.json_files import write_json

FILE = Path(__file__).parents[1] / "networks" / "question_times.json"


@dataclass(frozen=True)
class Beside:
    """Times beside those of the network without any normalization, which took turns with it.

    Attributes:
        ratio: The median ratio of the turns.
        lowest: Where its 95 % bootstrap interval begins.
        highest: Where it ends.
    """

    ratio: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


@dataclass(frozen=True)
class Timed:
    """What a plan's normalizations cost.

    Attributes:
        plan: The plan.
        step: A training step.
        prediction: A prediction.
    """

    plan: str
    step: Beside
    prediction: Beside


@dataclass(frozen=True)
class Times:
    """One measurement.

    Attributes:
        date: When, as `2026-01-31`.
        machine: Its processors, in words.
        software: What ran the network, with versions.
        shape: Of a batch.
        turns: How often the plans took turns.
        calls: Steps, and predictions, of a turn.
        step: Seconds of a training step without any normalization.
        prediction: Seconds of the prediction of a batch, likewise.
        plans: What was measured, a plan each.
    """

    date: str
    machine: str
    software: str
    shape: tuple[int, ...]
    turns: int
    calls: int
    step: float
    prediction: float
    plans: tuple[Timed, ...]

    @classmethod
    def read(cls, file: Path = FILE) -> Times | None:
        """What was measured, None where nothing was."""
        if not file.is_file():
            return None
        told = json.loads(file.read_text(encoding="utf-8"))
        plans = tuple(
            Timed(one["plan"], Beside(**one["step"]), Beside(**one["prediction"]))
            for one in told["plans"]
        )
        return cls(**{**told, "shape": tuple(told["shape"]), "plans": plans})

    def write(self, file: Path = FILE) -> None:
        """Keeps them, whole or not at all."""
        write_json(file, asdict(self), indent=1)

    def told(self) -> Iterator[str]:
        """Paragraphs of Markdown."""
        batch, *image = self.shape
        yield (
            f"Measured on {self.date} on {self.machine}, {self.software}, with batches of {batch} "
            f"images of {'x'.join(map(str, image))}: without any normalization a training step "
            f"takes {self.step:.2f} s and a prediction {self.prediction:.2f} s. The plans took "
            f"turns of {self.calls} calls in one process, {self.turns} times; these are the median "
            "ratios to the network without normalizations in the same turn, with 95 % intervals:"
        )
        rows = ["| plan | a training step | a prediction |", "|---|---|---|"]
        rows += [f"| `{one.plan}` | {one.step} | {one.prediction} |" for one in self.plans]
        yield "\n".join(rows)
