"""Placing and folding: memory for large networks, and how the cost grows with the number of calls.

python benchmarks/surgery.py memory [NAME]  seconds and peak memory in copies of the weights, of
                                            place and fold on a network of keras.applications
                                            (ResNet152), beside one prediction and a clone by Keras
python benchmarks/surgery.py planning       seconds of planning and editing alone, at 100, 1,000 and
                                            10,000 convolutions, on graphs drawn without Keras
python benchmarks/surgery.py calls [MOST] [SECONDS]
                                            the same, and then whole rewrites at 100, 300 and 1,000
                                            convolutions, beside what Keras alone needs to build
                                            what comes out; a size that isn't done in SECONDS (120)
                                            is said to be not. With MOST 10000 that size too: Keras
                                            compares all names of a model with each other, and needs
                                            many minutes for each of the models (give it 3600 s)
"""

import ctypes
import gc
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from normwise.backend import require_backend

require_backend()

import keras  # noqa: E402 - after the backend is chosen
import numpy as np  # noqa: E402

import normwise as nw  # noqa: E402
from normwise.keras_format import read_graph  # noqa: E402
from normwise.surgery.work import EditSettings  # noqa: E402
from tests.surgery.on_paper import CHAIN, fold, layers_of, place, side_by_side  # noqa: E402

FRAMES = 400_000
SIZE = 64
"""Rows and columns of the images: small, so that weights are most of the memory."""

PLANNED = (100, 1_000, 10_000)
BUILT = (100, 300, 1_000, 10_000)
MOST = 1_000
SECONDS = 120
PLAN = "batch(epsilon=1e-4)@pre-activation"
ACTIONS = {
    "predict": lambda model: model(np.zeros((2, SIZE, SIZE, 3), "float32"), training=False),
    "clone": lambda model: keras.models.clone_model(model).set_weights(model.get_weights()),
    "place": lambda model: nw.place(model, PLAN),
    "fold": nw.fold,
}


def wide(calls, norms=False):
    """The network of `side_by_side`, live.

    Chains that are no longer leave a signal at their end; hundreds of random convolutions in a row
    don't, and then more inputs are tried than for other networks.
    """
    inputs = keras.Input((4, 4, 2))
    chain = min(CHAIN, calls)
    ends = []
    for _ in range(calls // chain):
        x = inputs
        for _ in range(chain):
            x = block(x, norms)
        ends.append(x)
    joined = keras.layers.Concatenate()(ends) if len(ends) > 1 else ends[0]
    return keras.Model(inputs, keras.layers.Conv2D(1, 1)(joined))


def block(x, norms):
    """A convolution and its activation."""
    settings = {"kernel_initializer": "orthogonal"}
    if not norms:
        return keras.layers.Conv2D(2, 1, activation="elu", **settings)(x)
    x = keras.layers.Conv2D(2, 1, **settings)(x)
    x = keras.layers.BatchNormalization(beta_initializer="random_normal")(x)
    return keras.layers.Activation("elu")(x)


def planning():
    """Linear growth is a constant column."""
    for count in PLANNED:
        for rewrite in ("place", "fold"):
            edits, taken = planned(side_by_side(count, norms=rewrite == "fold"), rewrite)
            print(
                f"{count:>6} convolutions: {rewrite} planned and edited in {taken:6.2f} s "
                f"({1000 * taken / count:4.2f} ms each, {edits} edits)",
                flush=True,
            )


def planned(graph, rewrite):
    """How many edits a rewrite makes, and the seconds until it knows its graph and weights."""
    if rewrite == "place":
        return timed(lambda: place(graph, PLAN, EditSettings()))
    layers = layers_of(graph)
    return timed(lambda: fold(graph, layers))


def timed(action):
    """A result and the seconds it took."""
    gc.collect()
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def calls(most=MOST, seconds=SECONDS):
    """Each size and rewrite in a process of its own."""
    planning()
    for count in (c for c in BUILT if c <= int(most)):
        for rewrite in ("place", "fold"):
            try:
                subprocess.run(
                    [sys.executable, __file__, "one", str(count), rewrite],
                    check=True,
                    timeout=float(seconds),
                )
            except subprocess.TimeoutExpired:
                print(f"{count:>6} convolutions: {rewrite} not done within {seconds} s", flush=True)


def one(count, rewrite):
    """Times one rewrite beside Keras: it has to build the model that comes out, at least."""
    sys.setrecursionlimit(FRAMES)  # Keras builds and walks long chains recursively
    calls, placing = int(count), rewrite == "place"
    wide(CHAIN)  # what is slow once only
    _, theirs = timed(lambda: wide(calls, norms=placing))
    gc.collect()
    model = wide(calls, norms=not placing)
    _, reading = timed(lambda: read_graph(model))
    done, taken = timed(lambda: ACTIONS[rewrite](model))
    edits = len(done.report.changed)
    print(
        f"{calls:>6} convolutions: {rewrite} {taken:7.2f} s ({1000 * taken / calls:5.2f} ms each, "
        f"{edits} edits; reading the graph {reading:.2f} s), {taken / theirs:.2f} times the "
        f"{theirs:.2f} s that Keras takes to build it {'with' if placing else 'without'} norms",
        flush=True,
    )


def memory(name="ResNet152"):
    """Each action in a process of its own, because a process keeps what it once had."""
    for action in ACTIONS:
        subprocess.run([sys.executable, __file__, "peak", name, action], check=True)


def peak(name, action):
    """The most memory that the process holds meanwhile, the model that it was given included."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already would hide what is taken
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, weights = resident("VmRSS"), 4 * model.count_params() / 2**20
    _, taken = timed(lambda: ACTIONS[action](model))
    copies = 1 + (resident("VmHWM") - before) / weights
    print(
        f"{action:>7} {name}: {taken:5.1f} s; weights {weights:.0f} MB, at the peak {copies:.2f} "
        "copies of them",
        flush=True,
    )


def resident(which):
    """MB of memory that this process has, or had at the most."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{which}:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    verbs = {"memory": memory, "peak": peak, "calls": calls, "one": one, "planning": planning}
    verbs[sys.argv[1]](*sys.argv[2:])
