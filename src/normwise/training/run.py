"""A training run from its recipe to the files that it leaves."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Final

import keras

from normwise.data.augmentation import Augmentation
from normwise.data.class_sampling import Sampling
from normwise.data.dataset import Dataset
from normwise.data.folder import open_dataset
from normwise.data.loading import PatchBatches, tiles_of
from normwise.data.relations import relations
from normwise.data.statistics import ChannelStatistics, channel_statistics
from normwise.distributed.processes import agreed, is_first
from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import write_text
from normwise.keras_format.saving import save_model
from normwise.networks.stride import strides_of
from normwise.training.determinism import seed_run
from normwise.training.evaluate import evaluate, output_of
from normwise.training.fit import BEST, LAST, fit
from normwise.training.history import History
from normwise.training.loading import Batch
from normwise.training.loss_settings import distribution_of
from normwise.training.losses.composition import loss_of
from normwise.training.losses.expression import DEFAULTS
from normwise.training.metrics import Metrics
from normwise.training.network import build_network
from normwise.training.output import Output, finished_model, regression_output
from normwise.training.pictures import draw_curve, draw_run
from normwise.training.precise_statistics import refine_statistics
from normwise.training.progress import Watcher, watcher
from normwise.training.rate_finder import RateCurve, find_rate
from normwise.training.recipe import Recipe, flat_settings, load_recipe, to_yaml
from normwise.training.residual import with_input_residual
from normwise.training.resolve import patch_notes, resolve
from normwise.training.sampling import SeenClasses, sampling_of
from normwise.training.scaling import scaling_of
from normwise.training.standing import Standing
from normwise.training.trackers import Tracked, Tracker, trackers_of
from normwise.training.validation import Tile, Validation

FILES: Final = (
    "recipe.yaml", "model.keras", "history.csv", "metrics.json", "curves.png", "preview.png",
    "log.txt", "images.yaml", str(LAST), str(BEST),
)  # fmt: skip

# Pixels along each axis, by the number of axes.
TOGETHER: Final = ("folds.json", "ensemble.json")
"""Files that would make an ensemble of the folder; they don't go with a run of its own."""

RATES: Final = "learning_rate.png"
"""Beside them, if the learning rate was found by a trial."""

_LARGEST_TILE: Final = {2: 512, 3: 96}

log = logging.getLogger("normwise.training")


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        folder: Its folder.
        metrics: Of the best epoch on the whole validation images, in the target's units.
        history: One row an epoch.
        best_epoch: The epoch whose weights were kept, counted from 1.
    """

    folder: Path
    metrics: Metrics
    history: History = field(repr=False)
    best_epoch: int

    @property
    def model(self) -> keras.Model:
        """The trained model, loaded anew: raw pixel values to probabilities or target units."""
        return keras.saving.load_model(self.folder / "model.keras", compile=False, safe_mode=True)


def train(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Trains the network of a recipe on its data.

    Args:
        recipe: What to train on what.
        out: The run folder; by default the recipe's `out`.
        resume: Go on with the run in that folder where it was interrupted.
        overwrite: Replace the run in that folder.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.

    Returns:
        The run. Its folder holds `recipe.yaml` (everything resolved), `model.keras` (takes raw
        pixel values and loads without normwise), `images.yaml` (how images are read for it),
        `checkpoints/`, `history.csv`, `metrics.json`, `curves.png`, `preview.png` and `log.txt`.

    Raises:
        DataError: If the data folder can't be used, with every problem.
        RecipeError: If a setting doesn't suit the data or the network.
        OutputExistsError: If the folder holds a run already.
        RunError: If the loss is no number any more, there is nothing to resume, or a tracker can't
            be used.

    Example:
        ```python
        run = train(Recipe(data={"path": "rivers"}), out="runs/rivers")
        run.metrics.values["iou"]
        ```
    """
    folder = _folder(recipe, out)
    parts = parts_of(recipe)
    dataset, images, output, network = parts.dataset, parts.images, parts.output, parts.network
    _prepare(folder, resume, overwrite)
    with _logged(folder / "log.txt"):
        recipe = _with_rate(parts, folder, resume)
        _describe(recipe, dataset, network, folder)
        trackers = _trackers(recipe, folder, resume)
        watch = watcher(progress, str(recipe.training.metric))
        if trackers:
            watch = Tracked(watch, trackers, folder / "history.csv")
        standing = _fitted(network, recipe, dataset, images, output, folder, resume, watch)
        run = _finished(network, recipe, dataset, images, output, standing, folder)
        for tracker in trackers:
            tracker.record(run.history)
            tracker.finish(folder / "preview.png")
        return run


