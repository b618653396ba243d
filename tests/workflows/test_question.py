"""`normwise explain question`: the network that ships is the one that is built, and its numbers."""

import subprocess
import sys
from pathlib import Path

import normwise as nw
from normwise.keras_format import read_graph
from normwise.norms import NormPlan
from normwise.rules import Context, check
from normwise.surgery.planning import edited_graph
from normwise.surgery.work import EditSettings, Work
from normwise.workflows.question import answer
from normwise.workflows.question_facts import NETWORK, PLANS, Question
from normwise.workflows.question_times import Beside, Timed, Times
from tests.commands import normwise
from tools.make_rule_pages import question

ROOT = Path(__file__).parents[2]


def test_the_network_that_ships_is_the_question_s():
    built, shipped = read_graph(nw.build("question", (512, 512, 9))), read_graph(NETWORK)
    assert built.outputs == shipped.outputs and built.inputs == shipped.inputs
    for ours, theirs in zip(shipped.nodes, built.nodes, strict=True):
        for part in ("name", "class_name", "args", "kwargs", "outputs"):
            assert getattr(ours, part) == getattr(theirs, part)
        assert all(theirs.config[key] == value for key, value in ours.config.items())
    assert check(Context(shipped)).findings == check(Context(built)).findings


def test_every_point_has_its_numbers():
    text = answer()
    for said in (
        "3,151,121 parameters",
        "`axis=-1`. `wrong-axis` reports none of the 5",
        "| conv1_norm | conv1 | conv2 | concat1 |",
        "Here 5 of 5 stand after it",
        "concat2 gets conv2 from before conv2_norm",
        "1,575,505 of 3,151,121 parameters (50%)",
        "(`dropout-before-norm`)",
        "no pooling layers; 6 convolutions with strides",
        "Here these are conv1, conv2, conv3, conv4, conv5",
        "| `batch@before-downsampling` | 5 | 992 | 992 | 0.06% |",
        "| `standardize@input` | 1 | 0 | 18 |",
        "| `instance@before-downsampling` | 5 | 992 | 0 | 0.03% |",
        "Contested.",
    ):
        assert said in text, said


def test_a_number_follows_the_network():
    small = Question(read_graph(nw.build("question", (128, 128, 3), filters=4)))
    assert small.parameters < 300_000 and small.cost("batch@pre-activation").norms == 6
    assert small.cost("batch@input").trained == 6 and small.cost("standardize@input").kept == 6


def test_all_plans_but_its_own_change_its_outputs():
    graph = Question.read().graph
    for plan in map(NormPlan.parse, PLANS):
        left_out = [
            bool(edited_graph(Work(graph, EditSettings(keep)), plan).skipped)
            for keep in (True, False)
        ]
        assert left_out == [str(plan) != PLANS[0], False]
    assert "all but its own change the outputs" in answer()


def test_times_are_told_as_they_were_measured(tmp_path, monkeypatch):
    timed = Timed("batch@input", Beside(1.0834, 1.051, 1.112), Beside(1.02, 1.0, 1.05))
    machine, software = "2 processors", "keras 3"
    times = Times("2026-01-31", machine, software, (8, 512, 512, 9), 12, 3, 0.567, 0.123, (timed,))
    times.write(tmp_path / "times.json")
    assert Times.read(tmp_path / "times.json") == times
    monkeypatch.setattr(Times, "read", lambda: times)
    text = answer()
    assert "Measured on 2026-01-31 on 2 processors, keras 3, with batches of 8 images" in text
    assert "a training step takes 0.57 s and a prediction 0.12 s" in text
    assert "| `batch@input` | 1.08 (1.05 to 1.11) | 1.02 (1.00 to 1.05) |" in text


def test_where_nothing_was_measured_no_time_is_told(tmp_path, monkeypatch):
    assert Times.read(tmp_path / "gone.json") is None
    monkeypatch.setattr(Times, "read", lambda: None)
    assert "Measured on" not in answer()


def test_the_times_that_ship_are_of_the_plans_that_are_compared():
    times = Times.read()
    assert times is None or [timed.plan for timed in times.plans] == list(PLANS)


def test_it_is_printed_and_written():
    done = normwise("explain", "question")
    assert done.returncode == 0 and "Before or after the activation?" in done.stdout
    page = (ROOT / "docs/question.md").read_text()
    assert page == question(), "run python tools/make_rule_pages.py"


def test_no_backend_is_loaded_for_it():
    code = (
        "from normwise.workflows.explain import page_of; page_of('question'); import sys; "
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
