"""Every rule reports its invalid examples as it says, and none of its valid ones."""

import re
from pathlib import Path

import pytest

from normwise import rules
from normwise.rules import BY_NAME, RULES, Severity
from normwise.rules.rule import Invalid, Rule

INVALID = [(rule, invalid) for rule in RULES for invalid in rule.invalid]
VALID = [(rule, example) for rule in RULES for example in rule.valid]

TRAINING = [
    "tiny-batch",
    "last-batch-of-one",
    "cold-statistics",
    "inverted-momentum",
    "large-epsilon",
    "accumulated-batches",
    "unsynced-replicas",
    "decayed-affine",
    "untouched-statistics",
    "dead-channels",
    "half-precision-norm",
    "train-eval-gap",
    "batch-dependence",
    "merge-scale",
    "outlier-sample",
    "sorted-batches",
    "domain-shift",
]
EXPORT = ["unfoldable-norm", "tile-dependent-norm", "newer-config", "tile-mismatch"]
LATER = [*TRAINING, *EXPORT]

FOLDER = Path(rules.__file__).parent
SERIES = {"NW1": "structure", "NW2": "training", "NW3": "export"}
"""The folder of rules that need no data, by the series of their codes."""
GROUPS = (*SERIES.values(), "measured")


def named(value: object) -> str:
    if isinstance(value, Rule):
        return value.name
    return (value.example if isinstance(value, Invalid) else value).__name__.strip("_")


@pytest.mark.parametrize(("rule", "invalid"), INVALID, ids=named)
def test_what_a_rule_reports(rule, invalid):
    (finding,) = rule.check(invalid.example())
    assert finding.layers == invalid.layers
    assert finding.severity == (invalid.severity or rule.severity)
    assert finding.code == rule.code and finding.name == rule.name
    assert finding.message.endswith(".") and finding.fix.endswith(".") and finding.evidence


@pytest.mark.parametrize(("rule", "example"), VALID, ids=named)
def test_what_a_rule_does_not_report(rule, example):
    assert list(rule.check(example())) == []


def test_codes_and_names_are_those_of_the_contract():
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"NW[123]\d\d", code) for code in codes)
    assert [rule.name for rule in RULES if rule.code < "NW200"] == [
        "wrong-axis",
        "redundant-bias",
        "missing-bias",
        "mixed-order",
        "double-activation",
        "stacked-norm",
        "affine-chain",
        "unnormalized-skip",
        "partial-coverage",
        "norm-on-output",
        "norm-on-input",
        "padding-before-norm",
        "norm-before-pool",
        "norm-on-residual-trunk",
        "selu-with-norm",
        "layer-norm-axis",
        "dropout-before-norm",
        "single-element-statistics",
        "groups-mismatch",
        "shared-batch-norm",
        "mask-dropped",
        "frozen-batch-norm",
    ]
    later = [rule.name for rule in RULES if rule.code > "NW200"]
    assert later == [name for name in LATER if name in later]
    starts = {**{name: 201 + n for n, name in enumerate(TRAINING)},
              **{name: 301 + n for n, name in enumerate(EXPORT)}}  # fmt: skip
    assert all(BY_NAME[name].code == f"NW{starts[name]}" for name in later)
    assert list(BY_NAME) == [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_has_a_page_and_examples_of_both_kinds(rule):
    assert rule.page.title and rule.page.why and rule.page.evidence
    assert len(rule.page.why) < 400 and rule.page.why[-1] in ".!?"
    assert rule.invalid and rule.valid
    assert all(i.example.__doc__ for i in rule.invalid) and all(e.__doc__ for e in rule.valid)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_stands_in_a_file_of_its_name_in_the_folder_of_its_group(rule):
    folder, module = rule.look.__module__.split(".")[-2:]
    assert module == rule.name.replace("-", "_")
    assert folder == ("measured" if rule.needs_data else SERIES[rule.code[:3]])


def test_every_file_of_a_group_is_a_rule_that_is_applied():
    files = {path.stem for group in GROUPS for path in (FOLDER / group).glob("[!_]*.py")}
    assert files == {rule.name.replace("-", "_") for rule in RULES}


def test_severities_are_ordered():
    assert [s.rank for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)] == [0, 1, 2]
    assert Severity.ERROR == "error"