@dataclass(frozen=True)
class Parts:
    """What a run is made of, before anything is trained.

    Args:
        recipe: The recipe with every choice made.
        dataset: Its data.
        images: Statistics of the training images.
        output: What the network's output means.
        network: The network with its first weights.
    """

    recipe: Recipe
    dataset: Dataset
    images: ChannelStatistics
    output: Output
    network: keras.Model


def parts_of(recipe: Recipe) -> Parts:
    """Opens the data and builds the network of a recipe.

    Raises:
        DataError: If the data folder can't be used, with every problem.
        RecipeError: If a setting doesn't suit the data or the network.
    """
    data = recipe.data
    dataset = open_dataset(
        data.path,
        labels=data.labels,
        bands=data.bands,
        targets=data.targets,
        validation=data.validation,
        fold=data.fold,
        seed=recipe.training.seed,
    )
    dataset = replace(dataset, scaling=scaling_of(data))
    images = channel_statistics(dataset, "train", of="images")
    output = _output(recipe, dataset)
    seed_run(recipe.training.seed)
    network = build_network(recipe, dataset.channels, output.channels, images, dataset.dimensions)
    if recipe.network.input_residual:
        fit_of_input = relations(dataset, "train").linear_fit()
        network = with_input_residual(network, fit_of_input, images, output)
    recipe = resolve(recipe, dataset, strides_of(network))
    return Parts(recipe, dataset, images, output, network)


def try_rates(parts: Parts) -> RateCurve:
    """Tries learning rates on the training data; nothing is changed.

    Raises:
        RunError: If the loss falls at no rate.
    """

    def prepare(batch: Batch) -> Batch:
        return batch[0], parts.output.scaled(batch[1]), batch[2]

    sampling = sampling_of(parts.recipe, parts.dataset)
    with training_batches(parts.recipe, parts.dataset, parts.images, sampling) as batches:
        return find_rate(parts.network, batches, parts.recipe, prepare)


def _with_rate(parts: Parts, folder: Path, resume: bool) -> Recipe:
    """The recipe with a number for `auto`: what a trial finds, or what the resumed run found."""
    recipe = parts.recipe
    if recipe.training.learning_rate != "auto":
        return recipe
    if resume and (folder / "recipe.yaml").exists():
        rate = load_recipe(folder / "recipe.yaml").training.learning_rate
    else:
        curve = try_rates(parts)
        rate = agreed({"rate": curve.suggestion})["rate"]
        draw_curve(curve, folder / RATES)
        log.info("learning rate %g, found by a trial of %d steps", rate, len(curve.losses))
    training = recipe.training.model_copy(update={"learning_rate": rate})
    return recipe.model_copy(update={"training": training})


def _trackers(recipe: Recipe, folder: Path, resume: bool) -> tuple[Tracker, ...]:
    names = recipe.training.trackers if is_first() else ()
    return trackers_of(names, folder, flat_settings(recipe), resume)


def _folder(recipe: Recipe, out: str | Path | None) -> Path:
    if out is None and recipe.out is None:
        raise RecipeError("out: missing; name the folder that the run shall be written to.")
    return Path(out if out is not None else str(recipe.out))


def _output(recipe: Recipe, dataset: Dataset) -> Output:
    output = output_of(dataset)
    if output.task == "segmentation":
        return output
    labels = channel_statistics(dataset, "train", of="labels")
    loss = recipe.training.loss or DEFAULTS["regression"]
    return regression_output(
        output.names,
        labels.mean.tolist(),
        labels.variance.tolist(),
        distribution_of(loss, recipe.training.loss_options),
    )


