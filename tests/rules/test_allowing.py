"""What a team allows is taken out, by rule and layers, and nothing else."""

import pytest

from normwise.errors import CheckError
from normwise.rules import Finding, Report, Severity
from normwise.rules.allowing import Allowance, allowed


def finding(name="wrong-axis", code="NW101", layers=("audio_norm",)):
    return Finding(code, name, Severity.ERROR, layers, "m", "w", (), "f", False)


def left(text, *findings):
    report, taken = allowed(Report.of("m", "s", findings), [Allowance.parse(text)])
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
