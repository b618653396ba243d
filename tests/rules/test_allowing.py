"""What a team allows is taken out, by rule and layers, and nothing else."""

import pytest

from normwise.errors import CheckError
from normwise.rules import Finding, Report, Severity
from normwise.rules.allowing import Allowance, allowed


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
