"""What is said of a finished comparison."""

import json
import math
from dataclasses import replace

import pytest

from normwise.comparison.answer import answer
from normwise.comparison.outcome import Outcome, Probes
from normwise.comparison.verdicts import Outcome as Said
from normwise.errors import RunError
from tests.comparison.made_up import outcome, summary

GOOD, SAME, WORSE = [0.70, 0.72, 0.71], [0.71, 0.70, 0.715], [0.50, 0.52, 0.51]


def test_a_difference_is_told_with_what_can_not_be_told_apart():
    found = summary(GOOD, SAME, [value + 0.001 * i for i, value in enumerate(WORSE)])
    said = answer(found)
    assert said.startswith("“batch@pre-activation” has the highest mean iou on ")
    assert "test images: 0.71, over 3 seeds." in said
    assert "It is better than “none” (0.511) beyond chance." in said
    assert "can't be told: no difference that 3 seeds can show." in said
    assert "seeds are needed" in said


def test_no_difference_is_an_answer():
    said = answer(summary(GOOD, SAME))
    assert "no difference that 3 seeds can show" in said
    assert "better than “" not in said.partition("To settle")[0]


def test_the_direction_of_errors():
    found = summary(GOOD, [value + 0.001 * i for i, value in enumerate(WORSE)], metric="rmse")
    assert found.lower_is_better
    assert answer(found).startswith("“batch@skip” has the lowest mean rmse")
    assert found.pairs[0].outcome is Said.WORSE


def test_diverged_trials_are_told():
    found = summary(GOOD, [0.6, None, 0.61])
    assert found.lines[1].diverged == 1
    assert math.isnan(found.lines[1].values[1])
    assert "“batch@skip” diverged or gave no number in 1 of 3" in answer(found)
    assert found.lines[1].variant.name not in found.front
    nothing = summary([None, None], [None, None])
    assert answer(nothing) == "Every trial diverged: there is nothing to compare."
    assert [line.mean for line in nothing.ranked] == pytest.approx([math.nan] * 2, nan_ok=True)


def test_norms_are_counted_where_a_trial_left_a_network():
    some, none = summary([0.6, None, None], [None] * 3).to_dict()["variants"]
    assert (some["norms"], some["foldable"]) == (3, 2)
    assert math.isnan(none["norms"]) and math.isnan(none["foldable"])


def test_a_cheaper_one_that_is_as_good_is_named():
    found = summary(GOOD, SAME, costs=[10.0, 4.0])
    assert "trained fastest, in 40% of the best one's time" in answer(found)
    assert [name.rpartition(",")[2] for name in found.front] == [
        "batch@skip",
        "batch@pre-activation",
    ]


def test_splits_that_differ_are_corrected_for():
    same = summary(GOOD, SAME)
    assert same.overlap == 0
    other = {
        name: [replace(o, images=replace(o.images, key=str(i))) for i, o in enumerate(own)]
        for name, own in same.outcomes.items()
    }
    differing = replace(same, outcomes=other)
    assert differing.overlap == pytest.approx(0.25)
    assert differing.pairs[0].paired.p > same.pairs[0].paired.p


def test_numbers_for_machines_are_plain():
    content = summary(GOOD, [0.6, None, 0.61]).to_dict()
    assert content["variants"][1]["diverged"] == 1
    assert content["pairs"][0]["interval_by"] == "paired t-distribution"
    assert len(content["pairs"][0]["differences"]) == 2


def test_what_a_trial_gave_is_kept_and_read_back(tmp_path):
    known = replace(outcome(0.6), probes=Probes(16, 0.5, 0.0, math.nan, 1e-7))
    for one in (outcome(0.7, seed=2, fold=(1, 3)), outcome(None), known):
        one.write(tmp_path)
        text = (tmp_path / "trial.json").read_text()
        assert "NaN" not in text
        again = Outcome.read(tmp_path)
        assert json.dumps(again.metrics) == json.dumps(one.metrics)
        assert again.history == one.history
        assert repr(again.cost) == repr(one.cost)
        assert again.norms == one.norms
        assert repr(again.probes) == repr(one.probes)
        assert (again.images, again.diverged) == (one.images, one.diverged)
    assert Outcome.read(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "{}", '{"asked": 1}', "[]"])
def test_a_damaged_record_of_a_trial_is_named(tmp_path, text):
    (tmp_path / "trial.json").write_text(text)
    with pytest.raises(RunError, match=r"trial\.json can't be read.*Remove it"):
        Outcome.read(tmp_path)
