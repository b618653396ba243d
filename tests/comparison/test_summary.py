"""What is said of a finished comparison."""

import json
import math
from dataclasses import replace

import pytest

from normwise.comparison.answer import answer
from normwise.comparison.outcome import Cost, Outcome, Probes
from normwise.comparison.same_images import refuse_unpaired
from normwise.comparison.verdicts import Verdict
from normwise.comparison.versions import mixed, versions_of
from normwise.errors import RunError
from normwise.workflows.compare_words import limits
from tests.comparison.made_up import outcome, summary

GOOD, SAME, WORSE = [0.70, 0.72, 0.71], [0.71, 0.70, 0.715], [0.50, 0.52, 0.51]


def test_a_difference_is_told_with_what_can_not_be_told_apart():
    found = summary(GOOD, SAME, [value + 0.001 * i for i, value in enumerate(WORSE)])
    said = answer(found)
    assert said.startswith("“batch@pre-activation” has the highest mean iou on ")
    assert "test images: 0.71, over 3 seeds." in said
    assert "It is better than “none” (0.511) beyond chance." in said
    assert "can't be told: no difference that 3 seeds can show." in said
    assert "fresh seeds are needed" in said


def test_no_difference_is_an_answer():
    said = answer(summary(GOOD, SAME))
    assert "no difference that 3 seeds can show" in said
    assert "better than “" not in said.partition("To settle")[0]


def test_the_direction_of_errors():
    found = summary(GOOD, [value + 0.001 * i for i, value in enumerate(WORSE)], metric="rmse")
    assert found.lower_is_better
    assert answer(found).startswith("“batch@skip” has the lowest mean rmse")
    assert found.pairs[0].outcome is Verdict.WORSE


def test_diverged_trials_are_told():
    found = summary(GOOD, [0.6, None, 0.61])
    assert found.lines[1].diverged == 1
    assert math.isnan(found.lines[1].values[1])
    assert "“batch@skip” diverged in 1 of 3 trials." in answer(found)
    assert found.lines[1].variant.name not in found.front
    nothing = summary([None, None], [None, None])
    assert answer(nothing) == "Every trial diverged: there is nothing to compare."
    assert [line.mean for line in nothing.ranked] == pytest.approx([math.nan] * 2, nan_ok=True)


def test_the_headline_agrees_with_the_pair():
    """The mean of a variant that lost its hard seed is no reason to rank it first."""
    found = summary([None, 0.80, 0.81, 0.82], [0.10, 0.85, 0.861, 0.872])
    (pair,) = found.pairs
    assert found.lines[0].mean > found.lines[1].mean
    assert pair.outcome is Verdict.WORSE
    assert [line.variant.name for line in found.ranked] == ["batch@skip", "batch@pre-activation"]
    assert answer(found) == (
        "Of the variants that gave a number most often (in every trial), “batch@skip” has the "
        "highest mean iou on test images: 0.6707, over 4 seeds. It is better than "
        "“batch@pre-activation” (0.81 against 0.861 in the 3 seeds with both) beyond chance. "
        "“batch@pre-activation” diverged in 1 of 4 trials."
    )


def test_what_beats_the_first_one_is_told():
    """The first lost no trial, the second is better wherever it gave a number."""
    found = summary([None, 0.85, 0.861, 0.872], [0.10, 0.80, 0.81, 0.82])
    said = answer(found)
    assert "“batch@skip” has the highest mean iou on test images: 0.6325, over 4 seeds." in said
    assert "It is worse than “batch@pre-activation” (0.861 against 0.81 in the 3 seeds" in said
    assert "better than" not in said
    turned = summary([None, 0.85, 0.861, 0.872], [0.90, 0.80, 0.81, 0.82], metric="rmse")
    assert "“batch@skip” has the lowest mean rmse" in answer(turned)
    assert "It is better than “batch@pre-activation” (0.861 against 0.81" in answer(turned)


def test_means_of_all_trials_are_ranked_without_more_words():
    assert answer(summary(GOOD, WORSE, [None] * 3)).startswith("“batch@pre-activation” has the ")
    both = answer(summary([None, 0.8, 0.81], [0.79, None, 0.8]))
    assert both.startswith("“batch@pre-activation” has the highest mean iou on test images: 0.805,")


