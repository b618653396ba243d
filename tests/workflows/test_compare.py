"""Comparisons from a folder of data to a page, interrupted, killed and gone on with."""

import json
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.comparison import on_ray, running
from normwise.comparison.experiment import Experiment, Trial, variants_of
from normwise.comparison.measuring import images_of
from normwise.comparison.outcome import Outcome, Probes
from normwise.comparison.processes import in_processes
from normwise.data.folder import open_dataset
from normwise.distributed.where import Where
from normwise.errors import (
    DataError,
    NetworkError,
    OutputExistsError,
    PlanError,
    RecipeError,
    RunError,
)
from normwise.rasters import write_raster
from normwise.report.compared.page import html_page
from normwise.report.page.numbers import MISSING
from normwise.training.history import read_history
from normwise.training.preparing import parts_of, training_batches
from normwise.training.recipe import Recipe, load_recipe, to_yaml
from normwise.training.recipe_changes import with_settings
from normwise.workflows import compare as workflow
from normwise.workflows import compare_report
from normwise.workflows.compare_examples import examples_of
from tests.commands import normwise
from tests.comparison.made_up import summary
from tests.distributed import ray_jobs
from tests.ray_cluster import ray_cluster

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("no_pictures")

PLANS = ("batch@pre-activation", "none")
SETTINGS = (
    "network.filters=4", "network.depth=1", "training.epochs=2", "training.steps=2",
    "training.batch_size=2", "data.patch=16",
)  # fmt: skip
READ_BACK = {
    "batch@pre-activation": "standardize@input,batch@pre-activation",
    "none": "standardize@input",
}
TIMES = {"seconds", "patches_per_second"}
ROOT = Path(__file__).parents[2]
POPEN = subprocess.Popen


