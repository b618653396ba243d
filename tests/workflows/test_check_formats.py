"""What would end a workflow command early is escaped, as GitHub's runner reads it back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from normwise.rules import Finding, Report, Severity
from normwise.workflows.check_formats import to_github, to_sarif
from normwise.workflows.check_many import Checked

FINDING = Finding(
    "NW101", "wrong-axis", Severity.ERROR, ("a::b",), "one\ntwo 50%", "w", (), "fix\r", False
)
SEVERITIES = {"error": "error", "warning": "warning", "info": "notice"}


def unescaped(text, characters):
    """As the runner does it: the codes of these characters, `%25` last."""
    for character in [*characters, "%"]:
        text = text.replace(f"%{ord(character):02X}", character)
    return text


def read_back(line):
    kind, properties, data = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line).groups()
    named = dict(part.split("=", 1) for part in properties.split(","))
    values = {key: unescaped(value, "\r\n:,") for key, value in named.items()}
    return kind, values, unescaped(data, "\r\n")


def test_everything_is_read_back():
    checked = Checked("a, b:c\n50%.keras", Report.of("m", "s", [FINDING]))
    (line,) = to_github([checked])
    assert "\n" not in line and "\r" not in line
    kind, values, data = read_back(line)
    assert kind == "error"
    assert values == {"file": "a, b:c\n50%.keras", "title": "NW101 wrong-axis"}
    assert data == "a::b: one\ntwo 50% fix\r"


@pytest.mark.parametrize("severity", Severity)
def test_severities_are_githubs(severity):
    report = Report.of("m", "s", [replace(FINDING, severity=severity)])
    (line,) = to_github([Checked("m.keras", report)])
    assert read_back(line)[0] == SEVERITIES[severity]


@pytest.mark.parametrize(
    ("model", "uri"),
    [
        ("a b/na me%41#x.keras", "a%20b/na%20me%2541%23x.keras"),
        ("mine.nets:build", "mine/nets.py"),
        (f"{__name__}:network", "tests/workflows/test_check_formats.py"),
    ],
)
def test_places_in_sarif_are_uris_of_files(model, uri, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    (run,) = to_sarif([Checked(model, Report.of("m", "s", [FINDING]))])["runs"]
    (place,) = run["results"][0]["locations"]
    # GitHub takes no place without a file and a line.
    physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
    assert place["physicalLocation"] == physical
    assert place["logicalLocations"] == [{"fullyQualifiedName": "a::b"}]


def test_a_layer_of_two_calls_is_one_place_in_sarif():
    twice = replace(FINDING, layers=("relu", "norm", "relu"))
    (run,) = to_sarif([Checked("m.keras", Report.of("m", "s", [twice]))])["runs"]
    (place,) = run["results"][0]["locations"]
    names = [one["fullyQualifiedName"] for one in place["logicalLocations"]]
    assert names == ["relu", "norm"]
