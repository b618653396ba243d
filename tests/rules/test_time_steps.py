"""Rules see what stands in a `TimeDistributed`: one step of time, by its full path."""

import copy

import pytest

from normwise.errors import ModelReadError
from normwise.graph.catalogue import JOIN_STEPS, SPLIT_STEPS
from normwise.graph.flatten import flatten
from normwise.keras_format.bounds import MAX_NESTING
from normwise.keras_format.config import graph_from_config
from normwise.keras_format.legacy import translate
from normwise.rules import BY_NAME, Context, Training
from normwise.rules.rule import IN_STEPS
from normwise.rules.sketches import Sketch


def step(class_name, name, **config):
    """What one layer does at each step."""
    net = Sketch()
    return net.graph(net.add(class_name, net.input(), name=name, **config))


def conv(name="conv"):
    sizes = {"kernel_size": (3, 3), "strides": (2, 2), "padding": "same"}
    return step("Conv2D", name, filters=8, **sizes)


def frames(net, *steps, times=10, size=32):
    """Layers of each frame, one behind the other, named `t0`, `t1`, ..."""
    x = net.input(times, size, size, 3, name="video")
    for number, one in enumerate(steps):
        x = net.each_step(one, x, name=f"t{number}")
    return x


def found(rule, context):
    return [(f.layers, f.message) for f in BY_NAME[rule].check(context)]


def norm(**config):
    return step("BatchNormalization", "norm", **config)


def test_the_opened_graph_shows_one_step():
    net = Sketch()
    x = frames(net, conv(), norm(), step("GlobalAveragePooling2D", "pool"))
    graph = net.graph(net.add("LSTM", x, name="lstm"))
    opened = flatten(graph, steps=True)
    told = [(node.name, node.class_name, node.shape) for node in opened.nodes[:-1]]
    assert told == [
        ("video", "InputLayer", (None, 10, 32, 32, 3)),
        ("t0/(steps)", SPLIT_STEPS, (None, 32, 32, 3)),
        ("t0/conv", "Conv2D", (None, 16, 16, 8)),
        ("t1/norm", "BatchNormalization", (None, 16, 16, 8)),
        ("t2/pool", "GlobalAveragePooling2D", (None, 8)),
        ("t2", JOIN_STEPS, (None, 10, 8)),
    ]
    assert [node.class_name for node in flatten(graph).nodes].count("TimeDistributed") == 3


def test_resolutions_and_channels_go_through():
    net = Sketch()
    x = net.norm(net.relu(frames(net, conv()), name="relu"), name="series")
    x = net.each_step(norm(), x, name="last")
    context = net.context(net.add("ConvLSTM2D", x))
    scales = dict(zip(context.graph.index, context.layout.scales, strict=True))
    axes = dict(zip(context.graph.index, context.axes, strict=True))
    assert [len(scales[name]) for name in ("t0/conv", "t0", "series", "last/norm")] == [2, 3, 3, 2]
    assert [axes[name].axis for name in ("t0/conv", "t0", "series", "last/norm")] == [3, 4, 4, 3]
    assert found("wrong-axis", context) == []
    assert BY_NAME["stacked-norm"].check(context) and found("stacked-norm", context)


def test_a_norm_behind_a_layer_of_each_step_is_seen_by_it():
    net = Sketch()
    context = net.context(net.add("LSTM", frames(net, conv(), norm())))
    ((layers, message),) = found("redundant-bias", context)
    assert layers == ("t0/conv",) and "with 8 parameters" in message
    (finding,) = BY_NAME["redundant-bias"].check(context)
    assert finding.mends == () and finding.by_hand == IN_STEPS
    (of_some,) = (finding.of_some(finding.layers),)
    assert of_some == finding and of_some.mends == ()


def test_statistics_are_of_one_step():
    net = Sketch()
    x = frames(net, conv(), step("GlobalAveragePooling2D", "pool"), norm())
    two, one = (net.context(net.add("LSTM", x), training=Training(batch_size=n)) for n in (2, 1))
    assert "of 2 values" in found("tiny-batch", two)[0][1]
    assert found("single-element-statistics", one)[0][0] == ("t2/norm",)
    assert "(None, 8)" in found("single-element-statistics", one)[0][1]


