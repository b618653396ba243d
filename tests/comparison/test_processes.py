"""Trials in processes of their own: which are begun, where, and what is left of them."""

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from normwise.comparison.experiment import Trial, variants_of
from normwise.comparison.processes import each_in_process, in_processes
from normwise.distributed.alike import THREADS, usable_processors
from normwise.errors import RunError
from tests.comparison.made_up import BASE

POPEN = subprocess.Popen
WORKER = f"""
import json, os, sys, time
from pathlib import Path

sys.stdin.read()
folder = Path(sys.argv[1])
if "bad" in folder.name:
    sys.exit("No such data.")
if "endless" in folder.name:
    time.sleep(600)
held = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
folder.write_text(json.dumps([held, [os.environ.get(name) for name in {THREADS}]]))
"""
"""Stands for a training: tells where it runs, with how many threads."""


@pytest.fixture
def started(monkeypatch):
    """The processes that were started, each a small one."""
    found = []

    def small(command, **more):
        found.append(POPEN([sys.executable, "-c", WORKER, *command[3:]], **more))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", small)
    return found


def asked(tmp_path, *names):
    variant = variants_of(["none", "batch@skip"])[0]
    return [(Trial(variant, seed), BASE, tmp_path / name) for seed, name in enumerate(names)]


def test_each_is_handed_back_as_it_ends_failed_or_not(started, tmp_path):
    orders = asked(tmp_path, "a", "bad", "b", "c")
    found = {ended.folder.name: ended for ended in each_in_process(orders, 2)}
    assert found.keys() == {"a", "b", "c", "bad"}
    assert [found[name].error for name in "abc"] == [""] * 3
    assert found["bad"].error == "The trial none, seed 1: its process failed (1): No such data."
    assert found["b"].trial == orders[2][0]
    assert all(ended.seconds > 0 for ended in found.values())


def test_behind_one_that_fails_no_other_is_begun(started, tmp_path):
    done = []
    orders = asked(tmp_path, "a", "bad", "b", "c")
    with pytest.raises(RunError, match=r"No such data\. Finished trials are kept; the same comm"):
        in_processes(orders, 1, done.append)
    assert done == [orders[0][0]]
    assert len(started) == 2


def test_what_runs_at_once_is_held_to_processors_of_its_own(started, tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.setenv(name, "7")
    orders = asked(tmp_path, "a", "b")
    assert [ended.error for ended in each_in_process(orders, 2, one_processor=True)] == ["", ""]
    found = [json.loads((tmp_path / name).read_text()) for name in "ab"]
    assert [threads for _, threads in found] == [["1"] * len(THREADS)] * 2
    if hasattr(os, "sched_setaffinity"):
        assert [len(held) for held, _ in found] == [1, 1]
        assert (found[0][0] != found[1][0]) is (usable_processors() > 1)


def test_else_it_runs_where_this_process_may(started, tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.setenv(name, "7")
    in_processes(asked(tmp_path, "a"), 1)
    held, threads = json.loads((tmp_path / "a").read_text())
    assert threads == ["7"] * len(THREADS)
    assert held is None or len(held) == usable_processors()


def test_where_processors_can_not_be_told_it_keeps_to_one_thread(started, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    (ended,) = each_in_process(asked(tmp_path, "a"), 1, one_processor=True)
    assert ended.error == ""
    assert json.loads((tmp_path / "a").read_text())[1] == ["1"] * len(THREADS)


def test_the_next_one_is_asked_for_when_there_is_room(started, tmp_path):
    begun = []

    def one_by_one():
        for order in asked(tmp_path, "a", "b", "c"):
            begun.append(order[2].name)
            yield order

    for number, _ in enumerate(each_in_process(one_by_one(), 1), 1):
        assert begun == ["a", "b", "c"][:number]


def test_once_it_is_closed_nothing_runs_any_more(started, tmp_path):
    orders = asked(tmp_path, "endless", "a", "b")
    with closing(each_in_process(orders, 2)) as found:
        assert next(found).folder.name == "a"
        assert started[0].poll() is None
    assert all(process.returncode is not None for process in started)
    assert not (tmp_path / "endless").exists()
