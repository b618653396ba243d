"""What a team allows is taken out, by rule and layers, and nothing else."""

import pickle
import re
from dataclasses import replace

import pytest

from normwise.errors import CheckError
from normwise.norms.mends import RemoveNorm
from normwise.rules import RULES, Finding, Report, Severity, Training
from normwise.rules import report as report_file
from normwise.rules.allowing import Allowance, allowed
from normwise.rules.catalogue import check, named
from normwise.rules.sketches import Sketch


def finding(name="wrong-axis", code="NW101", layers=("audio_norm",)):
    return Finding(code, name, Severity.ERROR, layers, "m", "w", (), "f", False)


def left(texts, *findings):
    report, taken = allowed(Report.of("m", "s", findings), [*map(Allowance.parse, texts.split())])
    assert len(report.findings) + len(taken) == len(findings)
    return report.findings


@pytest.mark.parametrize("text", ["wrong-axis", "NW101", "wrong-axis:audio_*", "NW101:*_norm"])
def test_allowed(text):
    assert not left(text, finding())


@pytest.mark.parametrize("text", ["stacked-norm", "NW102", "wrong-axis:video_*"])
def test_not_allowed(text):
    assert left(text, finding()) == (finding(),)


def test_every_layer_must_match():
    both = finding(layers=("audio_norm", "video_norm"))
    assert left("wrong-axis:audio_*", both) == (both,)


def test_others_stay_in_their_order():
    other = finding("redundant-bias", "NW102")
    assert left("wrong-axis", finding(), other) == (other,)


def test_an_unknown_rule_names_a_near_one():
    with pytest.raises(CheckError, match="Did you mean wrong-axis"):
        Allowance.parse("wrong-axes")


def test_exceptions_add_up():
    both = finding(layers=("audio_norm", "video_norm"))
    assert not left("wrong-axis:audio_* NW101:video_*", both)
    assert left("wrong-axis:audio_* stacked-norm:video_*", both) == (both,)
    assert left("wrong-axis:audio_* wrong-axis:text_*", both) == (both,)


def test_without_layers_the_rule_decides():
    assert not left("wrong-axis:audio_*", finding(layers=()))
    assert left("stacked-norm", finding(layers=())) == (finding(layers=()),)


def test_brackets_stand_for_themselves():
    named = finding(layers=("blk[1]/norm",))
    assert not left("wrong-axis:blk[1]/*", named)
    assert left("wrong-axis:blk[1]/*", finding(layers=("blk1/norm",)))
    assert left("wrong-axis:blk[!2]/*", named)


@pytest.mark.parametrize(
    "make", [lambda: Allowance("NW101", ""), lambda: Allowance.parse("NW101:")]
)
def test_an_empty_pattern_is_refused(make):
    with pytest.raises(CheckError, match="expected a pattern"):
        make()


@pytest.mark.parametrize("text", ["nw101", "Nw101", "WRONG-AXIS", "wrong-Axis:audio_*"])
def test_rules_are_known_in_capitals_or_not(text):
    assert not left(text, finding())


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("wrongaxis", "wrong-axis"),
        ("wrong_axes", "wrong-axis"),
        ("skip", "unnormalized-skip"),
        ("bias", "redundant-bias or missing-bias"),
        ("axis", "wrong-axis or layer-norm-axis"),
    ],
)
def test_what_was_meant_is_named(word, meant):
    with pytest.raises(CheckError, match=f"Did you mean {meant}"):
        named(word)


def test_where_nothing_is_near_nothing_is_guessed():
    with pytest.raises(CheckError, match=r"there is no rule 'zzz'\. `normwise explain` lists all"):
        named("zzz")


def three_biases():
    """Three convolutions of 8, 16 and 24 channels whose biases their norms cancel."""
    net = Sketch()
    x = net.input(32, 32, 3)
    for level in (1, 2, 3):
        x = net.norm(net.conv(8 * level, x, name=f"conv{level}"), name=f"norm{level}")
        x = net.relu(x, name=f"relu{level}")
    return net.context(net.conv(1, x), training=Training(batch_size=2))


def said(texts):
    """What is left and what is allowed, by rule: layers and sentence."""
    report, taken = allowed(check(three_biases()), [*map(Allowance.parse, texts)])
    return (
        {f.name: (f.layers, f.message) for f in report.findings},
        {f.name: (f.layers, f.message) for f, _ in taken},
    )


def test_what_is_allowed_of_some_layers_is_said_of_the_others():
    left, taken = said(["redundant-bias:conv2"])
    cancelled = "parameters that the normalization right after it cancels."
    of_two = f"2 layers have a bias with 32 {cancelled}"
    of_one = f"1 layer has a bias with 16 {cancelled}"
    assert left["redundant-bias"] == (("conv1", "conv3"), of_two)
    assert taken == {"redundant-bias": (("conv2",), of_one)}
    left, taken = said(["tiny-batch:norm[12]", "tiny-batch:*2", "NW201:norm3"])
    layers, message = left["tiny-batch"]
    assert layers == ("norm1",) and message.startswith("1 batch normalization takes statistics of")
    assert taken["tiny-batch"][0] == ("norm2", "norm3")


def test_mends_go_with_what_is_allowed():
    report, _ = allowed(check(three_biases()), [Allowance.parse("redundant-bias:conv[1-3]")])
    (all_three,) = (f for f in report.findings if f.name == "redundant-bias")
    report, _ = allowed(check(three_biases()), [Allowance.parse("redundant-bias:conv1")])
    (two,) = (f for f in report.findings if f.name == "redundant-bias")
    assert [mend.layer for mend in all_three.mends] == ["conv1", "conv2", "conv3"]
    assert [mend.layer for mend in two.mends] == ["conv2", "conv3"]


LISTS = [
    (rule, finding)
    for rule in RULES
    for invalid in rule.invalid
    for finding in rule.check(invalid.example())
    if len(finding.layers) > 1
]
TOGETHER = {
    "affine-chain", "double-activation", "dropout-before-norm", "mask-dropped", "merge-scale",
    "norm-before-pool", "norm-on-residual-trunk", "padding-before-norm", "stacked-norm",
    "unnormalized-skip", "tile-mismatch",
}  # fmt: skip
"""Rules whose layers make one fault together."""


@pytest.mark.parametrize(("rule", "finding"), LISTS, ids=lambda value: value.name)
def test_layers_are_one_fault_together_or_each_one_by_itself(rule, finding):
    assert (finding.of_some is None) == (rule.name in TOGETHER)
    if finding.of_some is None:
        return
    assert finding.of_some(finding.layers) == finding
    for layer in finding.layers:
        one = finding.of_some({layer})
        assert one.layers == (layer,) and one.name == rule.name
        others = set(finding.layers) - {layer}
        assert not any(re.search(rf"\b{re.escape(other)}\b", one.message) for other in others)


def test_findings_of_many_calls_are_joined_in_one_pass(monkeypatch):
    made = []
    joined = report_file._joined
    monkeypatch.setattr(report_file, "_joined", lambda same: made.append(len(same)) or joined(same))
    mended = [replace(finding(), mends=(RemoveNorm(f"n:{i}"),)) for i in range(500)]
    (one,) = Report.of("m", "s", mended).findings
    assert made == [500] and len(one.mends) == 500
    left = [*mended, replace(finding(), by_hand="no")]
    (one,) = Report.of("m", "s", left).findings
    assert one.mends == () and one.by_hand == "no"


def test_findings_can_be_written():
    (found,) = (f for f in check(three_biases()).findings if f.name == "redundant-bias")
    assert pickle.loads(pickle.dumps(found)) == found
