"""The page of a run: what it says of each way to end, and that it comes to be."""

import json
import logging
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from normwise.data.dataset import Item
from normwise.errors import DivergedError, RunError
from normwise.files import write_text
from normwise.keras_format.reading import read_graph
from normwise.rasters import write_raster
from normwise.training import reporting
from normwise.training.floors import Constant, Floor
from normwise.training.history import write_history
from normwise.training.metrics import Metrics
from normwise.training.predicted_parts import Part
from normwise.training.preparing import parts_of
from normwise.training.recipe import Recipe, to_yaml
from normwise.training.recipe_changes import told_settings
from normwise.training.recipe_reasons import reasoned_yaml
from normwise.training.reporting import LivePage, forget_other, reported
from normwise.training.run_facts import facts_of
from normwise.training.run_files import RECIPE
from normwise.training.run_record import Evaluation, RunRecord, State
from normwise.training.run_words import answer
from normwise.training.seen import SeenImages
from normwise.training.standing import best_epoch
from normwise.training.whole_items import whole_of


def metrics(iou):
    each = {"land": {"iou": 0.9}, "river": {"iou": iou}}
    return Metrics("segmentation", {"iou": iou, "mean_iou": math.nan}, each, 100, ((9, 1), (0, 0)))


def floor(iou):
    return Floor(Constant("land everywhere", (0,)), metrics(iou))


def record(**changes):
    made = RunRecord("normwise train", {"norm": "x"}, "/data", "f00", {"test": 2}, {"keras": "3"})
    return replace(made, **changes)


def rows(*values):
    return tuple(
        {"epoch": k + 1, "loss": 1.0, "val_loss": 1.0, "val_iou": value, "seconds": 2.0,
         "patches_per_second": 9.0} for k, value in enumerate(values)
    )  # fmt: skip


def recipe(**training):
    return Recipe(data={"path": "/data"}, training={"metric": "iou", "epochs": 4, **training})


def said(made, history=(), **training):
    return answer(made, recipe(**training), history, "runs/first")


VALIDATED = Evaluation("/data", "val", 3, metrics(0.5), floor(0.25))
TESTED = Evaluation("/data", "test", 2, metrics(0.4), floor(0.45))
FINISHED = record(state=State.finished, evaluations=(VALIDATED,))


def test_a_finished_run_says_what_it_reached_where_and_beside_what():
    text = said(FINISHED, rows(0.1, 0.5, math.nan, 0.4))
    assert text.startswith("It reaches iou 0.5 on 3 validation images, where the simplest answer, ")
    assert "land everywhere, reaches 0.25." in text
    assert "Epoch 2 of 4 was the best" in text
    assert "a little too good" in text
    assert "`normwise evaluate runs/first`" in text
    assert "early" not in text
    assert "early: the budget" in said(replace(FINISHED, why="the budget of 9 s is used"), rows(1))


def test_the_last_weights_are_no_choice_of_the_validation_images():
    text = said(FINISHED, rows(0.1, 0.5, 0.3, 0.4), keep="last")
    assert "The weights are those after epoch 4 of 4, the last one." in text
    assert "was the best" not in text and "too good" not in text


def test_test_images_come_first_and_no_better_is_said_to_be_so():
    text = said(FINISHED.having(TESTED), rows(0.5))
    assert text.startswith("It reaches iou 0.4 on 2 test images. That is no better than the simple")
    assert "reaches 0.45. It reaches iou 0.5 on 3 validation images" in text
    assert "too good" not in text
    other = replace(TESTED, data="/lakes", tta="flips", floor=None)
    assert "2 test images of /lakes (mean of their flips)." in said(FINISHED.having(other))


def test_lower_can_be_better():
    values = {"rmse": 2.0}
    found = Metrics("regression", values, {"a": values}, 9)
    simple = Floor(Constant("the mean", (0.0,)), replace(found, values={"rmse": 3.0}))
    made = record(state=State.finished, evaluations=(Evaluation("/data", "val", 1, found, simple),))
    assert "rmse 2 on 1 validation image, where the simplest" in said(made, metric="rmse")
    worse = replace(simple, metrics=replace(found, values={"rmse": 1.0}))
    made = record(evaluations=(Evaluation("/data", "val", 1, found, worse),), state=State.finished)
    assert "no better" in said(made, metric="rmse")


def test_other_ends_are_told_with_the_way_on():
    history = rows(0.2, 0.3)
    so_far = "epoch 2, with iou 0.3 on the validation images"
    for state, begin in (
        (State.running, "This run had not come to its end when this was written: 2 of 4 epochs"),
        (State.interrupted, "This run was interrupted; 2 of 4 epochs were done."),
        (State.failed, "This run failed; 2 of 4 epochs were done."),
    ):
        text = said(record(state=state), history)
        assert text.startswith(begin)
        assert so_far in text
        assert "`normwise train runs/first --resume` goes on with it." in text
    text = said(record(state=State.diverged, why="The loss is no number."), history)
    assert text.startswith("This run diverged, so that there is no model. The loss is no number.")
    assert so_far in text
    assert "--resume" not in text
    assert "no epoch of 4 was done" in said(record())


