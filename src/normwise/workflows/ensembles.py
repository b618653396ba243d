"""Several models as one: the members of an ensemble, by whatever names them."""

import json
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from normwise.errors import ModelReadError
from normwise.files import permitted
from normwise.json_files import write_json

ENSEMBLE_FILE = "ensemble.json"


def members_of(model: Any) -> tuple[Any, ...]:
    """The members of an ensemble; a single model is its own only member.

    Args:
        model: A list or tuple of whatever names a model, a folder with an `ensemble.json`, or
            whatever names a single model.

    Raises:
        ModelReadError: There are no members, or `ensemble.json` is none.
        NormwiseError: The model's folder may not be looked into.
    """
    if isinstance(model, (list, tuple)):
        members = tuple(member for part in model for member in members_of(part))
        if not members:
            raise ModelReadError("an ensemble of no models: name at least one.")
        return members
    if not isinstance(model, (str, PathLike)):
        return (model,)
    listing = Path(fspath(model)) / ENSEMBLE_FILE
    with permitted(listing.parent):
        several = listing.is_file()
    return _listed(listing) if several else (model,)


def write_ensemble(folder: Path, names: Sequence[str]) -> None:
    """Makes a folder an ensemble of run folders in it.

    Args:
        folder: The folder.
        names: The members, relative to it.
    """
    write_json(folder / ENSEMBLE_FILE, {"members": list(names)})


def _listed(listing: Path) -> tuple[Path, ...]:
    expected = 'expected {"members": ["fold1", ...]}, run folders or model files beside it'
    try:
        content = json.loads(listing.read_text(encoding="utf-8"))
        names = content["members"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelReadError(f"{listing}: no list of members; {expected}.") from error
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ModelReadError(f"{listing}: members is {names!r}; {expected}.")
    return tuple(listing.parent / name for name in names)
