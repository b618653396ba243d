"""The course of a run for TensorBoard and MLflow, beside the run folder's own files.

A tracker is handed the whole history each time and adds what it lacks. That makes a resumed run
exact, without a step twice or missing, and lets it catch up on what a server didn't take.
"""

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from normwise.errors import RunError
from normwise.files import write_text
from normwise.training.history import History, Row, read_history
from normwise.training.progress import Watcher

_PACKAGES: Final = {"tensorboard": "tensorboardX", "mlflow": "mlflow"}
_RUN_ID: Final = "mlflow_run.txt"
_EXPERIMENT: Final = "normwise"
_LONGEST: Final = 500

log = logging.getLogger("normwise.training")


class Tracker(Protocol):
    """Is told of a run, as often as one likes."""

    def record(self, history: History) -> None:
        """Adds the epochs that are not recorded yet."""
        ...

    def finish(self, preview: Path) -> None:
        """Adds the preview; the run is over."""
        ...


def trackers_of(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any], resume: bool
) -> tuple[Tracker, ...]:
    """The trackers that a recipe names.

    Args:
        names: `tensorboard`, `mlflow` or both.
        folder: The run folder.
        settings: The recipe as dotted keys and values.
        resume: Whether the run goes on with what was recorded.

    Raises:
        RunError: If a package isn't installed, or MLflow's server can't be reached.
    """
    for name in names:
        if find_spec(_PACKAGES[name]) is None:
            raise RunError(
                f"training.trackers: {name} needs the package {_PACKAGES[name]}, which isn't "
                f"installed. Install it with pip install 'normwise[{name}]', or leave {name} out."
            )
    if not resume:
        (folder / _RUN_ID).unlink(missing_ok=True)
    makers: dict[str, Any] = {"tensorboard": TensorBoard, "mlflow": MLflow}
    return tuple(makers[name](folder, settings) for name in dict.fromkeys(names))


class TensorBoard:
    """Event files in `tensorboard/` of the run folder; those of an interrupted part are replaced.

    Args:
        folder: The run folder.
        settings: The recipe as dotted keys and values.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - only where it was asked for

        events = folder / "tensorboard"
        for old in events.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer, self._done = SummaryWriter(str(events)), 0
        lines = [f"| {key} | {value} |" for key, value in settings.items()]
        self._writer.add_text("recipe", "\n".join(["| setting | value |", "|---|---|", *lines]))

    def record(self, history: History) -> None:
        """Adds the epochs that are not recorded yet."""
        for row in history[self._done :]:
            for name, value in _numbers(row).items():
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._done = max(self._done, len(history))
        self._writer.flush()

    def finish(self, preview: Path) -> None:
        """Adds the preview; the run is over."""
        from matplotlib.image import imread  # noqa: PLC0415

        self._writer.add_image("preview", imread(preview)[..., :3], dataformats="HWC")
        self._writer.close()


class MLflow:
    """One MLflow run, whose id stands in the run folder, so that a resumed run goes on with it.

    It goes to the server of MLFLOW_TRACKING_URI, or to `mlruns/` of the run folder.

    Args:
        folder: The run folder.
        settings: The recipe as dotted keys and values.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - only where it was asked for
        from mlflow.entities import Param  # noqa: PLC0415

        uri = os.environ.get("MLFLOW_TRACKING_URI") or None
        if uri is None:
            # Newer versions ask before they write plain files; the small package has only these.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = (folder / "mlruns").resolve().as_uri()
        try:
            self._client = MlflowClient(tracking_uri=uri)
            self._run = self._opened(folder / _RUN_ID, folder.name)
            known = self._client.get_run(self._run).data.params
            params = [
                Param(key, str(value)[:_LONGEST])
                for key, value in settings.items()
                if key not in known
            ]
            self._client.log_batch(self._run, params=params)
        except Exception as error:
            raise RunError(f"MLflow at {uri} can't be used: {error}") from None

    def _opened(self, path: Path, name: str) -> str:
        if path.exists():
            run = path.read_text(encoding="utf-8").strip()
            self._client.update_run(run, status="RUNNING")
            return run
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT)
        run = str(self._client.create_run(experiment, run_name=name).info.run_id)
        write_text(path, run + "\n")
        return run

    def record(self, history: History) -> None:
        """Adds the epochs that are not recorded yet, of each metric."""
        from mlflow.entities import Metric  # noqa: PLC0415

        rows = [(int(row["epoch"]), _numbers(row)) for row in history]
        names = dict.fromkeys(name for _, numbers in rows for name in numbers)
        now = round(time.time() * 1000)
        for name in names:
            there = {metric.step for metric in self._client.get_metric_history(self._run, name)}
            missing = [
                Metric(name, numbers[name], now, epoch)
                for epoch, numbers in rows
                if name in numbers and epoch not in there
            ]
            if missing:
                self._client.log_batch(self._run, metrics=missing)

    def finish(self, preview: Path) -> None:
        """Adds the preview; the run is over."""
        self._client.log_artifact(self._run, str(preview))
        self._client.set_terminated(self._run)


def record_end(trackers: Sequence[Tracker], history: History, preview: Path) -> None:
    """Tells trackers that a run is over; what can't be recorded is logged.

    The run is finished then, and a server that is down must not make it look failed.

    Args:
        trackers: Each by itself, whatever became of the others.
        history: All epochs.
        preview: The run's picture, which lies in its folder.
    """
    for tracker in trackers:
        try:
            tracker.record(history)
            tracker.finish(preview)
        except Exception as error:
            log.warning(
                "%s doesn't have the end of the run (%s %s); `normwise train %s --resume` tries "
                "again, and trains nothing",
                type(tracker).__name__, type(error).__name__, error, preview.parent,
            )  # fmt: skip


class Tracked:
    """A watcher that also records each epoch.

    What can't be recorded is logged and tried again with the next epoch: a server that is down
    for a while must not end a run.

    Args:
        watcher: The watcher that a person sees.
        trackers: Where epochs are recorded.
        history: The file that holds all epochs so far.
    """

    def __init__(self, watcher: Watcher, trackers: Sequence[Tracker], history: Path) -> None:
        self._watcher, self._trackers, self._history = watcher, trackers, history

    def note(self, text: str) -> None:
        """Something to know before the run begins."""
        self._watcher.note(text)

    def start(self, done: int, epochs: int, steps: int) -> None:
        """A run begins, or goes on after `done` epochs."""
        self._watcher.start(done, epochs, steps)

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """A step is done."""
        self._watcher.step(epoch, step, loss, patches_per_second)

    def epoch(self, epoch: int, row: Row, note: str) -> None:
        """An epoch is done; `history.csv` has it."""
        self._watcher.epoch(epoch, row, note)
        for tracker in self._trackers:
            try:
                tracker.record(read_history(self._history))
            except Exception as error:
                log.warning("epoch %d is not recorded yet: %s", epoch, error)

    def stop(self) -> None:
        """The run is over, well or not."""
        self._watcher.stop()


def _numbers(row: Row) -> dict[str, float]:
    return {k: float(v) for k, v in row.items() if k != "epoch" and math.isfinite(v)}
