"""Giving a model's batch normalizations the statistics of a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.workflows.model_images import fill_of, images_of_folder
from normwise.workflows.models import live_model, refuse_missing
from normwise.workflows.pass_progress import tracked

if TYPE_CHECKING:
    from normwise.surgery.rewrite import Rewrite


def recalibrate(
    model: Any,
    batches: Any,
    *,
    fast: bool = False,
    nodata: float | None = None,
    bands: Sequence[int] | None = None,
    tile: int | None = None,
    frozen: bool = False,
    progress: bool = True,
) -> Rewrite:
    """Gives every batch normalization the exact statistics of the data.

    Mean and variance are pooled over all data, the variance of the batches' means included, and
    each norm is measured after norms that already have their new statistics: one pass over the
    data for each depth of norms. Adapting a model to unlabeled images of a new sensor (AdaBN) is
    the same call with these images.

    Args:
        model: A live model, model file or run folder; it is not changed.
        batches: Arrays of raw input, batch axis first, in something that can be iterated again;
            or one array of all samples; or a data folder or a folder of images.
        fast: One pass, in which each batch is normalized by its own statistics. Approximate; an
            iterator will do.
        nodata: The value of missing pixels beside NaN; for a folder by default the run's, and
            beside what each file says itself. A pixel is left out where all its channels are
            missing.
        bands: For a folder: channels to use, from 0; by default those of the run.
        tile: For a folder: rows and columns of the pieces that are read; by default the model's
            fixed size, or 512 (64 for volumes). What of it lies beyond an image's end doesn't
            count.
        frozen: Whether norms with `trainable=False` are recalibrated too.
        progress: Say how it goes: a bar on a terminal, lines elsewhere.

    Returns:
        The recalibrated copy as `.model`; `.report` says for each norm how far its old statistics
        were off.

    Raises:
        DataError: The data don't fit, hold nothing valid, or can't be iterated again.
        ModelReadError: The model can't be read.

    Example:
        ```python
        adapted = nw.recalibrate("model.keras", [images[:8], images[8:]]).model
        ```
    """
    refuse_missing(model)
    require_backend()
    from normwise.surgery.batches import Missing  # noqa: PLC0415 - needs the backend
    from normwise.surgery.population import MeasureSettings, untracked  # noqa: PLC0415
    from normwise.surgery.recalibrate import recalibrate as rewrite  # noqa: PLC0415

    live = live_model(model)
    missing = nodata
    if isinstance(batches, (str, PathLike)):
        batches = images_of_folder(model, live, Path(fspath(batches)), nodata, bands, tile)
        missing = None  # its tiles say it by NaN
    track = tracked if progress else untracked
    settings = MeasureSettings(fast, Missing(missing, fill_of(live, model)), track)
    return rewrite(live, batches, settings, frozen=frozen)
