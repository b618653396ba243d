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
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from normwise.backend import require_backend

require_backend()

import keras  # noqa: E402 - after the backend is chosen
import numpy as np  # noqa: E402

import normwise as nw  # noqa: E402
from normwise.graph.editing import Draft  # noqa: E402
from normwise.keras_format import read_graph  # noqa: E402
from normwise.rules.sketch import Sketch  # noqa: E402
from normwise.surgery.fold_plan import Plan  # noqa: E402
from normwise.surgery.place import edited_graph  # noqa: E402
from normwise.surgery.work import Settings, Work  # noqa: E402

FRAMES = 400_000
SIZE = 64
"""Rows and columns of the images: small, so that weights are most of the memory."""

PLANNED = (100, 1_000, 10_000)
BUILT = (100, 300, 1_000, 10_000)
MOST = 1_000
CHAIN = 50
"""Convolutions in a row. So many, and side by side whatever is more, leave a signal at the end;
hundreds of random ones in a row don't, and then more inputs are tried than for other networks."""

SECONDS = 120
PLAN = "batch(epsilon=1e-4)@pre-activation"
ACTIONS = {
    "predict": lambda model: model(np.zeros((2, SIZE, SIZE, 3), "float32"), training=False),
    "clone": lambda model: keras.models.clone_model(model).set_weights(model.get_weights()),
    "place": lambda model: nw.place(model, PLAN),
    "fold": nw.fold,
}


def wide(calls, norms=False):
    """A network of parallel chains of convolutions with fused activations, or norms before them."""
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


def drawn(calls, norms=False):
    """The graph of such a network, without any weights."""
    net = Sketch()
    inputs, ends = net.input(4, 4, 2), []
    for _ in range(calls // min(CHAIN, calls)):
        x = inputs
        for _ in range(min(CHAIN, calls)):
            x = net.conv(2, x, size=1, activation="linear" if norms else "elu")
            x = net.add("Activation", net.norm(x), activation="elu") if norms else x
        ends.append(x)
    joined = net.add("Concatenate", *ends) if len(ends) > 1 else ends[0]
    return net.graph(net.conv(1, joined, size=1))


@dataclass(frozen=True)
class Variable:
    """What folding asks of a variable."""

    name: str
    shape: tuple


@dataclass(frozen=True)
class Layer:
    """What folding asks of a layer."""

    variables: tuple
    compute_dtype: str = "float32"
    variable_dtype: str = "float32"
    epsilon: float = 1e-3
    axis: int = -1


class Ones:
    """Weights that are all one."""

    def __init__(self, layers):
        self.layers = layers

    def of(self, path):
        """The arrays of one layer."""
        return {v.name: np.ones(v.shape, "float32") for v in self.layers[path].variables}


def layers_of(graph):
    """Layers that a graph of convolutions and norms could have."""
    shapes = {
        "Conv2D": {"kernel": (1, 1, 2, 2), "bias": (2,)},
        "BatchNormalization": dict.fromkeys(
            ("gamma", "beta", "moving_mean", "moving_variance"), (2,)
        ),
    }
    return {
        node.layer: Layer(
            tuple(Variable(*pair) for pair in shapes.get(node.class_name, {}).items())
        )
        for node in graph.nodes
    }


def fold_on_paper(graph, layers, weights):
    """Plans and edits a fold; how many norms go."""
    plan, draft = Plan(layers, weights), Draft(graph)
    plan.level(graph, draft, "")
    draft.freeze()
    return len(plan.changed)


def place_on_paper(graph):
    """Plans and edits a placing; how many edits there are."""
    return len(edited_graph(Work(graph, Settings()), nw.NormPlan.parse(PLAN))[1].changed)


def planning():
    """Linear growth is a constant column."""
    for count in PLANNED:
        for rewrite in ("place", "fold"):
            edits, taken = planned(drawn(count, norms=rewrite == "fold"), rewrite)
            print(
                f"{count:>6} convolutions: {rewrite} planned and edited in {taken:6.2f} s "
                f"({1000 * taken / count:4.2f} ms each, {edits} edits)",
                flush=True,
            )


def planned(graph, rewrite):
    """How many edits a rewrite makes, and the seconds until it knows its graph and weights."""
    if rewrite == "place":
        return timed(lambda: place_on_paper(graph))
    layers = layers_of(graph)
    return timed(lambda: fold_on_paper(graph, layers, Ones(layers)))


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
