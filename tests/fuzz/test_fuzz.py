"""A few of the inputs of `make fuzz`, and that a fault would be seen."""

import json

import pytest

from tests.fuzz import corpus, judge, run
from tests.fuzz.inputs import made

INPUTS = 250
MEMBERS = ("nested_twice", "operations", "residual_post", "all_norms", "sequential_in_functional")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    corpus.write(folder, MEMBERS, joined=8)
    return folder


def test_broken_files_end_in_a_report_or_a_clear_error(files, tmp_path):
    healthy, came = corpus.read(files), []
    for number in range(INPUTS):
        suffix, data = made(healthy, number)
        path = tmp_path / f"input{suffix}"
        path.write_bytes(data)
        came.append(judge.judge(path, with_show=number % 4 == 0))
    assert came.count("report") > INPUTS / 5 and came.count("refused") > INPUTS / 5


def test_an_input_is_a_function_of_its_number(files):
    healthy = corpus.read(files)
    configurations = [n for n in range(30) if made(healthy, n)[0] == ".json"]
    for number in configurations:
        assert made(healthy, number) == made(healthy, number)
    assert len({made(healthy, n)[1] for n in range(30)}) > 25


def test_a_range_is_checked_in_processes_of_its_own(files):
    came = list(run._outcomes_at_once(files, 3, 8, jobs=2))
    assert sorted(done["number"] for done in came) == [3, 4, 5, 6, 7]
    assert not any(done["fault"] for done in came)


def test_a_fault_is_seen(files, tmp_path, monkeypatch):
    path = tmp_path / "input.json"
    path.write_text(json.dumps({"class_name": "Mine"}))
    assert judge.judge(path) == "refused"

    def broken(*_, **__):
        raise KeyError("a fault")

    monkeypatch.setattr("normwise.workflows.check.look", broken)
    path.write_bytes((files / "residual_post.json").read_bytes())
    with pytest.raises(KeyError, match="a fault"):
        judge.judge(path)