def test_a_metric_that_is_undefined_is_no_divergence():
    nothing = summary([math.nan] * 2, [math.nan] * 2)
    assert [(line.failed, line.diverged, line.undefined) for line in nothing.lines] == [
        (2, 0, 2)
    ] * 2
    said = answer(nothing)
    assert said.startswith("In every trial iou is undefined on the test images: there is nothing")
    assert "diverged" not in said
    some = answer(summary([None, math.nan], [math.nan, None]))
    assert some.startswith("2 of 4 trials diverged, in the others iou is undefined on the test ima")
    one = summary(GOOD, [0.6, math.nan, 0.61], costs=[4.0, 1.0])
    assert "In 1 of 3 trials of “batch@skip” iou is undefined on the test images." in answer(one)
    assert "diverged" not in answer(one)
    assert one.lines[1].variant.name not in one.front
    assert [v["undefined"] for v in one.to_dict()["variants"]] == [0, 1]
    assert [v["diverged"] for v in one.to_dict()["variants"]] == [0, 0]
    told = " ".join(limits(one))
    assert "Trials whose iou is undefined are left out" in told
    assert "diverged" not in told
    assert "Trials that diverged are left out" in " ".join(limits(summary(GOOD, [0.6, None, 0.6])))


def test_what_can_not_be_judged_is_not_told_as_no_difference():
    constant = answer(summary([0.7, 0.72, 0.8], [0.6, 0.62, 0.7]))
    assert (
        "Against “batch@skip” (0.64) the difference is the same in 3 seeds: no spread" in constant
    )
    one_left = answer(summary([0.0, 0.0, 0.0], [0.0, None, None]))
    assert "Against “batch@skip” (0 against 0 in the 1 seed with both) one pair of" in one_left
    apart = answer(summary([0.7, None], [None, 0.6]))
    assert "Against “batch@skip” (0.6) nothing can be said: no seed gave a number for both" in apart
    for said in (constant, one_left, apart):
        assert "no difference that" not in said
        assert "identical" not in said
    same = answer(summary(GOOD, GOOD))
    assert "It is identical to “batch@skip” (0.71) in every trial." in same


def test_the_time_of_a_training_is_that_of_trials_that_came_to_their_end():
    found = summary(GOOD[:2], [0.6, None], costs=[4.0, 10.0])
    name, own = "batch@skip", list(found.outcomes["batch@skip"])
    own[1] = replace(own[1], cost=Cost(seconds=0.1))
    found = replace(found, outcomes={**found.outcomes, name: own})
    assert found.lines[1].seconds == found.costs[name] == 10.0
    assert found.to_dict()["variants"][1]["training_seconds"] == 10.0


def test_trials_of_one_seed_are_measured_on_the_same_images():
    found = summary(GOOD, SAME)
    refuse_unpaired(found.outcomes)
    second = found.outcomes["batch@skip"]
    moved = [replace(one, images=replace(one.images, key="other")) for one in second]
    with pytest.raises(RunError, match=r"“batch@pre-activation” and “batch@skip” were .* seed 0"):
        refuse_unpaired({**found.outcomes, "batch@skip": moved})
    # Images of its own for each seed are no fault: all variants have them.
    own = {
        name: [replace(one, images=replace(one.images, key=str(i))) for i, one in enumerate(trials)]
        for name, trials in found.outcomes.items()
    }
    refuse_unpaired(own)
    validated = [replace(one, split="val") for one in second]
    with pytest.raises(RunError, match="different images"):
        refuse_unpaired({**found.outcomes, "batch@skip": validated})


def test_versions_that_differ_are_told():
    found = summary(GOOD, SAME)
    known = {"keras": "3.15.0", "backend": "tensorflow", "tensorflow-cpu": "2.19", "rasterio": "1"}

    def made_with(*newer, **versions):
        return {
            name: [
                replace(one, versions={**known, **(versions if (name, seed) in newer else {})})
                for seed, one in enumerate(trials)
            ]
            for name, trials in found.outcomes.items()
        }

    assert versions_of(found.outcomes["batch@skip"]) == {}
    assert list(mixed(found.outcomes)) == list(mixed(made_with())) == []
    names = list(found.outcomes)
    (apart,) = mixed(made_with((names[1], 2), keras="3.16.0"))
    assert "different versions: keras 3.15.0 and 3.16.0. So were trials of one seed" in apart
    (together,) = mixed(made_with((names[0], 2), (names[1], 2), **{"tensorflow-cpu": "2.20"}))
    assert "tensorflow-cpu 2.19 and 2.20. Those of one seed were made with the same." in together
    beside = made_with((names[1], 2), rasterio="2")
    assert list(mixed(beside)) == [], "it computes nothing"
    assert versions_of(beside[names[1]])["rasterio"] == ("1", "2")
    other = replace(found, outcomes=made_with((names[1], 2), keras="3.16.0"))
    assert apart in limits(other)


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
    probes, versions = Probes(16, 0.5, 0.0, math.nan, 1e-7), {"keras": "3.15", "backend": "jax"}
    known = replace(outcome(0.6), probes=probes, versions=versions)
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
        assert again.versions == one.versions
    assert Outcome.read(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "{}", '{"asked": 1}', "[]"])
def test_a_damaged_record_of_a_trial_is_named(tmp_path, text):
    (tmp_path / "trial.json").write_text(text)
    with pytest.raises(RunError, match=r"trial\.json can't be read.*Remove it"):
        Outcome.read(tmp_path)
