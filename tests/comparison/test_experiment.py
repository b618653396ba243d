"""Which trials a comparison makes, and by which recipes."""

import pytest

from normwise.comparison.experiment import Experiment, Trial, variants_of
from normwise.errors import PlanError, RecipeError
from normwise.training.recipe import Recipe

BASE = Recipe(data={"path": "rivers"}, training={"seed": 5, "epochs": 3}, out="elsewhere")
PLANS = ["batch@pre-activation", "none"]


def test_every_plan_with_every_value_seed_and_fold():
    variants = variants_of(PLANS, ["network.filters=8,16", "training.batch_size=2,4"])
    assert len(variants) == 8
    experiment = Experiment(BASE, variants, seeds=2, folds=3)
    trials = list(experiment.trials())
    assert len(trials) == len(set(trials)) == 8 * 2 * 3
    assert len({trial.folder for trial in trials}) == len(trials)
    assert [trial.seed for trial in trials[:9]] == [5] * 9
    recipe = experiment.recipe(trials[-1])
    assert (recipe.training.seed, recipe.data.fold, recipe.out) == (6, (3, 3), None)
    assert (recipe.network.filters, recipe.training.batch_size) == (16, 4)
    assert recipe.norm == "none"
    assert recipe.training.weights_by_name
    assert recipe.training.epochs == 3


def test_names_and_folders_don_t_depend_on_what_else_is_compared():
    (first, _) = variants_of(PLANS)
    (_, again) = variants_of(["batch@skip", PLANS[0]])
    assert first == again
    assert first.name == "batch@pre-activation"
    assert first.folder.startswith("batch-pre-activation-")
    folder = Trial(first, 3, (1, 5)).folder
    assert folder == f"trials/{first.folder}/seed3-fold1of5"
    long = variants_of(PLANS, ["network.name=unet,residual", "training.loss=dice,cross-entropy"])
    assert all(len(variant.folder) < 80 for variant in long)
    assert len({variant.folder for variant in long}) == 8


def test_values_are_read_as_yaml():
    variants = variants_of(["none"], ["network.decoder_activation=null,relu", "data.patch=32,64"])
    assert variants[0].settings == ("network.decoder_activation=null", "data.patch=32")
    recipes = [Experiment(BASE, variants).recipe(Trial(v, 0)) for v in variants]
    assert [r.network.options["decoder_activation"] for r in recipes] == [None] * 2 + ["relu"] * 2
    assert [r.data.patch for r in recipes] == [(32,), (64,)] * 2


def test_a_switch_and_a_number_are_two_values():
    assert len(variants_of(["none"], ["training.workers=1,true"])) == 2


@pytest.mark.parametrize(
    ("plans", "vary", "message"),
    [
        (["none"], [], "two variants or more; received 1 plan"),
        (["none", "standardize@input"], [], "'standardize@input' is named twice"),
        (["none"], ["training.epochs"], "written key=value,value"),
        (["none"], ["training.epochs=3"], "written key=value,value"),
        (["none"], ["training.epochs=[1,"], "written key=value,value"),
        (["none"], ["norm=none,batch@skip"], "name plans with --norm"),
        (["none"], ["training.seed=1,2"], "--seeds"),
        (["none"], ["data.patch=1,2", "data.patch=3,4"], "'data.patch' is named twice"),
        (["none"], ["training.batch_size=2,4,2"], "training.batch_size=2 is named twice"),
        (["none"], ["training.batch_size=2,2.0"], "training.batch_size=2.0 is named twice"),
        (["none"], ["network.decoder_activation=null,~"], "activation=null is named twice"),
        (["none"], ["training.x=.nan,.nan"], "training.x=.nan is named twice"),
        (["none"], ["data.patch=[16],[16]"], r"patch=\[16\] is named twice"),
    ],
)
def test_bad_input(plans, vary, message):
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        variants_of(plans, vary)


def test_no_plan():
    with pytest.raises(PlanError, match="nowhere"):
        variants_of(["none", "batch@nowhere"])


def test_an_unknown_setting_is_refused_before_anything_is_made():
    experiment = Experiment(BASE, variants_of(["none"], ["training.epoch=1,2"]))
    with pytest.raises(RecipeError, match=r"Did you mean training\.epochs"):
        [experiment.recipe(trial) for trial in experiment.trials()]
