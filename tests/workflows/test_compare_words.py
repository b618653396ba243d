"""What the page of a comparison says was equal, and what it can't say: by the trials themselves."""

import json
from dataclasses import replace

import pytest

from normwise.workflows.compare_equal import equal
from normwise.workflows.compare_looks import looks
from normwise.workflows.compare_words import intervals, limits
from tests.comparison.made_up import summary

GOOD, WORSE = [0.70, 0.72, 0.71], [0.50, 0.52, 0.51]


def changed(found, *values, section="training", key="learning_rate", asked=None):
    """The trials with other settings: a value a variant, or one a trial."""
    outcomes = {}
    for (name, own), told in zip(found.outcomes.items(), values, strict=True):
        each = told if isinstance(told, list) else [told] * len(own)
        outcomes[name] = [
            replace(
                one,
                recipe={**one.recipe, section: {**one.recipe[section], key: value}},
                asked={
                    **one.asked,
                    section: {**one.asked[section], key: value if asked is None else asked},
                },
            )
            for one, value in zip(own, each, strict=True)
        ]
    return replace(found, outcomes=outcomes)


def trained_on(found, *keys):
    """The trials with names of their training images: one a trial of each variant."""
    outcomes = {
        name: [
            replace(one, images=replace(one.images, training=key))
            for one, key in zip(own, keys, strict=True)
        ]
        for name, own in found.outcomes.items()
    }
    return replace(found, outcomes=outcomes)


def said(found):
    return " ".join(equal(found)), " ".join(limits(found))


@pytest.fixture
def two():
    return trained_on(summary(GOOD, WORSE), "a", "a", "a")


def test_what_all_trials_had_is_said_to_be_equal(two):
    held, lacking = said(two)
    assert "Seeds 0 to 2, the same for every variant" in held
    assert "The same patches in the same order, varied in the same way." in held
    assert "Budget: 20 training steps a trial were made, in 1 to 1 s." in held
    assert "training.batch_size: 8 training.learning_rate: 0.001 training.loss: cross-" in held
    assert "Images: one split; in each trial 8 train, 2 are measured." in held
    assert "One learning rate and one budget for all: what another would give" in lacking
    assert "3 seeds a variant." in lacking
    assert "No epoch was begun" not in held
    assert "different metrics" not in lacking
    timed, _ = said(changed(two, 60.0, 60.0, key="budget"))
    assert "No epoch was begun after 60 s." in timed


def test_rates_that_each_trial_found_are_not_one_rate(two):
    rates = [[0.003, 0.001, 0.002], [0.01, 0.003, 0.002]]
    held, lacking = said(changed(two, *rates, asked="auto"))
    assert "training.learning_rate: found anew for each trial (auto), 0.001 to 0.01 " in held
    assert "One budget for all" in lacking
    assert "learning rate" not in lacking


def test_bands_that_are_varied_may_miss_other_pixels(two):
    said_so = "variants of other bands are measured on other pixels"
    assert said_so not in said(two)[1]
    for bands, expected in (([[1], [1]], False), ([[1], [1, 2]], True), ([None, [1]], True)):
        own = [[value] * len(GOOD) for value in bands]
        _, lacking = said(changed(two, *own, section="data", key="bands"))
        assert (said_so in lacking) is expected


def test_what_is_varied_is_not_said_to_be_equal(two):
    held, lacking = said(changed(two, 0.001, 0.01))
    assert "learning_rate" not in held
    assert "One budget for all" in lacking
    held, lacking = said(changed(two, 5, 10, key="steps"))
    assert "aren't the same ones: training.steps is 5 or 10." in held
    assert "One learning rate for all" in lacking
    held, lacking = said(changed(changed(two, 60.0, 120.0, key="budget"), 0.1, 0.2))
    assert "No epoch was begun" not in held
    assert " for all" not in lacking
    assert "3 seeds a variant." in lacking


