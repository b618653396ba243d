"""Measuring a model on the whole images of a data folder."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.errors import DataError
from normwise.files import refuse_existing, write_text
from normwise.training.run_files import MODEL
from normwise.workflows.ensemble_outputs import refuse_other_channels
from normwise.workflows.ensembles import members_of
from normwise.workflows.measured_data import measured_data
from normwise.workflows.models import live_model, refuse_missing
from normwise.workflows.runs import data_settings, fill_of_run, record_of_run, views_of_run

if TYPE_CHECKING:
    from normwise.data import Dataset
    from normwise.training.metrics import Metrics
    from normwise.training.reporting import RunPage
    from normwise.training.seen import SeenImages


def evaluate(
    model: Any,
    data: Dataset | str | PathLike[str] | None = None,
    *,
    split: str = "test",
    labels: str | None = None,
    tta: str | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Metrics:
    """Measures a model on the whole images of a split.

    The page of a run (`report.html` in its folder) is given what was measured. Where that can't
    be, it is logged.

    Args:
        model: A live model, model file or run folder; it takes raw pixel values. A list of
            these, or the folder of a cross-validation, is an ensemble: its mean is measured.
        data: The data folder, or an opened data set; by default the one that the run was trained
            on. For a run, its choice of labels, bands and targets is kept.
        split: `"train"`, `"val"` or `"test"`. Of the data that a run was trained on, `train` and
            `val` are the images that trained and validated, whatever was added since.
        labels: `"masks"` or `"targets"`, where the folder has both; by default the run's. An
            opened data set has its own.
        tta: Test-time augmentation, as for `predict`; by default what the run's recipe says.
        out: A JSON file to write the metrics to.
        overwrite: Whether that file may be replaced.

    Returns:
        The metrics, in the target's units for a regression: `.values`, `.per_class`, `.table()`.

    Raises:
        DataError: The data can't be used, or don't fit the model.
        ModelReadError: The model can't be loaded.
        NetworkError: The members of an ensemble tell the same classes or targets in other orders.
        OutputExistsError: `out` exists.
    """
    if out is not None:
        refuse_existing(Path(fspath(out)), overwrite)
    members = members_of(model)
    for member in members:
        refuse_missing(member)
    _refuse_mixed(members)
    dataset = measured_data(members, data, labels, split)
    require_backend()
    from normwise.training.evaluate import evaluate as measure  # noqa: PLC0415 - light start-up
    from normwise.training.reporting import harmless  # noqa: PLC0415
    from normwise.training.run_record import Evaluation  # noqa: PLC0415

    fills = [fill_of_run(member) for member in members]
    views = [views_of_run(member, tta) for member in members]
    models = [live_model(member) for member in members]
    refuse_other_channels(members, models, checked=False)
    page, seen = _page(members, models[0], dataset)
    metrics = measure(models, dataset, split, fills, views, seen)
    if out is not None:
        write_text(Path(fspath(out)), metrics.to_json(), overwrite)
    if page is not None and seen is not None:
        with harmless():
            images, floor = len(dataset.split(split)), seen.floors.best("")
            name = _named(data, dataset, page)
            found = Evaluation(name, split, images, metrics, floor, views[0])
            page.add(found, seen, dataset)
    return metrics


def _page(
    members: Sequence[Any], model: Any, dataset: Dataset
) -> tuple[RunPage | None, SeenImages | None]:
    """The page of the run that is measured, and who looks at the images for it; None for others."""
    from normwise.training.reporting import harmless, page_of  # noqa: PLC0415

    if len(members) != 1 or not isinstance(members[0], (str, PathLike)):
        return None, None
    path = Path(fspath(members[0]))
    folder = path.parent if path.name == MODEL else path
    if (folder / MODEL).is_file():
        with harmless():
            page = page_of(folder)
            return page, _seen(page, model, dataset) if page else None
    return None, None


def _seen(page: RunPage, model: Any, dataset: Dataset) -> SeenImages:
    from normwise.training.distribution import Distribution  # noqa: PLC0415
    from normwise.training.evaluate import output_of  # noqa: PLC0415
    from normwise.training.reporting import constants_in  # noqa: PLC0415
    from normwise.training.seen import SeenImages  # noqa: PLC0415

    output = output_of(dataset, Distribution.of_layers(layer.name for layer in model.layers))
    return SeenImages(output, constants_in(page.kept))


def _named(given: Any, dataset: Dataset, page: RunPage) -> str:
    """The data folder or CSV file that was given, called as the run calls it if it is its own.

    Several CSV files can stand in a folder: each is another data set.
    """
    if given is None:
        return page.kept.data
    path = (dataset.root if given is dataset else Path(fspath(given))).resolve()
    return page.kept.data if path == Path(page.kept.data).resolve() else str(path)


def _refuse_mixed(members: Sequence[Any]) -> None:
    """One data set is opened for all members."""
    told = [settings for member in members if (settings := data_settings(member))]
    for key in ("bands", "targets", "labels"):
        if len({getattr(settings, key) for settings in told}) > 1:
            raise DataError(
                f"the members of the ensemble were trained on different data.{key}; they can be "
                "measured one by one."
            )
    records = [record for member in members if (record := record_of_run(member))]
    if len({tuple(record.bands) for record in records if record.bands}) > 1:
        raise DataError(
            "the members of the ensemble were trained on other bands, or on the same in another "
            "order; they can be measured one by one."
        )
