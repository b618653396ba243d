"""What successive halving stops, and what may be said of the rest."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from normwise.comparison.answer import answer
from normwise.comparison.experiment import Experiment, variants_of
from normwise.comparison.halving import (
    Race,
    Rung,
    epochs_trained,
    judged,
    rungs_of,
    value_after,
)
from normwise.comparison.pairing import all_pairs
from normwise.comparison.racing import refuse_unequal
from normwise.distributed.where import Where
from normwise.errors import RecipeError
from normwise.training.recipe import Recipe
from normwise.workflows.compare_equal import equal
from normwise.workflows.compare_words import command, intervals, limits, stopped
from tests.comparison.made_up import summary

NAN = math.nan


@pytest.mark.parametrize(
    ("variants", "epochs", "expected"),
    [
        (2, 20, ()),
        (3, 20, (10,)),
        (4, 20, (10,)),
        (5, 20, (5, 10)),
        (8, 20, (5, 10)),
        (9, 20, (3, 5, 10)),
        (8, 4, (1, 2)),
        (8, 5, (2, 3)),
    ],
)
def test_rungs_lie_at_a_half_a_quarter_and_so_on(variants, epochs, expected):
    assert rungs_of(variants, epochs) == expected
    left, cost, done = variants, 0, 0
    for epoch in (*expected, epochs):
        cost, done = cost + left * (epoch - done), epoch
        left = max(2, math.ceil(left / 2))
    assert left == 2
    assert epochs_trained(variants, epochs) == cost
    assert not expected or cost < variants * epochs


def test_too_few_epochs_for_the_rungs():
    with pytest.raises(RecipeError, match=r"epochs is 1: 3 variants.*give 2 epochs or more"):
        rungs_of(3, 1)
    with pytest.raises(RecipeError, match="give 8 epochs or more"):
        rungs_of(16, 3)


def test_the_better_half_goes_on_by_its_mean():
    values = {"a": (0.5, 0.5), "b": (0.9, 0.3), "c": (0.6, 0.5), "d": (0.1, 0.2), "e": (0.4, 0.4)}
    rung = judged(5, values, "iou")
    assert rung.kept == ("b", "c", "a")
    assert rung.stopped == ("d", "e")
    assert rung.mean("b") == pytest.approx(0.6)
    assert judged(5, values, "rmse").kept == ("d", "e", "a")


def test_equal_ones_go_on_in_the_order_in_which_they_were_named():
    assert judged(1, {"z": (0.5,), "a": (0.5,), "m": (0.5,)}, "iou").kept == ("z", "a")


def test_what_diverged_is_behind_all_that_did_not():
    values = {"a": (0.9, NAN), "b": (0.1, 0.1), "c": (NAN, NAN), "d": (0.2, 0.1)}
    assert judged(1, values, "iou").kept == ("d", "b")
    assert judged(1, {"a": (NAN,), "b": (0.5,), "c": (NAN,)}, "mae").kept == ("b", "a")


def test_a_trial_is_judged_by_its_best_epoch_so_far():
    history = [{"val_iou": v} for v in (0.1, 0.6, NAN, 0.9)]
    assert value_after(3, history, "iou") == 0.6
    assert value_after(4, history, "iou") == 0.9
    assert math.isnan(value_after(5, history, "iou")), "it didn't come that far"
    assert value_after(2, [{"val_mae": 3.0}, {"val_mae": 5.0}], "mae") == 3.0
    assert math.isnan(value_after(1, [{"val_iou": NAN}], "iou"))


def test_survivors_are_corrected_for_all_pairs_that_began():
    results = {"a": [0.70, 0.71, 0.69, 0.72], "b": [0.66, 0.68, 0.65, 0.685]}
    (alone,) = all_pairs(results)
    (picked,) = all_pairs(results, comparisons=28)
    assert picked.adjusted == pytest.approx(28 * alone.paired.p)
    assert (alone.comparisons, picked.comparisons) == (1, 28)
    assert picked.detectable > alone.detectable
    three = {**results, "c": [0.5, 0.6, 0.4, 0.55]}
    assert [p.comparisons for p in all_pairs(three, comparisons=1)] == [3] * 3


def test_a_better_plan_survives_and_no_false_difference_comes_of_the_picking():
    rng, plans, seeds, simulations = np.random.default_rng(0), 8, 3, 400
    kept, false = [], 0
    for _ in range(simulations):
        final = rng.normal(size=(plans, seeds))
        final[0] += 2.0
        early = 0.7 * final + 0.7 * rng.normal(size=(plans, seeds))
        names = [f"p{i}" for i in range(plans)]
        for epoch in rungs_of(plans, 20):
            rung = judged(epoch, {n: tuple(early[int(n[1])]) for n in names}, "iou")
            names = list(rung.kept)
        kept.append("p0" in names)
        null = [n for n in names if n != "p0"]
        pairs = all_pairs({n: final[int(n[1])] for n in null}, comparisons=math.comb(plans, 2))
        false += any(pair.adjusted <= 0.05 for pair in pairs)
    assert np.mean(kept) > 0.9, "by chance a quarter would be kept"
    assert false / simulations <= 0.05


@pytest.fixture
def halved():
    plans = ("batch@pre-activation", "batch@skip", "none", "group@skip")
    found = summary([0.70, 0.72, 0.71], [0.65, 0.70, 0.66], [0.1] * 3, [0.1] * 3)
    values = {plan: (0.6 - i / 10,) * 3 for i, plan in enumerate(plans)}
    race = Race("iou", 20, 50, (Rung(10, values, plans[:2]),))
    outcomes = {name: found.outcomes[name] for name in plans[:2]}
    return replace(found, outcomes=outcomes, race=race)


def test_what_was_stopped_has_no_final_number(halved):
    assert [line.variant.name for line in halved.lines] == ["batch@pre-activation", "batch@skip"]
    (pair,) = halved.pairs
    assert pair.comparisons == 6
    said = answer(halved)
    assert "Stopped early, by validation iou at the time: 2 of 4 variants." in said
    assert "no final number" in said
    content = halved.to_dict()
    assert len(content["pairs"]) == 1
    assert content["halving"]["rungs"][0]["stopped"] == ["none", "group@skip"]
    assert content["halving"]["comparisons_corrected_for"] == 6
    assert replace(halved, race=None).to_dict()["halving"] is None


def test_the_page_tells_what_was_stopped_and_what_that_means(halved, tmp_path):
    table = stopped(halved)
    assert list(table.rows) == ["none", "group@skip"]
    assert [cell.text for cell in table.rows["none"]] == ["500 of 1,000 steps", "0.4", "0.5"]
    assert "the 6 pairs of all variants that began" in intervals(halved)
    assert any("same steps of the same schedule" in line for line in equal(halved))
    told = " ".join(limits(halved))
    assert "stopped wrongly" in told
    assert "picked with the same seeds, by the validation images" in told
    assert "--halving" in command(halved, tmp_path, Where())
    plain = replace(halved, race=None)
    assert stopped(plain) is None
    assert "--halving" not in command(plain, tmp_path, Where())
    assert "began" not in intervals(plain)


def test_variants_that_can_not_be_judged_at_one_step_are_refused():
    def refused(*vary, **training):
        base = Recipe(data={"path": "rivers"}, training=training)
        plans = ["none", "batch@skip", "group@skip"]
        refuse_unequal(Experiment(base, variants_of(plans, vary)))

    refused("training.batch_size=2,8")
    lengths, judges = ["training.epochs=2,8", "training.steps=2,8"], ["training.metric=iou,dice"]
    for vary in (*lengths, *judges, "data.validation=0.1,0.3"):
        with pytest.raises(RecipeError, match=vary.partition("=")[0]):
            refused(vary)
    with pytest.raises(RecipeError, match=r"training\.budget ends trials by themselves"):
        refused(budget=60)
    with pytest.raises(RecipeError, match=r"training\.early_stopping ends"):
        refused("training.early_stopping=2,4")
    with pytest.raises(RecipeError, match="epochs is 1"):
        refused(epochs=1)


def test_steps_fill_the_time_that_is_given(monkeypatch):
    from normwise.comparison import pace

    asked = {f"p{i}": Recipe(data={"path": "x"}) for i in range(4)}
    monkeypatch.setattr(pace, "_seconds", lambda recipe, dataset: 0.1)
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    steps = pace.steps_for(600, asked, None, blocks=3, epochs=20)
    each = epochs_trained(4, 20) / 20
    assert steps % 20 == 0
    # Three quarters of the time, less what makes no whole number of steps in each epoch.
    spare = 0.75 * 600 - steps * each * 3 * 0.1
    assert 0 <= spare < 20 * each * 3 * 0.1 + 1e-6
    with pytest.raises(RecipeError, match=r"budget of 1 s is too short.*need 24 s"):
        pace.steps_for(1, asked, None, blocks=3, epochs=20)