def test_patches_that_networks_of_other_depth_were_given_are_not_the_same(two):
    sides = ([104, 104], [128, 128])
    held, _ = said(changed(two, *([own] * 3 for own in sides), section="data", key="patch"))
    assert "aren't the same ones: data.patch is [104, 104] or [128, 128]." in held
    assert "The same patches" not in held
    # Seeds may differ in it: those that are paired don't.
    held, _ = said(changed(two, *([[sides[0], *sides]] * 2), section="data", key="patch"))
    assert "The same patches in the same order" in held


def test_variants_whose_epochs_other_metrics_chose_are_told(two):
    chosen = changed(two, "iou", "dice", key="metric")
    _, lacking = said(chosen)
    assert "chosen by different metrics (iou, dice); all are compared by iou." in lacking
    _, lacking = said(changed(chosen, "last", "last", key="keep"))
    assert "chosen" not in lacking


def test_measured_images_that_chose_the_epochs_are_told():
    found = summary(GOOD, WORSE, fold=(1, 2))
    assert "The measured images have also chosen the best epoch" in said(found)[1]
    last = changed(found, "last", "last", key="keep")
    assert "chosen" not in said(last)[1], "no epoch was chosen"


def test_seeds_that_draw_which_images_validate_are_told():
    found = summary(GOOD, WORSE)
    held, lacking = said(trained_on(found, "a", "b", "c"))
    assert "which of the others validate is drawn by the seed; in each trial 8 train" in held
    assert "the intervals hold the chance of the training images, too. What other" in lacking
    assert "alone" not in lacking
    _, alike = said(trained_on(found, "a", "a", "a"))
    assert "all seeds train on the same ones: the intervals tell the chance of weights" in alike
    held, lacking = said(found)
    assert "Images: one set that is measured; in each trial" in held, "older trials don't tell"
    assert "All trials are measured on the same images. What other" in lacking


def test_images_of_variants_that_differ_in_them(two):
    one, other = two.outcomes.values()
    fewer = [replace(o, images=replace(o.images, train=6, training="b")) for o in other]
    held, _ = said(replace(two, outcomes=dict(zip(two.outcomes, (one, fewer), strict=True))))
    assert "Images: one split a variant; in each trial 6 to 8 train, 2 are measured." in held


def test_looks_of_a_comparison_that_grows_are_counted(tmp_path):
    report = tmp_path / "comparison.json"
    assert looks(report, 3) == (3,)
    report.write_text(json.dumps({"seeds": 3}))
    assert looks(report, 3) == (3,)
    assert looks(report, 4) == (3, 4)
    report.write_text(json.dumps({"seeds": 4, "looks": [3, 4]}))
    assert looks(report, 6) == (3, 4, 6)
    for damaged in ("", "[]", "{}", '{"looks": 3}', '{"looks": ["many"]}'):
        report.write_text(damaged)
        assert looks(report, 5) == (5,)


def test_each_look_is_another_try_and_fresh_seeds_settle_it(two):
    assert "5 % at most, if the number of seeds was fixed beforehand" in intervals(two)
    once = " ".join(limits(two, (3,)))
    assert "p holds for a number of seeds that was fixed beforehand" in once
    assert "also looked at" not in once
    grown = " ".join(limits(two, (1, 2, 3)))
    assert "also looked at with 1 and 2 seeds, and each look is another try" in grown
    assert "in another folder, with all seeds fresh: --set training.seed=1000." in grown
    assert "also looked at with 1 seed, and" in " ".join(limits(two, (1, 3)))
    training = two.experiment.base.training.model_copy(update={"seed": 1000})
    base = two.experiment.base.model_copy(update={"training": training})
    again = replace(two, experiment=replace(two.experiment, base=base))
    assert "training.seed=2000." in " ".join(limits(again, (3,)))
    alone = replace(two, outcomes=dict(list(two.outcomes.items())[:1]))
    assert "looked" not in " ".join(limits(alone, (3,)))
