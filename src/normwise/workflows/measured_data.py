"""Which images an evaluation measures: those of a folder, split as the run's own were."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import DataError
from normwise.training.trained_data import TrainedData, warn_of_changes
from normwise.workflows.runs import data_of_run, recipe_of_run, record_of_run

if TYPE_CHECKING:
    from normwise.data import Dataset


def measured_data(members: Sequence[Any], data: Any, labels: str | None, split: str) -> Dataset:
    """The data set that models are measured on.

    Where it is the one that runs were trained on, the images that validated are those of then,
    whatever was added since.

    Args:
        members: Whatever names the models.
        data: A folder, an opened data set, or None for the one of the first run.
        labels: `masks` or `targets`, where the folder has both.
        split: `train`, `val` or `test`.

    Raises:
        DataError: There is no split of that name, the data can't be used, an image of the split
            is gone, or it isn't the same for all members.
    """
    from normwise.data import Dataset, open_dataset  # noqa: PLC0415 - light start-up
    from normwise.data.dataset import SPLITS  # noqa: PLC0415

    if split not in SPLITS:
        raise DataError(f"split is {split!r}; allowed: {', '.join(SPLITS)}.")
    if isinstance(data, Dataset):
        return data
    recipe = recipe_of_run(members[0])
    settings = recipe.data if recipe else None
    path = data if data is not None else settings.path if settings else None
    if path is None:
        raise DataError(
            f"{_named(members[0])}: name the data folder; this is no run that could tell it."
        )
    chosen = settings.model_dump(include={"labels", "bands", "targets"}) if settings else {}
    if labels is not None:
        chosen["labels"] = labels
    at_home = [member for member in members if _path_of(member) == Path(fspath(path)).resolve()]
    if at_home and (own := recipe_of_run(at_home[0])):
        # A run that doesn't tell its images tells how they were drawn.
        chosen |= {"validation": own.data.validation, "fold": own.data.fold}
        chosen["seed"] = own.training.seed
    dataset = open_dataset(path, record=record_of_run(members[0]), trains=False, **chosen)
    return dataset if split == "test" else _as_trained(dataset, split, members, at_home)


def _as_trained(
    dataset: Dataset, split: str, members: Sequence[Any], at_home: Sequence[Any]
) -> Dataset:
    """The data set with the images that a split had in training, where it is the runs' own."""
    kept = [data_of_run(member) for member in members]
    if not at_home and not any(kept):
        return dataset
    now = TrainedData.of(dataset)
    own = [
        (member, trained)
        for member, trained in zip(members, kept, strict=True)
        # A copy elsewhere has the same fingerprint.
        if member in at_home or (trained and trained.fingerprint == now.fingerprint)
    ]
    _refuse_seen([member for member, _ in own], split)
    trained = own[0][1] if own else None
    if trained is None:
        return dataset
    warn_of_changes(trained, now, dataset.root)
    return trained.restored(dataset, split)


def _refuse_seen(members: Sequence[Any], split: str) -> None:
    """What validates one member has trained another, unless all were split in the same way."""
    first: tuple[Any, frozenset[Any]] | None = None
    for member in members:
        own = _split_of(member, split)
        if first is not None and own != first[1]:
            raise DataError(
                f"the split {split!r} of {first[0]} is not that of {member}: it holds images that "
                "one of them was trained on. Measure the ensemble on `test`, or each member by "
                "itself."
            )
        first = first or (member, own)


def _split_of(member: Any, split: str) -> frozenset[Any]:
    """The images of a split in the training of a run, or all that they depend on."""
    trained, recipe = data_of_run(member), recipe_of_run(member)
    if trained is not None:
        return frozenset(trained.splits[split])
    if recipe is None:
        return frozenset()
    data = recipe.data
    return frozenset({("as", data.fold, recipe.training.seed, data.validation, data.labels)})


def _path_of(member: Any) -> Path | None:
    recipe = recipe_of_run(member)
    return Path(recipe.data.path).resolve() if recipe else None


def _named(member: Any) -> str:
    """The file, or the live model's name."""
    if isinstance(member, (str, PathLike)):
        return fspath(member)
    return f"model {getattr(member, 'name', '')!r}"
