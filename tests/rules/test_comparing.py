"""What counts as a finding that was not there before."""

from normwise.rules import Finding, Report, Severity
from normwise.rules.comparing import new_in


def found(name, *layers, severity=Severity.WARNING, mends=()):
    return Finding("NW100", name, severity, layers, f"{name}.", "", (), "", True, mends)


def new(before, after, **more):
    reports = [Report.of("m", "", findings) for findings in (after, before)]
    return [(f.name, f.layers) for f in new_in(*reports, **more)]


def test_only_other_layers_and_worse_ones_are_new():
    before = [found("a", "x", "y"), found("b", "x", severity=Severity.INFO)]
    assert new(before, before) == []
    assert new(before, [found("a", "x")]) == []
    assert new(before, [found("a", "x", "z")]) == [("a", ("x", "z"))]
    assert new(before, [found("c", "x")]) == [("c", ("x",))]
    assert new(before, [found("b", "x")]) == [("b", ("x",))]
    assert new(before, [found("a", "x", severity=Severity.ERROR)]) == [("a", ("x",))]
    assert new(before, [found("a", "y", severity=Severity.INFO)]) == []


def test_notes_count_only_on_demand():
    note = [found("c", "x", severity=Severity.INFO)]
    assert new([], note) == []
    assert new([], note, severity=Severity.INFO) == [("c", ("x",))]


def test_layers_that_were_called_otherwise_are_the_same():
    before, after = [found("a", "mask")], [found("a", "mask_linear")]
    assert new(before, after) == [("a", ("mask_linear",))]
    assert new(before, after, names={"mask_linear": "mask"}) == []


def test_findings_that_say_the_same_are_one_with_the_edits_of_both():
    one, two = found("a", "x", mends=("first",)), found("a", "x", mends=("second",))
    (joined,) = Report.of("m", "", [one, two]).findings
    assert joined.mends == ("first", "second")
    (joined,) = Report.of("m", "", [one, found("a", "x")]).findings
    assert joined.mends == () and joined.mended_by is None
