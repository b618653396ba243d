"""The training loop: epochs of Keras' own `fit`, each validated, judged and kept on disk."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from normwise.distributed.processes import agreed, all_devices, check_batch_size, own_part
from normwise.errors import DivergedError, RunError
from normwise.keras_format.precision import set_precision
from normwise.training.checkpoints import load_checkpoint, read_state, save_checkpoint
from normwise.training.deep_supervision import Supervised, head_sizes, head_weights
from normwise.training.determinism import make_deterministic, seed_epoch, seed_run
from normwise.training.feeding import fed
from normwise.training.history import Row, write_history
from normwise.training.loading import Batch, Batches, loaded
from normwise.training.losses.composition import WeightedLoss, loss_of
from normwise.training.losses.expression import parse_loss, task_of
from normwise.training.optimizer import make_optimizer
from normwise.training.progress import Silent, Watcher, describe_epoch
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import differences
from normwise.training.run_files import BEST, HISTORY, LAST
from normwise.training.standing import Standing, judged
from normwise.training.training_settings import TrainingSettings
from normwise.training.twin import show, trainee_of

log = logging.getLogger("normwise.training")

Validate = Callable[[keras.Model], Mapping[str, float]]


def fit(  # noqa: PLR0913, PLR0917 - a run and its parts
    model: keras.Model,
    batches: Batches,
    validate: Validate,
    recipe: Recipe,
    run_folder: Path,
    resume: bool = False,
    watcher: Watcher | None = None,
    prepare: Callable[[Batch], Batch] = lambda batch: batch,
    until: int | None = None,
) -> Standing:
    """Trains a model and leaves the weights of its best epoch in it, or of its last one.

    After every epoch the model is validated, and `checkpoints/last.npz` and `history.csv` are
    replaced as a whole, so that a run that is killed at any moment can go on. On one machine a
    resumed run ends with the very weights of an uninterrupted one, if the recipe says
    `training.deterministic`.

    With `training.ema` the averaged weights are validated and kept, with averaged statistics,
    while the others go on training. Whatever the precision of the steps, the model is left at
    float32.

    Args:
        model: A model with one linear output, not compiled; others behind the first are heads of
            deep supervision.
        batches: Training batches: images, labels, weights.
        validate: Takes the model; returns `loss` and metrics, among them the recipe's metric.
        recipe: A resolved recipe: its loss and metric are set.
        run_folder: Where checkpoints and history go.
        resume: Go on from `checkpoints/last.npz`; from the start where no epoch was finished.
        watcher: Is told about steps and epochs.
        prepare: Done to each batch in its thread.
        until: Pause after this epoch, counted from 1, as if interrupted there: the schedule is
            that of the whole run, and what goes on later ends as if it had never paused.

    Returns:
        How the run ended, with the history.

    Raises:
        DivergedError: If the loss is no number any more.
        RunError: If the checkpoint can't be resumed.
    """
    training, watcher = recipe.training, watcher or Silent()
    steps = training.steps or len(batches)
    check_batch_size(training.batch_size)
    set_precision(model, training.precision)
    trainee = trainee_of(model, training)
    with all_devices():
        compile_for_training(trainee, training, steps * training.epochs)
        standing = _resumed(trainee, recipe, run_folder) if resume else Standing()
    prepare = supervised(model, batches, recipe, prepare)

    def judge() -> Mapping[str, float]:
        show(trainee, model, training, steps)
        return validate(model)

    watcher.start(standing.epochs, training.epochs, steps)
    last = min(training.epochs, until or training.epochs)
    try:
        while standing.epochs < last and not standing.stopped:
            row = _epoch(trainee, batches, judge, recipe, standing.epochs, watcher, prepare)
            standing = judged(standing, agreed(row), training)
            _keep(trainee, model, standing, recipe, run_folder)
            note = "best so far" if standing.improved and training.keep == "best" else ""
            watcher.epoch(standing.epochs, row, note)
            metric = str(training.metric)
            log.info(describe_epoch(standing.epochs, training.epochs, row, metric, note))
    finally:
        watcher.stop()
    load_checkpoint(run_folder / BEST, model)
    set_precision(model, "float32")
    return standing


def compile_for_training(
    model: keras.Model, training: TrainingSettings, total_steps: int, schedule: Any = None
) -> None:
    """Seeds everything and compiles a model with the recipe's optimizer and loss.

    Args:
        model: The model that will train.
        training: The recipe's settings.
        total_steps: Steps of the whole run.
        schedule: A schedule of the learning rate in place of the recipe's.
    """
    heads = len(model.outputs)
    if training.deterministic:
        make_deterministic()
    seed_run(training.seed)
    optimizer = make_optimizer(training, total_steps, model, schedule)
    loss = loss_of(training)
    if heads == 1:
        model.compile(optimizer=optimizer, loss=WeightedLoss(loss))
        return
    losses = [WeightedLoss(loss, f"loss_{number + 1}") for number in range(heads)]
    model.compile(optimizer=optimizer, loss=losses, loss_weights=list(head_weights(heads)))


def supervised(
    model: keras.Model, batches: Batches, recipe: Recipe, prepare: Callable[[Batch], Batch]
) -> Callable[[Batch], Batch]:
    """`prepare`, then labels for each head of a model with several."""
    if len(model.outputs) == 1:
        return prepare
    patch = recipe.data.patch or batches[0][0].shape[1:-1]
    values = task_of(parse_loss(str(recipe.training.loss))[0].name) == "regression"
    return Supervised(head_sizes(model, patch), values, prepare)


def refuse_other_recipe(recipe: Recipe, run_folder: Path) -> None:
    """Refuses to go on with a checkpoint that another recipe has made.

    Args:
        recipe: The resolved recipe.
        run_folder: A folder with `checkpoints/last.npz`.

    Raises:
        RunError: If the two recipes differ, or the checkpoint is damaged.
    """
    state = read_state(run_folder / LAST)
    if differing := differences(Recipe.model_validate(state["recipe"]), recipe):
        raise RunError(
            f"The run in {run_folder} was started with another recipe: {'; '.join(differing)}. "
            "Resume it with the recipe.yaml in its folder, or start a new run."
        )


def _epoch(
    model: keras.Model,
    batches: Batches,
    judge: Callable[[], Mapping[str, float]],
    recipe: Recipe,
    epoch: int,
    watcher: Watcher,
    prepare: Callable[[Batch], Batch],
) -> Row:
    training = recipe.training
    steps = training.steps or len(batches)
    batches.set_epoch(epoch)
    started, watch = time.perf_counter(), _Steps(epoch, training, watcher)
    ready = loaded(batches, steps, training.workers, lambda batch: prepare(own_part(batch)))
    try:
        with all_devices():
            model.fit(
                fed(ready), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[watch]
            )
    finally:
        ready.close()
    trained = time.perf_counter()
    measured = {f"val_{name}": float(value) for name, value in judge().items()}
    return {
        "epoch": epoch + 1,
        "loss": watch.loss,
        **measured,
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        "patches_per_second": steps * training.batch_size / (trained - started),
        "seconds": time.perf_counter() - started,
    }


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Seeds the epoch, stops at the first loss that is no number, and reports each step."""

    def __init__(self, epoch: int, training: TrainingSettings, watcher: Watcher) -> None:
        super().__init__()
        self.loss = math.nan
        self._epoch, self._training, self._watcher = epoch, training, watcher
        self._first_done = math.nan

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Seeds here and not before `fit`, whose first call draws numbers while it builds."""
        seed_epoch(self._training.seed, self._epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads the mean loss of the epoch so far."""
        self.loss = float((logs or {})["loss"])
        if not math.isfinite(self.loss):
            raise DivergedError(
                f"The loss is no number any more, in epoch {self._epoch + 1} at step {batch + 1}. "
                "Look for impossible values in the images and labels, or lower "
                "training.learning_rate."
            )
        self._watcher.step(self._epoch + 1, batch + 1, self.loss, self._speed(batch))

    def _speed(self, batch: int) -> float:
        now = time.perf_counter()
        if batch == 0:
            # The first step compiles: a speed that counts it is no use for the time left.
            self._first_done = now
            return math.nan
        return batch * self._training.batch_size / (now - self._first_done)


def _keep(
    trainee: keras.Model,
    model: keras.Model,
    standing: Standing,
    recipe: Recipe,
    run_folder: Path,
) -> None:
    state = {"standing": standing.to_state(), "recipe": recipe.model_dump(mode="json")}
    # The best goes first: killed in between, the run repeats this epoch and writes both again.
    if standing.improved:
        save_checkpoint(run_folder / BEST, model, None, state)
    save_checkpoint(run_folder / LAST, trainee, trainee.optimizer, state)
    write_history(run_folder / HISTORY, standing.history)


def _resumed(model: keras.Model, recipe: Recipe, run_folder: Path) -> Standing:
    path = run_folder / LAST
    if not path.exists():
        return Standing()  # stopped within its first epoch: there is nothing to lose
    refuse_other_recipe(recipe, run_folder)
    state = load_checkpoint(path, model, model.optimizer)
    return Standing.from_state(state["standing"])
