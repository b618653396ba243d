"""What is found in real programs: their faults as threads tell them, and nothing else."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from normwise.rules import BY_NAME, Severity, check
from tests.rules.corpus import FAULTY, HEALTHY, Program

ALARMS_ON_HEALTHY = {
    "DeepLab v3+": 1,
    "EEGNet": 1,
    "imbalanced-learn's example, as changed": 3,
}
"""Warnings that nobody asked for; see why the programs say they are there."""


def named(value: Program) -> str:
    return value.name


def warned(program):
    return check(program.draw()).at_least(Severity.WARNING)


@pytest.mark.parametrize("program", [*FAULTY, *HEALTHY], ids=named)
def test_warnings_and_errors_are_exactly_those_expected(program):
    assert [finding.name for finding in warned(program)] == list(program.warnings)


@pytest.mark.parametrize("program", FAULTY, ids=named)
def test_what_becomes_of_a_known_fault(program):
    of_it = [f for f in check(program.draw()).findings if f.name == program.fault]
    if program.outcome == "missed":
        assert not of_it and program.fault not in BY_NAME and program.why
        return
    worst = min(finding.severity.rank for finding in of_it)
    noted = worst == Severity.INFO.rank
    assert (program.outcome == "noted") is noted and bool(program.why) is noted
    assert {layer for f in of_it for layer in f.layers} == set(program.layers)


def test_how_many_there_are_and_where_they_are_from():
    programs = [*FAULTY, *HEALTHY]
    assert len(FAULTY) >= 15 and len(HEALTHY) >= 15
    assert len({p.name for p in programs}) == len(programs)
    assert all(p.source.startswith("https://") and p.known.endswith(".") for p in programs)
    assert all(p.fault for p in FAULTY) and not any(p.fault for p in HEALTHY)


def test_false_alarms_are_stated():
    alarms = {p.name: len(p.warnings) for p in HEALTHY if p.warnings}
    assert alarms == ALARMS_ON_HEALTHY
    assert all(p.why for p in HEALTHY if p.warnings)


@pytest.fixture(scope="module")
def quality():
    """benchmarks/check_quality.py, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "check_quality.py"
    spec = spec_from_file_location("check_quality", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_was_measured_and_what_is_found_now(quality):
    assert quality.PAGE.read_text() == quality.page(quality.load()), "run check_quality.py --render"


def test_the_goal_is_reached_in_healthy_networks(quality):
    hosts = quality.load()
    injected, found, true, false = quality.totals(row for host in hosts for row in host["rows"])
    assert len(hosts) >= 12 and not any(host["healthy"] for host in hosts)
    assert found >= quality.RECALL * injected and true >= quality.PRECISION * (true + false)
