"""Placing: seconds and memory for real networks, and how the cost grows with the number of calls.

python benchmarks/surgery.py resnet     seconds, and peak memory in copies of the weights
python benchmarks/surgery.py calls      seconds a call at 100, 1,000 and 10,000 calls
"""

import os
import resource
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from normwise.backend import require_backend

require_backend()

import keras  # noqa: E402 - after the backend is chosen

import normwise as nw  # noqa: E402

FRAMES = 400_000


def wide(calls, branches=20):
    """A network of parallel chains of convolutions with fused activations."""
    inputs = keras.Input((4, 4, 2))
    ends = []
    for _ in range(branches):
        x = inputs
        for _ in range(calls // branches):
            x = keras.layers.Conv2D(2, 1, activation="relu")(x)
        ends.append(x)
    joined = keras.layers.Concatenate()(ends)
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(joined))


def seconds(model, plan):
    """Seconds of one placing, verification included, and how many edits it made."""
    start = time.perf_counter()
    done = nw.place(model, plan)
    return time.perf_counter() - start, len(done.report.changed)


def calls():
    """Seconds a call; linear growth is a constant column."""
    sys.setrecursionlimit(FRAMES)  # Keras builds and walks long chains recursively
    for count in (100, 1_000, 10_000):
        start = time.perf_counter()
        model = wide(count)
        building = time.perf_counter() - start
        taken, edits = seconds(model, "batch@pre-activation")
        print(
            f"{count:>6} calls: {taken:8.2f} s, {1000 * taken / count:6.2f} ms a call, "
            f"{edits} edits (Keras alone built the network in {building:.2f} s)",
            flush=True,
        )


def resnet():
    """ResNet50: its norms folded away for ones behind the adds, and another epsilon in all."""
    model = keras.applications.ResNet50(weights=None)
    copies = 4 * model.count_params() / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for plan in ("batch@after-merge", "batch(epsilon=1e-3)@pre-activation"):
        taken, edits = seconds(model, plan)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{plan}: {taken:.1f} s, {edits} edits; weights {copies:.0f} MB, peak memory "
            f"{peak - before:.0f} MB above the model's",
            flush=True,
        )


if __name__ == "__main__":
    {"resnet": resnet, "calls": calls}[sys.argv[1]]()