def test_commands_can_be_pasted_into_a_shell():
    for made, words in (
        (FINISHED, "`normwise evaluate 'my runs/a'`"),
        (record(), "`normwise train 'my runs/a' --resume`"),
        (record(state=State.failed), "`normwise train 'my runs/a' --resume`"),
    ):
        assert words in answer(made, recipe(), rows(0.1), "my runs/a")


def test_the_best_epoch_has_a_number():
    assert best_epoch(rows(math.nan, 0.2, 0.2, math.nan), "iou") == 2
    assert best_epoch((), "iou") == 0
    losses = (0.5, 0.25, 0.75)
    silent = tuple({**row, "val_loss": loss}
                   for row, loss in zip(rows(*[math.nan] * 3), losses, strict=True))  # fmt: skip
    text = said(FINISHED, silent)
    assert "In no epoch was iou a number, so that the validation loss chose epoch 2 of 4" in text
    assert "epoch 2, with loss 0.25 on the validation" in said(record(), silent)


def test_a_record_is_kept_and_a_newer_evaluation_takes_the_place_of_an_older_one(tmp_path):
    made = FINISHED.having(TESTED)
    made.write(tmp_path)
    again = RunRecord.read(tmp_path)
    assert again.told == made.told
    assert repr(again) == repr(made)
    assert [repr(one) for one in again.evaluations] == [repr(one) for one in made.evaluations]
    newer = again.having(replace(TESTED, metrics=metrics(0.6)))
    assert [one.split for one in newer.evaluations] == ["val", "test"]
    assert newer.evaluations[1].metrics.values["iou"] == 0.6
    assert RunRecord.read(tmp_path / "none") is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"command": 1}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(RunError, match=r"report\.json can't be read.*Remove it"):
        RunRecord.read(tmp_path)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("paged") / "fields"
    rng = np.random.default_rng(0)
    for name in "abc":
        image = rng.normal(size=(16, 16, 2)).astype(np.float32)
        for kind, array in (("images", image), ("targets", image[..., :1])):
            (root / kind).mkdir(parents=True, exist_ok=True)
            write_raster(root / kind / f"{name}.npy", array)
    (root / "split.csv").write_text("name,split\na,train\nb,val\nc,test\n")
    network = {"filters": 2, "depth": 1}
    return parts_of(Recipe(data={"path": str(root), "patch": 16}, network=network, norm="none"))


@pytest.fixture
def folder(parts, tmp_path):
    reasons = {"network.depth": "the images are small"}
    write_text(tmp_path / "recipe.yaml", reasoned_yaml(parts.recipe, reasons))
    finding = {"severity": "warning", "code": "NW000", "name": "made-up", "message": "What."}
    finding |= {"layers": list("abcdefgh"), "why": "Why.", "fix": "Mend."}
    write_text(tmp_path / "check.json", json.dumps({"findings": [finding]}))
    return tmp_path


@pytest.mark.parametrize(
    ("keep", "data", "said"),
    [("best", "/data", True), ("best", "/lakes", False), ("last", "/data", False)],
)
def test_only_images_that_chose_the_epoch_are_said_to_have(parts, folder, keep, data, said):
    training = parts.recipe.training.model_copy(update={"keep": keep})
    recipe = parts.recipe.model_copy(update={"training": training})
    write_text(folder / RECIPE, to_yaml(recipe), overwrite=True)
    made = record(evaluations=(Evaluation(data, "val", 2, metrics(0.4)),))
    (scores,) = facts_of(folder, made, read_graph(parts.network), None).scores
    assert scores.note.endswith("These images have chosen the epoch.") is said


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (KeyboardInterrupt(), State.interrupted, "was interrupted"),
        (DivergedError("The loss is no number any more."), State.diverged, "any more"),
        (OSError("no space left"), State.failed, "OSError: no space left"),
    ],
)
def test_a_page_says_how_the_run_ended(parts, folder, error, state, words):
    told = {"norm": "none", "network.filters": 2}
    with pytest.raises(type(error)), reported(parts, told, folder):
        assert "had not come to its end" in (folder / "report.html").read_text()
        raise error
    page = (folder / "report.html").read_text()
    assert words in page
    assert 'class="answer troubled"' in page
    kept = RunRecord.read(folder)
    assert kept.state is state
    assert kept.images == {"train": 1, "val": 1, "test": 1}
    assert kept.command.startswith("normwise train ")
    for part in (
        "<code>normwise check</code> has 1 warning of the network", "NW000 made-up",
        "and 2 more", kept.fingerprint,
        "the images are small", "as told, its input scaled", "as told",
        "the usual one of the task", "standardize@input",
    ):  # fmt: skip
        assert part in page.replace("<wbr>", ""), part