def make_data(root, images=6):
    rng = np.random.default_rng(0)
    rows = ["name,split"]
    for index in range(images):
        image = rng.normal(size=(16, 16, 2)).astype(np.float32)
        for part, array in (("images", image), ("targets", image[..., :1] * 2 + 1)):
            (root / part).mkdir(parents=True, exist_ok=True)
            write_raster(root / part / f"i{index}.npy", array)
        rows.append(f"i{index},{'test' if index == 0 else 'val' if index == 1 else 'train'}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("compared") / "fields")


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "found"
    return nw.compare(data, PLANS, out=out, seeds=2, settings=SETTINGS, progress=False)


@pytest.fixture
def unprobed(monkeypatch):
    """Of trained networks only the metrics are measured; `found` has trials with all of it."""
    monkeypatch.setattr(running, "probed", lambda *_: (Probes(), ()))
    monkeypatch.setattr(running, "seconds_per_megapixel", lambda *_: 1.0)


def bits(outcome):
    """What a trial gave, without the time that it took."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in outcome.history]
    return rows, outcome.metrics, outcome.best_epoch


def trained(monkeypatch):
    """The folders of the trials that are trained from now on."""
    folders, real = [], running.train

    def watched(recipe, *, out, **more):
        folders.append(out)
        return real(recipe, out=out, **more)

    monkeypatch.setattr(running, "train", watched)
    return folders


def test_trials_are_runs_and_the_numbers_are_theirs(found):
    assert [line.variant.plan for line in found.lines] == list(PLANS)
    for line in found.lines:
        for seed, (value, outcome) in enumerate(zip(line.values, line.outcomes, strict=True)):
            run = found.folder / Trial(line.variant, seed).folder
            assert str(nw.plan_of(run)) == READ_BACK[line.variant.plan]
            assert value == pytest.approx(nw.evaluate(run).values["r2"], rel=1e-6)
            assert outcome.metrics["val"]["r2"] != value
            assert outcome.cost.steps == 4
            assert outcome.cost.seconds_per_step > 0
            assert outcome.cost.seconds_per_megapixel > 0
            assert outcome.images.evaluated == 1
    batch, none = (line.outcomes[0] for line in found.lines)
    assert (batch.norms.layers, none.norms.layers) == (6, 0)
    assert batch.norms.foldable == 6
    assert batch.cost.statistics == 2 * sum((4, 4, 8, 8, 4, 4))
    assert none.cost.statistics == 0
    assert batch.probes.disparity > 0
    assert batch.probes.batch_dependence > 0
    assert (none.probes.disparity, none.probes.batch_dependence) == (0, 0)
    assert [one.probes.tile_mismatch for one in (batch, none)] == [0, 0]
    assert found.summary.metric == "r2"


def begun(recipe):
    """The first kernels of a trial, by layer, and a batch of its second epoch."""
    parts = parts_of(recipe)
    kernels = {
        layer.name: np.array(layer.kernel)
        for layer in parts.network.layers
        if hasattr(layer, "kernel")
    }
    with training_batches(parts.recipe, parts.dataset, parts.images, None) as batches:
        batches.set_epoch(1)
        return kernels, batches[1]


def test_trials_of_a_seed_begin_alike_and_see_the_same_patches(found):
    experiment = found.summary.experiment
    batch, none, next_seed = (experiment.recipe(t) for t in list(experiment.trials())[:3])
    (kernels, seen), (others, same), (later, new) = map(begun, (batch, none, next_seed))
    assert kernels.keys() == others.keys()
    assert len(kernels) == 8
    for name, kernel in kernels.items():
        np.testing.assert_array_equal(kernel, others[name])
        assert not np.array_equal(kernel, later[name])
    for one, other in zip(seen, same, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(seen[0], new[0])


def test_differences_are_those_of_trials_with_one_seed(found):
    (one, other) = found.lines
    differences = found.pairs[0].paired.differences
    assert differences == pytest.approx(np.subtract(one.values, other.values).tolist())
    assert one.values[0] != one.values[1], "seeds differ"


def test_the_folder_has_the_page_and_the_numbers(found):
    content = json.loads((found.folder / "comparison.json").read_text())
    assert content["answer"] == found.answer
    assert [v["values"] for v in content["variants"]] == [list(line.values) for line in found.lines]
    assert content["variants"][0]["disparity"] > 0 == content["variants"][1]["disparity"]
    assert content["trials"][PLANS[0]][0]["probes"]["samples"] == 16
    assert content["pairs"][0]["verdict"] == found.pairs[0].verdict()
    page = (found.folder / "report.html").read_text()
    assert page.count('class="network"') == 2
    assert page.count("data:image/png;base64") == 1 * (2 + 2 * 2)
    assert page.count('class="chart"') == 3
    text = (found.folder / "report.md").read_text()
    for told in (found.answer, content["command"], content["data"]["fingerprint"]):
        assert told in text
    assert "measured on the same images, and all seeds train on the same ones" in text


def test_trials_tell_which_images_trained_them(data, found, tmp_path):
    drawn = shutil.copytree(data, tmp_path / "drawn")
    table = (drawn / "split.csv").read_text()
    (drawn / "split.csv").write_text(table.replace(",val", ",train"))
    told, seeds = {}, range(6)
    for folder in (data, drawn):
        told[folder] = [images_of(open_dataset(folder, seed=seed), "test") for seed in seeds]
    assert {(own.train, own.evaluated) for own in (*told[data], *told[drawn])} == {(4, 1)}
    assert len({own.key for own in (*told[data], *told[drawn])}) == 1
    assert len({own.training for own in told[data]}) == 1
    assert len({own.training for own in told[drawn]}) > 1
    assert {one.images for line in found.lines for one in line.outcomes} == {told[data][0]}


def test_the_page_of_an_error_and_of_variants_whose_epochs_other_metrics_chose(tmp_path):
    made = summary([0.6, 0.5], [0.7, 0.8], metric="rmse")
    one, other = made.outcomes.values()
    chosen = [
        replace(o, metric="mae", history=[{**row, "val_mae": 9.0} for row in o.history])
        for o in other
    ]
    made = replace(made, outcomes=dict(zip(made.outcomes, (one, chosen), strict=True)))
    facts = compare_report.facts_of(tmp_path, made, "0" * 16, Where(), (2,))
    assert facts.lower_is_better
    assert facts.better == ("the second is better", "the first is better")
    assert "Down and left is better" in html_page(facts)
    for curve, mean in zip(facts.curves, (0.55, 0.75), strict=True):
        assert curve.mean[-1] == pytest.approx(mean * (1 - 0.5**4))


def test_the_command_of_the_page_goes_on_with_the_same_comparison(found, monkeypatch):
    folders = trained(monkeypatch)
    content = json.loads((found.folder / "comparison.json").read_text())
    words = shlex.split(content["command"])
    done = normwise(*words[1:])
    assert done.returncode == 0, done.stderr
    assert folders == []
    assert found.lines[0].variant.name in done.stdout
    assert "report.html" in done.stdout
    told = normwise(*words[1:], "--format", "json")
    assert json.loads(told.stdout)["answer"] == found.answer


def dying(command, **more):
    """Starts a trial in a process that dies after an epoch."""
    own = {"normwise.comparison.worker": "tests.workflows.dying_trial"}
    return POPEN([own.get(word, word) for word in command], cwd=ROOT, **more)


@pytest.mark.slow
def test_a_killed_trial_goes_on_and_ends_with_the_bits_of_one_in_this_process(
    found, data, tmp_path, monkeypatch
):
    """The same plan and seed as a trial of `found`, in a process of its own, killed on the way."""
    trial = Trial(found.lines[0].variant, 1)
    base = with_settings(Recipe(data={"path": str(data)}), SETTINGS)
    recipe = Experiment(base, (trial.variant,), 2).recipe(trial)
    folder = tmp_path / "trial"
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", dying)
        with pytest.raises(RunError, match=r"ended by signal 9.*the same command goes on"):
            in_processes([(trial, recipe, folder)], 1)
    assert len(read_history(folder / "history.csv")) == 1
    assert Outcome.read(folder) is None
    done = []
    in_processes([(trial, recipe, folder)], 1, done.append)
    assert done == [trial]
    outcome = Outcome.read(folder)
    assert bits(outcome) == bits(found.lines[0].outcomes[1])
    assert bits(outcome) != bits(found.lines[0].outcomes[0])
    assert outcome.cost.peak_memory > 1e8


@pytest.mark.slow
def test_on_ray_a_comparison_is_the_same_though_a_worker_dies(
    found, data, tmp_path, ray_cluster, caplog, monkeypatch
):
    """A trial of `found` is made anew, in a worker that dies after its first epoch."""
    again = tmp_path / "again"
    shutil.copytree(found.folder, again)
    folder = again / Trial(found.lines[1].variant, 1).folder
    shutil.rmtree(folder)
    asked = {"out": again, "seeds": 2, "settings": SETTINGS, "progress": False, "on": "ray"}
    said = []
    monkeypatch.setattr(on_ray, "make_trial", ray_jobs.trial_of_a_dying_worker)
    more = nw.compare(data, PLANS, say=said.append, **asked)
    assert folder.with_name("died").exists()
    assert said[0] == "4 trials, 3 of them done already"
    assert "none, seed 1: its worker died; tried again, 1 of 3" in caplog.text
    for here, there in zip(found.lines, more.lines, strict=True):
        assert [bits(one) for one in there.outcomes] == [bits(one) for one in here.outcomes]
    assert more.lines[1].outcomes[1].cost.peak_memory > 1e8
    content = json.loads((again / "comparison.json").read_text())
    assert "--on ray" in content["command"]


@pytest.mark.usefixtures("unprobed")
def test_an_interrupted_comparison_goes_on_and_can_grow(found, data, monkeypatch):
    real = running.train

    def interrupted(recipe, **more):
        if recipe.training.seed == 2 and recipe.norm == "none":
            raise KeyboardInterrupt
        return real(recipe, **more)

    monkeypatch.setattr(running, "train", interrupted)
    asked = {"out": found.folder, "seeds": 3, "settings": SETTINGS, "progress": False}
    with pytest.raises(KeyboardInterrupt, match=r"5 of 6 trials are done.*same command goes on"):
        nw.compare(data, PLANS, **asked)
    monkeypatch.setattr(running, "train", real)
    folders, said = trained(monkeypatch), []
    more = nw.compare(data, PLANS, say=said.append, **asked)
    assert [folder.name for folder in folders] == ["seed2"]
    assert said[0] == "6 trials, 5 of them done already"
    assert said[1].startswith("6 of 6: none, seed 2: r2 ")
    for before, after in zip(found.lines, more.lines, strict=True):
        assert after.values[:2] == before.values
    assert json.loads((found.folder / "comparison.json").read_text())["looks"] == [2, 3]
    assert "also looked at with 2 seeds" in (found.folder / "report.html").read_text()


@pytest.mark.usefixtures("unprobed")
def test_the_worse_plan_is_stopped_and_the_others_end_as_if_nothing_had_been(
    found, data, tmp_path, monkeypatch
):
    real, out, plans = running.train_until, tmp_path / "halved", (*PLANS, "group(groups=2)@skip")
    # Pictures of predictions are another test's, and slow.
    monkeypatch.setattr(compare_report, "examples_of", lambda folders: ((), None))

    def interrupted(epoch, recipe, **more):
        if recipe.norm == plans[2]:
            raise KeyboardInterrupt
        return real(epoch, recipe, **more)

    asked = {"out": out, "seeds": 1, "settings": SETTINGS, "progress": False}
    monkeypatch.setattr(running, "train_until", interrupted)
    with pytest.raises(KeyboardInterrupt, match="2 of 3 trials are done"):
        nw.compare(data, plans, halving=True, **asked)
    monkeypatch.setattr(running, "train_until", real)
    said = []
    halved = nw.compare(data, plans, halving=True, say=said.append, **asked)
    assert said[0].startswith("1 of 1: ")
    (rung,) = halved.summary.race.rungs
    (stopped,) = rung.stopped
    assert rung.epochs == 1
    assert any(f"stopped after 1 of 2 epochs, by validation r2: {stopped}" in s for s in said)
    assert stopped == min(plans, key=rung.mean)
    assert [line.variant.name for line in halved.lines] == [p for p in plans if p != stopped]
    full = {line.variant.name: bits(line.outcomes[0]) for line in found.lines}
    ended = {line.variant.name: bits(line.outcomes[0]) for line in halved.lines}
    assert full.keys() & ended.keys()
    assert all(ended[name] == full[name] for name in full.keys() & ended.keys())
    folder = next((out / "trials").glob(f"{variants_of(plans)[plans.index(stopped)].folder}/seed0"))
    assert not (folder / "model.keras").exists()
    text = (out / "report.md").read_text()
    assert "## Stopped early" in text
    assert f"| `{stopped}` | 2 of 4 steps |" in text
    folders = trained(monkeypatch)
    complete = nw.compare(data, plans, **asked)
    assert folders == [folder]
    assert complete.summary.race is None
    assert [line.variant.name for line in complete.lines] == list(plans)
    assert {line.variant.name: bits(line.outcomes[0]) for line in complete.lines}.items() >= (
        full | ended
    ).items()


def test_a_budget_is_turned_into_steps_once(data, tmp_path, monkeypatch):
    from normwise.workflows import compare_budget

    asked = Experiment(Recipe(data={"path": str(data)}), variants_of(PLANS))
    monkeypatch.setattr(compare_budget, "refuse_impossible", lambda recipes, dataset: None)
    monkeypatch.setattr(compare_budget, "steps_for", lambda *given: 1200)
    record, said = tmp_path / "experiment.json", []
    found = compare_budget.planned(asked, 600.0, None, record, said.append)
    assert found.base.training.steps == 1200 // 40
    assert said == ["1,200 training steps to the end, as measured on this machine"]
    recipe = found.base.model_dump(mode="json")
    record.write_text(json.dumps({"budget": 600.0, "recipe": recipe}))
    monkeypatch.setattr(compare_budget, "steps_for", None)
    assert compare_budget.planned(asked, 600.0, None, record, said.append) == found
    with pytest.raises(RunError, match="begun with a budget of 600 s, this is one of 60 s"):
        compare_budget.planned(asked, 60.0, None, record, said.append)
    with pytest.raises(RecipeError, match="name one of them"):
        nw.compare(data, PLANS, out=tmp_path / "both", steps=100, budget="1min")


def test_a_step_of_each_variant_is_measured(data):
    from normwise.comparison.pace import _seconds
    from normwise.training.preparing import opened

    recipe = with_settings(Recipe(data={"path": str(data)}), SETTINGS)
    assert 0 < _seconds(recipe, opened(recipe)) < np.inf


@pytest.mark.usefixtures("unprobed")
def test_folds_and_a_trial_that_diverges_is_a_result(data, tmp_path):
    found = nw.compare(
        data,
        ["none"],
        out=tmp_path / "out",
        seeds=1,
        folds=2,
        vary=["training.learning_rate=0.001,1.0e+30"],
        settings=SETTINGS,
        progress=False,
    )
    good, bad = found.lines
    folds = [outcome.recipe["data"]["fold"] for outcome in good.outcomes]
    assert folds == [[1, 2], [2, 2]]
    assert found.summary.split == "val"
    images = [outcome.images for outcome in good.outcomes]
    assert images[0].key != images[1].key
    assert sorted((own.train, own.evaluated) for own in images) == [(2, 3), (3, 2)]
    assert found.summary.overlap == pytest.approx((3 / 2 + 2 / 3) / 2)
    assert np.isfinite(good.values).all()
    assert bad.diverged == 2
    assert "no number" in bad.outcomes[0].diverged
    assert "diverged in 2 of 2 trials." in found.answer
    page = (tmp_path / "out" / "report.md").read_text()
    assert "(2 diverged)" in page
    assert "--folds 2" in page
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["variants"][1]["values"] == [None, None]
    assert [content["variants"][place]["norms"] for place in (0, 1)] == [0, None]
    assert [cell.text for cell in compare_report._traits(bad)][:2] == [MISSING, MISSING]
    assert np.isfinite(bad.outcomes[0].cost.seconds)
    assert [cell.text for cell in compare_report._cells(bad)][3] == MISSING


def test_bands_are_varied_and_what_fails_costs_no_trial_and_no_report(
    data, tmp_path, monkeypatch, caplog
):
    def failing(*_, **__):
        raise ValueError("a fault")

    monkeypatch.setattr(running, "probed", failing)
    vary, out = ["data.bands=[0],[0,1]"], tmp_path / "out"
    asked = {"seeds": 1, "vary": vary, "settings": SETTINGS, "progress": False}
    found = nw.compare(data, ["none"], out=out, **asked)
    assert np.isfinite([line.mean for line in found.lines]).all()
    assert all(np.isnan(line.outcomes[0].probes.disparity) for line in found.lines)
    runs = {line.variant.name: out / Trial(line.variant, 0).folder for line in found.lines}
    for run in runs.values():
        assert f"{run}: what the trained network is like is left out" in caplog.text
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64") == 1 * (2 + 2 * 2)
    one, other = runs
    # As if the second had been measured on the images of a fold.
    recipe = load_recipe(runs[other] / "recipe.yaml")
    folded = recipe.model_copy(update={"data": recipe.data.model_copy(update={"fold": (2, 2)})})
    (runs[other] / "recipe.yaml").write_text(to_yaml(folded))
    examples, _ = examples_of(runs)
    assert [list(example.predicted) for example in examples] == [[one]]
    assert f"{other}: no example predictions" in caplog.text
    (runs[one] / "model.keras").write_bytes(b"no model")
    (out / "comparison.json").unlink()
    nw.compare(data, ["none"], out=out, **asked)
    for what in ("example predictions", f"drawing of “{one}”"):
        assert f"the page has no {what}: " in caplog.text
    assert json.loads((out / "comparison.json").read_text())["answer"] == found.answer
    assert (out / "report.html").read_text().count('class="network"') == 1


@contextmanager
def holding(path, content):
    """A file holds something else for a while."""
    kept = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        if kept is None:
            path.unlink()
        else:
            path.write_bytes(kept)


def test_other_conditions_are_never_mixed_in(found, data, monkeypatch):
    asked = {"out": found.folder, "settings": SETTINGS}
    with pytest.raises(RunError, match=r"training\.epochs is 5, was 2"):
        nw.compare(data, PLANS, out=found.folder, settings=[*SETTINGS, "training.epochs=5"])
    with pytest.raises(RunError, match="folds is 2, was None"):
        nw.compare(data, PLANS, folds=2, **asked)
    trial = Trial(found.lines[0].variant, 0)
    folder = found.folder / trial.folder
    outcome = Outcome.read(folder)
    other = {**outcome.asked, "training": {**outcome.asked["training"], "epochs": 9}}
    replace(outcome, asked=other).write(folder)
    try:
        with pytest.raises(RunError, match=r"another recipe: training\.epochs is 2, was 9"):
            nw.compare(data, PLANS, **asked)
    finally:
        outcome.write(folder)
    assert outcome.versions["backend"] == keras.backend.backend()
    monkeypatch.setattr(workflow, "require_backend", lambda: "another")
    with pytest.raises(RunError, match="the backend is another, was "):
        nw.compare(data, PLANS, **asked)


def test_other_data_are_never_mixed_in(found, data):
    image, table, asked = data / "images" / "i2.npy", data / "split.csv", {"settings": SETTINGS}
    moved = table.read_text().replace("i0,test", "i0,train").replace("i2,train", "i2,test")
    for path, content, message in (
        (image, image.read_bytes()[:-4] + bytes(4), "the data have changed"),
        (table, moved.encode(), "images of the data folder stand in other splits or groups"),
        (data / "dataset.yaml", b"nodata: 7", r"dataset\.yaml says otherwise of nodata"),
    ):
        with holding(path, content), pytest.raises(RunError, match=message):
            nw.compare(data, PLANS, out=found.folder, **asked)
    folder = found.folder / Trial(found.lines[0].variant, 0).folder
    outcome = Outcome.read(folder)
    replace(outcome, images=replace(outcome.images, key="other")).write(folder)
    try:
        with pytest.raises(RunError, match="measured on different images with seed 0"):
            nw.compare(data, PLANS, out=found.folder, seeds=2, **asked)
    finally:
        outcome.write(folder)


def test_bad_input_is_refused_before_anything_is_trained(data, tmp_path, monkeypatch):
    folders = trained(monkeypatch)
    out = tmp_path / "out"

    def asked(*plans, **more):
        return nw.compare(data, plans or PLANS, out=out, **{"settings": SETTINGS, **more})

    with pytest.raises(PlanError, match="nowhere"):
        asked("none", "batch@nowhere")
    with pytest.raises(RecipeError, match="two variants or more"):
        asked("none")
    with pytest.raises(RecipeError, match="seeds is 0"):
        asked(seeds=0)
    with pytest.raises(RecipeError, match="folds is 1"):
        asked(folds=1)
    with pytest.raises(RecipeError, match="--set norm would change nothing: name plans"):
        asked(settings=[*SETTINGS, "norm=batch@skip"])
    with pytest.raises(RecipeError, match="--set out would change nothing: trials have folders"):
        asked(settings=[*SETTINGS, "out=elsewhere"])
    fold = "every fold or on none; say how many with --folds"
    with pytest.raises(RecipeError, match=fold):
        asked(settings=[*SETTINGS, "data.fold=[1,3]"])
    with pytest.raises(RecipeError, match=fold):
        nw.compare(Recipe(data={"path": str(data), "fold": (1, 3)}), PLANS, out=out)
    with pytest.raises(RecipeError, match="the budget is 'soon'"):
        asked(budget="soon")
    with pytest.raises(DataError):
        nw.compare(tmp_path / "gone.csv", PLANS, out=out)
    question = ["network.name=question", "network.filters=4", "data.patch=64"]
    with pytest.raises(PlanError, match=r"the variant “.*decoder:pre-activation.*decoder_activati"):
        asked("none", "batch@decoder:pre-activation", settings=question)
    with pytest.raises(RecipeError, match=r"(?s)can't be trained.*multiples of the network's"):
        asked(settings=[*SETTINGS, "data.patch=17"])
    with pytest.raises((NetworkError, RecipeError), match="can't be trained"):
        asked(vary=["network.colour=1,2"])
    bare = shutil.copytree(data, tmp_path / "bare", ignore=shutil.ignore_patterns("split.csv"))
    more = {"vary": ["data.validation=0.5,0.7"], "settings": SETTINGS}
    with pytest.raises(RecipeError, match=r"data\.validation=0\.7” would be measured on different"):
        nw.compare(bare, ["none"], out=out, **more)
    assert folders == []
    assert not out.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.html").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"holds report\.html"):
        nw.compare(data, PLANS, out=tmp_path / "other", settings=SETTINGS)
    (tmp_path / "other" / "trials").mkdir()
    with pytest.raises(OutputExistsError, match=r"holds trials, but no .* another folder\.$"):
        nw.compare(data, PLANS, out=tmp_path / "other", settings=SETTINGS, overwrite=True)
    assert len(list((tmp_path / "other").iterdir())) == 2


def test_steps_are_settings_of_the_trials(data, tmp_path, monkeypatch):
    assert workflow._limits(1000, None) == ["training.epochs=20", "training.steps=50"]
    assert workflow._limits(7, None) == ["training.epochs=7", "training.steps=1"]
    for steps in range(1, 2000):
        texts = workflow._limits(steps, None)
        epochs, each = (int(text.partition("=")[2]) for text in texts)
        assert abs(epochs * each - steps) <= each / 2, (steps, texts)
        assert min(steps, 14) <= epochs <= 29, (steps, texts)
    assert workflow._limits(None, "2min") == ["training.epochs=20"]
    recipe = with_settings(Recipe(data={"path": "x"}), workflow._limits(1000, None))
    assert (recipe.training.epochs, recipe.training.steps) == (20, 50)
    assert variants_of(PLANS)[0].plan == PLANS[0]