def test_statistics_move_with_every_step_of_time():
    def cold(times):
        net = Sketch()
        x = net.add("LSTM", frames(net, conv(), norm(), times=times))
        return found("cold-statistics", net.context(x, training=Training(steps=100)))

    ((layers, message),) = cold(2)
    assert layers == ("t1/norm",) and "100 steps of this training, with 2 steps of time" in message
    assert "13% of the moving statistics" in message
    assert cold(10) == [] and cold(None) == []


def test_a_mask_goes_on_around_the_steps():
    net = Sketch()
    x = net.add("Masking", net.input(20, 8, 8, 3))
    x = net.norm(net.each_step(conv(), x, name="each"), name="after")
    assert found("mask-dropped", net.context(x)) == []


def test_a_call_of_the_wrapper_says_the_mode():
    def tiny(**call):
        net = Sketch()
        node = frames(net, norm())
        net._calls[node.node] = copy.copy(net._calls[node.node])
        object.__setattr__(net._calls[node.node], "kwargs", call)
        known = {"training": Training(batch_size=2), "keras_version": (3, 16)}
        return found("tiny-batch", net.context(net.add("LSTM", node), **known))

    assert tiny() and not tiny(training=False)


BATCH = {"class_name": "BatchNormalization", "config": {"name": "norm", "axis": 1}}
CONV = {"class_name": "Conv2D", "config": {
    "name": "conv", "filters": 4, "kernel_size": [3, 3], "padding": "same",
    "data_format": "channels_last"}}  # fmt: skip
FRAME = {"class_name": "InputLayer", "config": {"name": "f", "batch_shape": [None, 16, 16, 3]}}
TOWER = {"class_name": "Sequential", "config": {"name": "tower", "layers": [FRAME, CONV, BATCH]}}


def wrapped(inner, name="each"):
    return {"class_name": "TimeDistributed", "config": {"name": name, "layer": inner}}


def video(*layers):
    start = {
        "class_name": "InputLayer",
        "config": {"name": "v", "batch_shape": [None, 5, 16, 16, 3]},
    }
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [start, *layers]}}


def opened(config):
    return Context(graph_from_config(config, "file"))


def test_models_in_wrappers_are_read_from_files():
    context = opened(video(wrapped(TOWER)))
    assert [n.name for n in context.nodes] == [
        "v", "each/(steps)", "each/tower/conv", "each/tower/norm", "each",
    ]  # fmt: skip
    assert context.nodes[-1].shape == (None, 5, 16, 16, 4)
    assert found("wrong-axis", context)[0][0] == ("each/tower/norm",)


def test_wrappers_in_wrappers_are_opened():
    start = {
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 2, 3, 8, 8, 1], "name": "v"},
    }
    layers = [start, wrapped(wrapped(CONV, "inner"), "outer")]
    context = opened({"class_name": "Sequential", "config": {"name": "m", "layers": layers}})
    assert context.graph.node("outer/inner/conv").shape == (None, 8, 8, 4)
    assert context.graph.node("outer").shape[:2] == (None, 2)
    assert context.runs(context.graph.index["outer/inner/conv"]) in (6, None)


def test_what_is_no_layer_stays_closed():
    for inner in (None, 3, {}, {"class_name": "Dense"}, {"class_name": 3, "config": {"name": "a"}},
                  {"class_name": "Dense", "config": {"name": 3}}):  # fmt: skip
        context = opened(video(wrapped(inner)))
        assert [node.class_name for node in context.nodes][1:] == ["TimeDistributed"]
    foreign = {**wrapped(CONV), "module": "mine.layers"}
    assert opened(video(foreign)).nodes[1].class_name == "TimeDistributed"


def test_wrappers_without_end_are_refused():
    inner = CONV
    for _ in range(MAX_NESTING + 5):
        inner = wrapped(inner)
    with pytest.raises(ModelReadError, match="nested"):
        opened(video(inner))


def test_models_in_wrappers_of_keras_2_are_translated():
    old = {"class_name": "Functional", "config": {
        "name": "tower", "input_layers": [["f", 0, 0]], "output_layers": [["norm", 0, 0]],
        "layers": [
            {"class_name": "InputLayer", "name": "f", "inbound_nodes": [],
             "config": {"name": "f", "batch_input_shape": [None, 16, 16, 3]}},
            {**CONV, "name": "conv", "inbound_nodes": [[["f", 0, 0, {}]]]},
            {**BATCH, "name": "norm", "inbound_nodes": [[["conv", 0, 0, {}]]]},
        ]}}  # fmt: skip
    context = opened(translate(video(wrapped(old))))
    assert found("wrong-axis", context)[0][0] == ("each/tower/norm",)