def test_the_page_of_a_run_that_trains_is_written_now_and_then(parts, folder, monkeypatch):
    with pytest.raises(KeyboardInterrupt), reported(parts, {}, folder) as page:
        live = LivePage(page)
        history = tuple({**row, "val_r2": 0.25} for row in rows(0.1, 0.2))
        write_history(folder / "history.csv", history)
        live.record(history)
        assert "2 of 40" not in (folder / "report.html").read_text()
        monkeypatch.setattr(reporting, "PAUSE", 0.0)
        live.record(history)
        assert "2 of 40 epochs were done" in (folder / "report.html").read_text()
        raise KeyboardInterrupt


def test_a_page_that_can_not_be_written_costs_no_run(parts, folder, caplog):
    (folder / "recipe.yaml").write_text("data: [")
    with caplog.at_level(logging.WARNING), reported(parts, {}, folder) as page:
        page.write()
    assert "report.html isn't written: RecipeError" in caplog.text
    assert told_settings(parts.recipe)["norm"] == "standardize@input"


@pytest.mark.parametrize("broken", ["content_hash", "read_graph"])
def test_a_page_that_can_not_be_begun_costs_no_run(parts, folder, caplog, monkeypatch, broken):
    def fail(*_):
        raise ValueError("as if it were broken")

    monkeypatch.setattr(reporting, broken, fail)
    with caplog.at_level(logging.WARNING), reported(parts, {}, folder) as page:
        assert page is None
    assert "report.html isn't written: ValueError as if" in caplog.text
    with pytest.raises(KeyboardInterrupt), reported(parts, {}, folder):
        raise KeyboardInterrupt


@pytest.mark.parametrize("broken", ["read_graph", "_shown"])
def test_pictures_that_can_not_be_made_cost_no_finished_run(parts, folder, monkeypatch, broken):
    def fail(*_):
        raise ValueError("as if it were broken")

    values = {"r2": 0.5}
    with reported(parts, {}, folder) as page:
        monkeypatch.setattr(reporting, "read_graph", lambda _: page.graph)
        monkeypatch.setattr(reporting, broken, fail)
        page.finish(parts, Metrics("regression", values, {"a": values}, 9), seen(parts), "")
    assert RunRecord.read(folder).state is State.finished
    assert "This run had not come to its end" not in (folder / "report.html").read_text()


def seen(parts, **changes):
    return SeenImages(parts.output, (Constant("the mean", (0.0,)),), **changes)


def test_a_run_that_goes_on_keeps_what_was_told_and_what_it_reaches(parts, folder):
    with reported(parts, {"norm": "none"}, folder) as page:
        page.kept = replace(page.kept, command="as told").having(TESTED)
        page.end(State.finished)
    with pytest.raises(KeyboardInterrupt), reported(parts, {"data.labels": "targets"}, folder):
        raise KeyboardInterrupt
    kept = RunRecord.read(folder)
    assert (kept.told, kept.command, kept.state) == (
        {"norm": "none"}, "as told", State.interrupted,
    )  # fmt: skip
    assert [one.split for one in kept.evaluations] == ["test"]
    forget_other(parts.recipe, folder)
    assert RunRecord.read(folder)
    forget_other(recipe(), folder)
    assert RunRecord.read(folder) is None


def test_a_name_that_is_not_utf_8_is_hashed_and_shown(parts, folder, tmp_path):
    name = os.fsdecode(b"r\xe9")
    items = tuple(replace(item, name=name) for item in parts.dataset.items)
    odd = replace(parts, dataset=replace(parts.dataset, items=items))
    image, values = np.zeros((16, 16, 2), np.float32), {"r2": 0.5}
    eyes = seen(odd)
    target = image[..., :1]
    eyes(Part(items[0], whole_of(items[0]), image, target, target + 1, target))
    with reported(odd, {}, folder) as page:
        found = Evaluation(f"/{name}", "test", 1, Metrics("regression", values, {"a": values}, 9))
        page.add(found, eyes, odd.dataset)
    assert "r\\udce9: " in (folder / "report.html").read_text(encoding="utf-8")
    assert RunRecord.read(folder).evaluations[0].data == f"/{name}"


@pytest.mark.parametrize("depth", [None, 3])
def test_what_is_kept_of_large_images_is_small(parts, depth):
    shape = (300, 290) if depth is None else (depth, 300, 290)
    image = np.random.default_rng(0).normal(size=(*shape, 2)).astype(np.float32)
    truth = image[..., :1]
    item = Item("large", Path("large.npy"), None, "test", 300, 290, depth=depth)
    eyes, whole = seen(parts), seen(parts, side=300)
    for each in (eyes, whole):
        each(Part(item, whole_of(item), image, truth, np.ones_like(truth), truth))
    here = image if depth is None else image[1]
    (panel,) = eyes.panels
    np.testing.assert_array_equal(panel.image, here[22:278, 17:273])
    np.testing.assert_array_equal(panel.truth, here[22:278, 17:273, 0])
    for kept in (panel.image, panel.truth, panel.predicted, panel.valid):
        assert kept.base is None
        assert kept.shape[:2] == (256, 256)
    np.testing.assert_array_equal(whole.panels[0].image, here)
    assert whole.panels[0].image.base is None
