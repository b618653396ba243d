"""TensorBoard and MLflow have every step once, also when a run is resumed or a server is gone."""

import struct
import sys

import numpy as np
import pytest
from matplotlib.image import imsave

from normwise.errors import RunError
from normwise.training.history import write_history
from normwise.training.progress import Silent
from normwise.training.trackers import Tracked, record_end, trackers_of

ROWS = tuple(
    {"epoch": n, "loss": 1 / n, "val_iou": n / 10, "val_gone": np.nan} for n in range(1, 5)
)
SETTINGS = {"training.epochs": 4, "data.path": "x" * 600}


def scalars(folder):
    """What TensorBoard would read: (name, step) of every event file, in order."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((folder / "tensorboard").glob("events*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(value.tag, event.step) for value in event.summary.value]
            data = data[16 + length :]
    return found


def recorded(folder):
    """What MLflow holds: parameters, steps of each metric, artifacts and status."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(folder / "mlruns").resolve().as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("normwise").experiment_id])
    names = ("loss", "val_iou", "val_gone")
    steps = {n: [m.step for m in client.get_metric_history(run.info.run_id, n)] for n in names}
    values = [m.value for m in client.get_metric_history(run.info.run_id, "loss")]
    artifacts = [item.path for item in client.list_artifacts(run.info.run_id)]
    return run.data.params, steps, values, artifacts, run.info.status


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("names", [("tensorboard", "mlflow")])
def test_a_run_that_goes_on_has_every_step_once(names, tmp_path):
    imsave(tmp_path / "preview.png", np.random.default_rng(0).random((4, 6, 3)))
    for tracker in trackers_of(names, tmp_path, SETTINGS, resume=False):
        tracker.record(ROWS[:1])
        tracker.record(ROWS[:2])  # and then it is killed
    for tracker in trackers_of(names, tmp_path, SETTINGS, resume=True):
        tracker.record(ROWS[:3])
        tracker.record(ROWS)
        tracker.record(ROWS)
        tracker.finish(tmp_path / "preview.png")
    found = [pair for pair in scalars(tmp_path) if pair[0] in ("loss", "val_iou", "val_gone")]
    assert found == [(name, n) for n in range(1, 5) for name in ("loss", "val_iou")]
    assert "preview" in dict(scalars(tmp_path))
    parameters, steps, losses, artifacts, status = recorded(tmp_path)
    assert steps == {"loss": [1, 2, 3, 4], "val_iou": [1, 2, 3, 4], "val_gone": []}
    assert losses == [row["loss"] for row in ROWS]
    assert parameters == {"training.epochs": "4", "data.path": "x" * 500}
    assert artifacts == ["preview.png"]
    assert status == "FINISHED"


def test_what_a_server_did_not_take_is_made_up_for(tmp_path, caplog):
    class Down:
        seen, fails = [], True

        def record(self, history):
            if self.fails:
                raise OSError("no server")
            self.seen = list(history)

    tracker = Down()
    watcher = Tracked(Silent(), [tracker], tmp_path / "history.csv")
    rows = [{"epoch": n, "loss": 1 / n} for n in (1, 2)]
    write_history(tmp_path / "history.csv", tuple(rows[:1]))
    watcher.epoch(1, rows[0], "")
    assert "epoch 1 is not recorded yet: no server" in caplog.text
    tracker.fails = False
    write_history(tmp_path / "history.csv", tuple(rows))
    watcher.epoch(2, rows[1], "")
    assert tracker.seen == rows


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")]
)
def test_a_missing_package_is_said(name, package, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(
        "normwise.training.trackers.find_spec", lambda wanted: None if wanted == package else 1
    )
    with pytest.raises(RunError, match=rf"{package}, which isn't.*normwise\[{name}\]"):
        trackers_of([name], tmp_path, SETTINGS, resume=False)
    assert not list(tmp_path.iterdir())


def test_an_address_that_is_none_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with pytest.raises(RunError, match=r"MLflow at nonsense://nowhere can't be used"):
        trackers_of(["mlflow"], tmp_path, SETTINGS, resume=False)


def test_a_server_that_is_down_at_the_end_costs_no_finished_run(tmp_path, caplog):
    class Seen:
        told = ()

        def record(self, history):
            self.told = history

        def finish(self, preview):
            self.told = (*self.told, preview)

    class Down(Seen):
        def finish(self, preview):
            raise OSError("no server")

    seen, preview = Seen(), tmp_path / "preview.png"
    record_end([Down(), seen], ROWS, preview)
    assert seen.told == (*ROWS, preview)
    assert "Down doesn't have the end of the run (OSError no server)" in caplog.text
    assert f"`normwise train {tmp_path} --resume` tries again" in caplog.text