def refuse_existing(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that holds a run which would be replaced, or none to go on with.

    Raises:
        OutputExistsError: If the folder holds a run already.
        RunError: If there is nothing to resume.
    """
    present = _present(folder)
    if resume and not present:
        raise RunError(
            f"There is no run to resume in {folder}: it holds none of {', '.join(FILES[:3])}. "
            "Start one without `--resume`."
        )
    if present and not resume and not overwrite:
        raise OutputExistsError(
            f"{folder} holds a run already. Go on with it (`--resume`), replace it "
            "(`--overwrite`), or name another folder."
        )


def _prepare(folder: Path, resume: bool, overwrite: bool) -> None:
    refuse_existing(folder, resume, overwrite)
    for path in () if resume else (*_present(folder), folder / RATES):
        path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _present(folder: Path) -> list[Path]:
    return [folder / name for name in (*FILES, *TOGETHER) if (folder / name).exists()]


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("normwise")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        log.error("stopped: %s %s", type(error).__name__, error)
        raise
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _describe(recipe: Recipe, dataset: Dataset, network: keras.Model, folder: Path) -> None:
    if not ((folder / "recipe.yaml").exists() and (folder / LAST).exists()):
        # A resumed run keeps its own: it may yet be refused because the two differ.
        write_text(folder / "recipe.yaml", to_yaml(recipe))
    splits = ", ".join(f"{len(dataset.split(name))} {name}" for name in ("train", "val", "test"))
    log.info("%s on %s: %s images", dataset.task, dataset.root, splits)
    for note in (*dataset.notes, *patch_notes(recipe, dataset)):
        log.info("data: %s", note)
    log.info("%s, %s, %d parameters", network.name, recipe.norm, network.count_params())
    log.info("keras %s on %s", keras.__version__, keras.backend.backend())
    if recipe.training.accumulate > 1:
        log.info(
            "one update from %d steps of %d patches; batch normalization sees the %d of a step",
            recipe.training.accumulate,
            recipe.training.batch_size,
            recipe.training.batch_size,
        )


def _fitted(
    network: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    images: ChannelStatistics,
    output: Output,
    folder: Path,
    resume: bool,
    watch: Watcher,
) -> Standing:
    training, tile_size, at_once = recipe.training, *_validation_tiles(recipe, dataset, network)

    def tiles() -> Iterator[Tile]:
        for tile in tiles_of(dataset, "val", tile_size, images.mean):
            yield tile.item.name, tile.x, tile.y, tile.weight

    sampling = sampling_of(recipe, dataset)
    seen = None if sampling is None else SeenClasses(dataset, sampling)

    def prepare(batch: Batch) -> Batch:
        if seen is not None:
            seen.add(batch[1], batch[2])
        return batch[0], output.scaled(batch[1]), batch[2]

    validation = Validation(tiles, output, loss_of(training), at_once)
    with training_batches(recipe, dataset, images, sampling) as batches, _resumable(folder):
        standing = fit(
            network,
            batches,
            validation,
            recipe,
            folder,
            resume,
            watch,
            prepare,
        )
        if training.precise_bn:
            refine_statistics(network, batches, validation, training)
    if seen is not None:
        log.info(seen.describe())
    return standing


def _validation_tiles(
    recipe: Recipe, dataset: Dataset, network: keras.Model
) -> tuple[tuple[int, ...], int]:
    """Whole images where they are small, for tile edges cost accuracy; and how many at once."""
    patch, items = _patch(recipe), dataset.split("val")
    longest = [max(sides) for sides in zip(*(item.shape for item in items), strict=True)]
    limits = [max(_LARGEST_TILE[dataset.dimensions], side) for side in patch]
    tile = tuple(
        -(-min(size, limit) // stride) * stride
        for size, limit, stride in zip(longest, limits, strides_of(network), strict=True)
    )
    return tile, max(1, recipe.training.batch_size * prod(patch) // prod(tile))


def _patch(recipe: Recipe) -> tuple[int, ...]:
    assert recipe.data.patch is not None
    return recipe.data.patch


def training_batches(
    recipe: Recipe, dataset: Dataset, images: ChannelStatistics, sampling: Sampling | None
) -> PatchBatches:
    """The patches that a resolved recipe trains on."""
    return PatchBatches(
        dataset,
        "train",
        _patch(recipe),
        recipe.training.batch_size,
        fill=images.mean,
        std=images.std,
        seed=recipe.training.seed,
        augmentation=Augmentation(**recipe.data.augmentation.model_dump()),
        sampling=sampling,
        steps=recipe.training.steps,
    )


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = "the epochs so far are kept" if (folder / LAST).exists() else "no epoch was finished"
        raise KeyboardInterrupt(
            f"The run in {folder} was interrupted; {kept}. Go on with: "
            f"normwise train {folder} --resume"
        ) from None


def _finished(
    network: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    images: ChannelStatistics,
    output: Output,
    standing: Standing,
    folder: Path,
) -> Run:
    model, fill = finished_model(network, output), images.mean.tolist()
    save_model(model, folder / "model.keras", overwrite=True)
    dataset.record.model_copy(update={"fill": fill}).write(folder)
    metrics = evaluate(model, dataset, "val", [fill])
    _write_metrics(folder / "metrics.json", metrics, standing)
    draw_run(model, recipe, dataset, output, standing, folder, fill)
    if standing.stopped:
        log.info("ended after epoch %d: %s", standing.epochs, standing.stopped)
    log.info("best epoch %d: %s", standing.best_epoch, _numbers(metrics))
    return Run(folder, metrics, standing.history, standing.best_epoch)


def _write_metrics(path: Path, metrics: Metrics, standing: Standing) -> None:
    content: dict[str, Any] = {"split": "val", "epoch": standing.best_epoch}
    content |= json.loads(metrics.to_json())
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _numbers(metrics: Metrics) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.values.items())
