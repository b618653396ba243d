"""No warning on the networks of keras.applications: small ones always, all with `make test-zoo`.

The raw patterns that naive versions of the rules report are counted here too: they are there.
"""

import inspect
import os
from functools import cache

import keras
import pytest

import normwise as nw
from normwise.graph.catalogue import Role
from normwise.keras_format import read_graph
from normwise.rules import Context, Severity, check
from tests.rules.injection.measure import base_findings
from tests.weightless import weightless

SMALL = ["DenseNet121", "EfficientNetB0", "MobileNetV2", "MobileNetV3Small", "ResNet50V2"]
ALL = [
    name
    for name, build in vars(keras.applications).items()
    if inspect.isfunction(build) and name[0].isupper()
]
WANTED = sorted(ALL) if os.environ.get("NORMWISE_ZOO") == "all" else SMALL
NOTES = {
    "DenseNet121": {"unfoldable-norm"},
    "EfficientNetB0": set(),
    "MobileNetV2": set(),
    "MobileNetV3Small": set(),
    "ResNet50V2": {"unfoldable-norm"},
}
"""What is worth a note in those that are always tested."""


@cache
def graph(name, top=True):
    build = getattr(keras.applications, name)
    with weightless():
        return read_graph(build(weights=None, include_top=top))


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("name", WANTED)
def test_no_warning_on(name, top):
    # A training set-up as it is usual for them.
    report = nw.check(graph(name, top), batch_size=32, samples=100_000, epochs=10)
    assert report.at_least(Severity.WARNING) == ()
    if name in NOTES and top:
        assert {finding.name for finding in report.findings} == NOTES[name]
    # With weights as training leaves them, and as a file: what the other rules look at.
    assert base_findings(graph(name, top)) == ()
    assert check(Context(graph(name, top), written=True)).at_least(Severity.WARNING) == ()


def test_the_dead_biases_of_resnet50():
    (finding,) = nw.check(graph("ResNet50")).findings
    assert finding.name == "redundant-bias" and len(finding.layers) == 53
    assert "53 layers have a bias with 26,560 parameters" in finding.message


def wanted(*traps):
    """Traps in networks that are tested in this run; the first is the network's name."""
    return [trap for trap in traps if trap[0] in WANTED]


@pytest.mark.parametrize(
    ("name", "direct", "along_sums"),
    wanted(
        ("MobileNetV2", 7, 17),
        ("MobileNetV3Small", 5, 11),
        ("EfficientNetB0", 7, 16),
        ("Xception", 0, 12),
    ),
)
def test_convolution_norm_convolution_is_no_affine_chain(name, direct, along_sums):
    context = Context(graph(name))
    raw = [
        norm
        for norm in context.batch_norms
        if context.roles[context.graph.producers[norm][0]] is Role.LINEAR
        and context.activations[context.graph.producers[norm][0]] is None
    ]
    assert sum(_meets_linear(context, norm, {Role.PASS}) for norm in raw) == direct
    assert sum(_meets_linear(context, norm, {Role.PASS, Role.MERGE}) for norm in raw) == along_sums


def _meets_linear(context, index, through):
    """Whether a linear layer lies behind nodes of some roles."""
    pending, seen = [index], set()
    while pending:
        for reader in context.graph.consumers[pending.pop()]:
            if context.roles[reader] is Role.LINEAR:
                return True
            if context.roles[reader] in through and reader not in seen:
                seen.add(reader)
                pending.append(reader)
    return False


@pytest.mark.parametrize(("name", "count"), wanted(("EfficientNetB0", 9), ("EfficientNetV2B0", 15)))
def test_drop_connect_is_no_dropout_before_a_norm(name, count):
    context = Context(graph(name))
    raw = {
        index
        for index, node in enumerate(context.nodes)
        if node.class_name == "Dropout" and _meets_norm(context, index)
    }
    assert len(raw) == count
    assert all(context.nodes[i].config["noise_shape"] is not None for i in raw)


def _meets_norm(context, index):
    """Whether a batch norm lies behind linear layers and sums."""
    pending, seen = [index], set()
    while pending:
        for reader in context.graph.consumers[pending.pop()]:
            if context.is_norm(reader):
                return True
            linear = context.roles[reader] in (Role.LINEAR, Role.MERGE, Role.PASS)
            if linear and reader not in seen and context.activations[reader] is None:
                seen.add(reader)
                pending.append(reader)
    return False


@pytest.mark.parametrize(
    ("name", "count", "merge"), [("DenseNet121", 58, "Concatenate"), ("ResNet50V2", 9, "Add")]
)
def test_raw_taps_are_no_unnormalized_skips(name, count, merge):
    context = Context(graph(name))
    raw = [
        index
        for index in range(len(context.nodes))
        if any(context.is_norm(r) for r in context.graph.consumers[index])
        and any(context.nodes[r].class_name == merge for r in context.graph.consumers[index])
    ]
    assert len(raw) == count


@pytest.mark.parametrize(
    ("name", "count"), [("DenseNet121", "62 of 121"), ("ResNet50V2", "16 of 49")]
)
def test_norms_that_pre_activation_leaves_alone(name, count):
    (finding,) = nw.check(graph(name)).findings
    assert finding.name == "unfoldable-norm" and finding.message.startswith(count)


def test_an_encoder_of_theirs_under_our_decoder():
    model = nw.build("encoder", (64, 64, 4), encoder="MobileNetV2", filters=4)
    assert nw.check(model).at_least(Severity.WARNING) == ()


def test_the_list_is_all_of_them():
    assert len(ALL) >= 30 and set(SMALL) <= set(ALL)
