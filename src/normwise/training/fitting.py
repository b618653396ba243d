"""The training of a prepared run: batches, validation and the loop, interrupted or not."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Final

from normwise.data.tiles import tiles_of
from normwise.keras_format.stride import strides_of
from normwise.training.fit import fit
from normwise.training.history import write_history
from normwise.training.loading import Batch
from normwise.training.losses.composition import loss_of
from normwise.training.precise_statistics import refine_statistics
from normwise.training.preparing import Parts, patch_of, training_batches
from normwise.training.progress import Watcher
from normwise.training.run_files import HISTORY, LAST
from normwise.training.sampling import SeenClasses, sampling_of
from normwise.training.standing import Standing
from normwise.training.validation import Tile, Validation

# Pixels along each axis, by the number of axes.
_LARGEST_TILE: Final = {2: 512, 3: 96}

log = logging.getLogger("normwise.training")


def fitted(
    parts: Parts, folder: Path, resume: bool, watch: Watcher, until: int | None = None
) -> Standing:
    """Trains the network of a run and leaves the weights to keep in it.

    Args:
        parts: What the run is made of.
        folder: Where checkpoints and history go.
        resume: Go on where the run in that folder was interrupted.
        watch: Is told about steps and epochs.
        until: Pause after this epoch; None trains to the end.

    Returns:
        How the run ended, with the history.

    Raises:
        RunError: If the loss is no number any more, or the checkpoint can't be resumed.
    """
    recipe, dataset, output, network = parts.recipe, parts.dataset, parts.output, parts.network
    images, training, (tile_size, at_once) = parts.images, recipe.training, _validation_tiles(parts)

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
            until,
        )
        # Killed between the last checkpoint and its history, a run resumes with nothing to train.
        write_history(folder / HISTORY, standing.history)
        if training.precise_bn and not standing.paused(training):
            refine_statistics(network, batches, validation, training)
    if seen is not None:
        log.info(seen.describe())
    return standing


def _validation_tiles(parts: Parts) -> tuple[tuple[int, ...], int]:
    """Whole images where they are small, for tile edges cost accuracy; and how many at once."""
    recipe, dataset = parts.recipe, parts.dataset
    patch, items = patch_of(recipe), dataset.split("val")
    longest = [max(sides) for sides in zip(*(item.shape for item in items), strict=True)]
    limits = [max(_LARGEST_TILE[dataset.dimensions], side) for side in patch]
    tile = tuple(
        -(-min(size, limit) // stride) * stride
        for size, limit, stride in zip(longest, limits, strides_of(parts.network), strict=True)
    )
    return tile, max(1, recipe.training.batch_size * prod(patch) // prod(tile))


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
