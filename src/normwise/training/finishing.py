"""What a trained run leaves: the model, how images are read for it, its metrics and pictures."""

import logging
from pathlib import Path

from normwise.json_files import write_json
from normwise.keras_format.saving import save_model
from normwise.training.evaluate import evaluate
from normwise.training.floors import constants_of
from normwise.training.metrics import Metrics
from normwise.training.output import finished_model
from normwise.training.pictures import draw_run, meaning_of
from normwise.training.preparing import Parts
from normwise.training.run_files import METRICS, MODEL
from normwise.training.seen import PREVIEW_SIDE, SeenImages
from normwise.training.standing import Standing

log = logging.getLogger("normwise.training")


def finish(parts: Parts, standing: Standing, folder: Path) -> tuple[Metrics, SeenImages]:
    """Writes the model of a trained run, its metrics and its pictures.

    Args:
        parts: What the run is made of; the network has the weights to keep.
        standing: How the run ended.
        folder: The run folder.

    Returns:
        The metrics of the model on the whole validation images, and what was seen of those.
    """
    recipe, dataset, output = parts.recipe, parts.dataset, parts.output
    model, fill = finished_model(parts.network, output), parts.images.mean.tolist()
    save_model(model, folder / MODEL, overwrite=True)
    dataset.record.model_copy(update={"fill": fill}).write(folder)
    seen = SeenImages(output, constants_of(output), PREVIEW_SIDE)
    metrics = evaluate(model, dataset, "val", [fill], seen=seen)
    _write_metrics(folder / METRICS, metrics, standing)
    draw_run(seen.panels, meaning_of(dataset, output), recipe, standing, folder)
    if standing.stopped:
        log.info("ended after epoch %d: %s", standing.epochs, standing.stopped)
    log.info("%s epoch %d: %s", recipe.training.keep, standing.best_epoch, _numbers(metrics))
    return metrics, seen


def _write_metrics(path: Path, metrics: Metrics, standing: Standing) -> None:
    write_json(path, {"split": "val", "epoch": standing.best_epoch, **metrics.to_dict()})


def _numbers(metrics: Metrics) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.values.items())
