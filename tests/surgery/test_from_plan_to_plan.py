"""Any plan is reached from any other where outputs need not stay: by graphs alone."""

import pytest

from normwise.graph.catalogue import activation_of
from normwise.graph.shapes import with_shapes
from normwise.norms import NormPlan
from normwise.rules.sketches import Sketch
from normwise.surgery.planning import edited_graph
from normwise.surgery.work import EditSettings, Work

PLANS = (
    "none",
    "batch@input",
    "batch@pre-activation",
    "batch@post-activation",
    "batch@post-activation/raw-skip",
    "batch@before-downsampling",
    "batch@before-downsampling/raw-skip",
    "batch@skip",
    "batch@after-merge",
    "batch@encoder:post-activation/raw-skip+decoder:pre-activation",
    "batch@post-activation/raw-skip+skip",
)


def unet():
    net = Sketch()
    skip = net.relu(net.conv(4, net.conv(4, net.input(16, 16, 4), activation="relu")))
    x = net.relu(net.conv(4, net.add("MaxPooling2D", skip)))
    x = net.add("Concatenate", net.add("UpSampling2D", x), skip)
    return net.graph(net.conv(1, net.conv(4, x, activation="relu"), name="head"))


def edited(graph, text):
    return edited_graph(Work(with_shapes(graph), EditSettings(keep=False)), NormPlan.parse(text))


def norms(graph):
    """What each normalization reads, and the classes of its readers, whatever it is called."""
    found = []
    for index, node in enumerate(graph.nodes):
        if "Normalization" in node.class_name:
            read = graph.nodes[graph.producers[index][0]]
            source = "activation" if activation_of(read) else read.class_name
            readers = sorted(graph.nodes[reader].class_name for reader in graph.consumers[index])
            found.append((source, readers))
    return sorted(found)


@pytest.mark.parametrize("end", PLANS)
def test_any_plan_is_reached_from_any_other(end):
    direct = edited(unet(), end).edited
    assert bool(norms(direct)) == (end != "none")
    for start in PLANS:
        done = edited(edited(unet(), start).edited, end)
        assert not done.skipped and not done.work.residue, start
        again = edited(done.edited, end)
        assert not again.changed and not again.skipped, start
        assert norms(done.edited) == norms(direct), start
