"""What is found in our own networks: nothing to warn of, but for the question's as asked."""

from functools import cache

import pytest

import normwise as nw
from normwise.keras_format import read_graph
from normwise.networks import NETWORKS
from normwise.rules import Severity
from normwise.training.configure.norm import norm as chosen_norm


def found(model, severity=Severity.INFO, **options):
    return nw.check(model, **options).at_least(severity)


def test_the_question_as_asked():
    report = nw.check(nw.build("question", (512, 512, 9)))
    decoder = tuple(f"upconv{i}" for i in range(1, 8))
    assert [(f.name, str(f.severity), f.layers) for f in report.findings] == [
        ("affine-chain", "warning", decoder),
        ("unnormalized-skip", "warning", ("conv1", "concat1")),
        ("unnormalized-skip", "warning", ("conv2", "concat2")),
        ("partial-coverage", "info", ("conv6", *decoder[:-1])),
    ]
    chain, first, *_, coverage = report.findings
    assert "1,575,505 of 3,151,121 parameters (50%)" in chain.message
    assert "between 7 layers in a row" in chain.message
    assert "concat1 gets conv1 from before conv1_norm" in first.message
    assert "7 of 12 hidden convolutions" in coverage.message
    assert report.worst is Severity.WARNING


def test_the_question_mended():
    mended = nw.build(
        "question",
        (512, 512, 9),
        norm="batch@post-activation",
        decoder_activation="relu",
        normalized_skips=True,
        dropout=0.0,
    )
    assert found(mended) == ()


def test_a_norm_in_the_decoder_of_the_question_is_a_new_fault():
    worse = nw.build("question", (64, 64, 9), norm="batch@after-merge", filters=4)
    names = {(f.name, f.layers) for f in found(worse, Severity.WARNING)}
    assert ("dropout-before-norm", ("dropout", "concat2_norm")) in names


@pytest.mark.parametrize("network", sorted(set(NETWORKS) - {"question", "encoder"}))
def test_no_warning_in_our_networks_with_their_default_plans(network):
    for shape in ((32, 32, 3), (None, None, 3)):
        assert found(nw.build(network, shape, filters=4, depth=2), Severity.WARNING) == ()


@pytest.mark.parametrize("network", sorted(set(NETWORKS) - {"question", "encoder"}))
def test_no_warning_in_our_networks_as_they_are_usually_trained(network):
    model = nw.build(network, (64, 64, 3), filters=4, depth=2)
    usual = {"batch_size": 8, "samples": 400, "epochs": 25}
    spared = {"weight_decay": 1e-4, "exclude_from_weight_decay": ["gamma", "beta", "bias"]}
    assert found(model, Severity.WARNING, **usual, optimizer=spared) == ()
    assert {f.name for f in found(model, **usual)} <= {"partial-coverage", "unfoldable-norm"}
    assert "tiny-batch" in {f.name for f in found(model, Severity.WARNING, batch_size=2)}


@cache
def unet(plan):
    return read_graph(nw.build("unet", (64, 64, 3), norm=plan, filters=4, depth=2))


@pytest.mark.parametrize("steps", [8, 30, 120])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 8, 16])
def test_no_warning_on_what_configure_chooses(batch, steps):
    chosen = {
        "training.batch_size": batch,
        "training.steps": steps,
        "network.name": "unet",
        "network.filters": 4,
    }
    plan, _ = chosen_norm(None, chosen)
    usual = {"batch_size": batch, "samples": batch * steps, "epochs": 25}
    assert found(unet(plan), Severity.WARNING, **usual) == ()


HEALTHY = [
    "instance@pre-activation",
    "group(groups=2)@pre-activation",
    "layer@pre-activation",
    "rms@pre-activation",
    "batch-renorm@pre-activation",
    "batch@post-activation",
    "batch@before-downsampling",
    "batch@encoder:pre-activation+after-merge",
    "standardize@input,batch@pre-activation",
]


@pytest.mark.parametrize("plan", HEALTHY)
def test_no_warning_whatever_the_kind_and_the_place(plan):
    options = {"input_statistics": ([0.0] * 3, [1.0] * 3)} if "standardize" in plan else {}
    model = nw.build("unet", (32, 32, 3), norm=plan, filters=4, depth=2, **options)
    assert found(model, Severity.WARNING) == ()


@pytest.mark.parametrize("network", ["unet", "nested"])
def test_no_warning_in_volumes_with_deep_supervision(network):
    model = nw.build(network, (16, 16, 16, 1), filters=2, depth=2, deep_supervision=True)
    assert found(model, Severity.WARNING) == ()


def test_a_raw_skip_is_warned_of_in_every_network():
    model = nw.build("unet", (32, 32, 3), norm="batch@post-activation/raw-skip", filters=4, depth=2)
    assert {f.name for f in found(model, Severity.WARNING)} == {"unnormalized-skip"}
    assert len(found(model, Severity.WARNING)) == 2
