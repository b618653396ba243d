"""What normalizations cost the question's network in time, by kind and position.

`python norm_times.py` writes `src/normwise/networks/question_times.json`, which
`normwise explain question` prints. Training steps and predictions of batches of 8 images of
512x512x9 in float32 with MSE and AdamW, under each plan that the answer compares, and without
normalizations. All networks are in one process and take turns (A B C, C B A, A B C, ...), so that a
machine whose speed drifts slows them alike; what counts are ratios within a turn. Freed memory is
kept, as the `normwise` command does. It stops after `SECONDS` at the latest.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pairs import paired_ratio

from normwise.memory import keep_freed_memory
from normwise.workflows.question_facts import BATCH, PLANS
from normwise.workflows.question_times import FILE, Beside, Timed, Times

SHAPE = (BATCH, 512, 512, 9)
TURNS, CALLS, SECONDS = 12, 3, 270
FEWEST_TURNS = 5
NONE = "none"

Seconds = dict[str, dict[str, list[float]]]
"""By what is timed and by plan: the median call of each turn."""


def networks() -> dict[str, Any]:
    """The compiled network under each plan."""
    import keras

    import normwise as nw

    made = {}
    for plan in (NONE, *PLANS):
        scaled = {"input_statistics": (np.zeros(9), np.ones(9))} if "standardize" in plan else {}
        model = nw.build("question", SHAPE[1:], 1, norm=plan, **scaled)
        model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4), "mse")
        made[plan] = model
    return made


def median(call: Callable[[], object]) -> float:
    """Seconds of a call that waits for its result."""
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure(models: dict[str, Any]) -> Seconds:
    """Turns, as many as there is time for; the first one, which compiles, isn't counted."""
    import keras

    rng, started = np.random.default_rng(0), time.monotonic()
    x = keras.ops.convert_to_tensor(rng.normal(size=SHAPE).astype("float32"))
    y = keras.ops.convert_to_tensor(rng.normal(size=(*SHAPE[:3], 1)).astype("float32"))
    found: Seconds = {kind: {plan: [] for plan in models} for kind in ("step", "prediction")}
    for turn in range(TURNS + 1):
        begun = time.monotonic()
        for plan in list(models)[:: -1 if turn % 2 else 1]:
            model = models[plan]
            step = median(lambda model=model: model.train_on_batch(x, y))
            prediction = median(lambda model=model: model.predict_on_batch(x))
            if turn:
                found["step"][plan].append(step)
                found["prediction"][plan].append(prediction)
        now = time.monotonic()
        print(f"turn {turn}: {now - begun:.1f} s", file=sys.stderr)
        if turn and now + (now - begun) > started + SECONDS:
            break
    return found


def summary(found: Seconds) -> Times:
    """Medians, and ratios to the network without normalizations."""
    turns = len(found["step"][NONE])
    if turns < FEWEST_TURNS:
        raise SystemExit(f"only {turns} turns in {SECONDS} s; nothing is written.")

    def beside(kind: str, plan: str) -> Beside:
        return Beside(**paired_ratio(found[kind][plan], found[kind][NONE]))

    return Times(
        datetime.now(UTC).strftime("%Y-%m-%d"),
        machine(),
        f"keras {version('keras')} on TensorFlow {version('tensorflow-cpu')}",
        SHAPE,
        turns,
        CALLS,
        statistics.median(found["step"][NONE]),
        statistics.median(found["prediction"][NONE]),
        tuple(Timed(p, beside("step", p), beside("prediction", p)) for p in PLANS),
    )


def machine() -> str:
    """Its processors, with their name where the system tells it."""
    told = f"{os.cpu_count()} {platform.machine()} processors"
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{told} ({named[0]})" if named and named[0] != "unknown" else told


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keep_freed_memory()
    times = summary(measure(networks()))
    times.write()
    print("\n\n".join(times.told()))
    print(f"\nwritten to {FILE}; python tools/make_rule_pages.py renders it", file=sys.stderr)
