"""The best epoch, patience and time budget, and the history as a file."""

import json
import math

from normwise.training.history import read_history, write_history
from normwise.training.standing import Standing, best_epoch, judged
from normwise.training.training_settings import TrainingSettings


def after(values, **settings):
    standing = Standing()
    for given in values:
        if standing.stopped:
            break
        training = TrainingSettings(metric=settings.pop("metric", "iou"), **settings)
        settings["metric"] = training.metric
        value, loss = given if isinstance(given, tuple) else (given, math.nan)
        row = {"epoch": standing.epochs + 1, f"val_{training.metric}": value, "seconds": 2.0}
        row["val_loss"] = loss
        standing = judged(standing, row, training)
    return standing


def test_the_best_epoch_is_kept():
    standing = after([0.1, 0.4, 0.3])
    assert (standing.best, standing.best_epoch, standing.waited) == (0.4, 2, 1)
    assert not standing.improved
    assert after([3.0, 4.0], metric="rmse").best_epoch == 1


def test_the_last_epoch_is_kept_where_that_is_asked_for():
    standing = after([0.1, 0.4, 0.3], keep="last")
    assert (standing.best, standing.best_epoch, standing.waited) == (0.4, 3, 1)
    assert standing.improved
    patient = after([0.1, 0.4, 0.3, 0.2, 0.9], keep="last", early_stopping=2)
    assert (patient.epochs, patient.best_epoch) == (4, 4)


def test_patience():
    standing = after([0.1, 0.4, 0.3, 0.2, 0.9], early_stopping=2)
    assert standing.epochs == 4
    assert standing.stopped == "no better iou for 2 epochs"
    assert after([0.1, 0.4, 0.3, 0.2, 0.9]).epochs == 5


def test_budget():
    assert after([0.1, 0.2, 0.3], budget=3).epochs == 2
    assert not after([0.1], epochs=1, budget=1).stopped


def test_without_any_number_the_last_epoch_is_the_best():
    assert after([math.nan, math.nan]).best_epoch == 2


def test_without_any_number_the_loss_decides():
    silent = [(math.nan, 0.9), (math.nan, 0.2), (math.nan, 0.5), (math.nan, 0.4)]
    standing = after(silent)
    assert standing.best_epoch == best_epoch(standing.history, "iou") == 2
    assert standing.waited == 2
    assert after(silent, early_stopping=2).stopped == "no lower validation loss for 2 epochs"
    # A number beats none, however low the loss was.
    assert after([*silent, (0.1, 3.0), (0.05, 0.1)]).best_epoch == 5
    assert after([(0.1, 3.0), *silent]).best_epoch == 1


def test_it_survives_a_checkpoint():
    standing = after([(0.1, 0.5), (math.nan, 0.25)])
    again = Standing.from_state(json.loads(json.dumps(standing.to_state())))
    assert again.history[0] == standing.history[0]
    assert again.best == standing.best
    assert math.isnan(again.history[1]["val_iou"])


def test_history_as_a_file(tmp_path):
    history = ({"epoch": 1, "loss": 0.1}, {"epoch": 2, "loss": math.nan})
    write_history(tmp_path / "history.csv", history)
    assert (tmp_path / "history.csv").read_text() == "epoch,loss\n1,0.1\n2,\n"
    again = read_history(tmp_path / "history.csv")
    assert again[0] == history[0]
    assert math.isnan(again[1]["loss"])
