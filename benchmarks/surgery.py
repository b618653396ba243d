"""Placing and folding: memory for large networks, and how the cost grows with the number of calls.

python benchmarks/surgery.py memory [NAME]  seconds and peak memory in copies of the weights, of
                                            place and fold on a network of keras.applications
                                            (ResNet152)
python benchmarks/surgery.py calls [MOST]   seconds a call at 100, 1,000 and 10,000 calls, beside
                                            what Keras alone needs for the same networks
"""

import gc
import os
import re
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from normwise.backend import require_backend

require_backend()

import keras  # noqa: E402 - after the backend is chosen

import normwise as nw  # noqa: E402

FRAMES = 400_000
SIZE = 64
"""Rows and columns of the images: small, so that weights are most of the memory."""

COUNTS = (100, 1_000, 10_000)
PLAN = "batch(epsilon=1e-4)@pre-activation"
REWRITES = {"place": lambda model: nw.place(model, PLAN), "fold": nw.fold}


def wide(calls, branches=20, norms=False):
    """A network of parallel chains of convolutions with fused activations, or norms before them."""
    inputs = keras.Input((4, 4, 2))
    ends = []
    for _ in range(branches):
        x = inputs
        for _ in range(calls // branches):
            if norms:
                x = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1)(x))
                x = keras.layers.Activation("relu")(x)
            else:
                x = keras.layers.Conv2D(2, 1, activation="relu")(x)
        ends.append(x)
    joined = keras.layers.Concatenate()(ends)
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(joined))


def timed(action):
    """A result and the seconds it took."""
    gc.collect()
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def calls(most=COUNTS[-1]):
    """Seconds a call; linear growth is a constant column."""
    sys.setrecursionlimit(FRAMES)  # Keras builds and walks long chains recursively
    for count in (c for c in COUNTS if c <= int(most)):
        _, theirs = timed(lambda count=count: wide(count, norms=True))
        model, building = timed(lambda count=count: wide(count))
        done, taken = timed(lambda model=model: nw.place(model, "batch@pre-activation"))
        folded, folding = timed(lambda done=done: nw.fold(done.model))
        print(
            f"{count:>6} calls: place {taken:7.2f} s ({1000 * taken / count:5.2f} ms a call, "
            f"{len(done.report.changed)} edits), fold {folding:7.2f} s "
            f"({1000 * folding / count:5.2f} ms, {len(folded.report.changed)} norms); Keras alone "
            f"builds the network in {building:.2f} s and the one with norms in {theirs:.2f} s",
            flush=True,
        )


def memory(name="ResNet152"):
    """Each rewrite in a process of its own, because a process keeps what it once had."""
    for rewrite in REWRITES:
        subprocess.run([sys.executable, __file__, "peak", name, rewrite], check=True)


def peak(name, rewrite):
    """The most memory that one rewrite holds, beside the model it was given."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, weights = resident("VmRSS"), 4 * model.count_params() / 2**20
    done, taken = timed(lambda: REWRITES[rewrite](model))
    copies = 1 + (resident("VmHWM") - before) / weights
    print(
        f"{rewrite} {name}: {taken:.1f} s, {len(done.report.changed)} edits; weights "
        f"{weights:.0f} MB, at the peak {copies:.2f} copies of them",
        flush=True,
    )


def resident(which):
    """MB of memory that this process has, or had at the most."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{which}:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    {"memory": memory, "peak": peak, "calls": calls}[sys.argv[1]](*sys.argv[2:])
