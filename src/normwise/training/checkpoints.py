"""All that a run needs to go on exactly where it stood, in files that are whole or absent.

`checkpoints/last.npz` holds every variable of the model (weights, moving statistics and the
states of its seed generators), every variable of the optimizer, and the state of the run as
JSON. `checkpoints/best.npz` holds the model of the epoch to keep.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt

from normwise.errors import RunError
from normwise.files import whole_file

Arrays = Mapping[str, npt.NDArray[np.generic]]
_STATE = "state"


def save_checkpoint(
    path: Path,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer | None,
    state: Mapping[str, Any],
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        path: The `.npz` file.
        model: The model in training.
        optimizer: Its optimizer, or None for a checkpoint that nothing goes on from.
        state: What else the run must know; anything that JSON can hold.
    """
    arrays = _named("model", model_variables(model))
    if optimizer is not None:
        arrays |= _named("optimizer", optimizer.variables)
    values: dict[str, Any] = {_STATE: np.array(json.dumps(state))}
    values |= {key: keras.ops.convert_to_numpy(variable) for key, variable in arrays.items()}
    with whole_file(path) as temporary:
        np.savez(temporary, **values)


def load_checkpoint(
    path: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, Any]:
    """Puts a checkpoint into a model and its optimizer, which must be of the same making.

    Args:
        path: The `.npz` file.
        model: A model built by the same recipe.
        optimizer: Its built optimizer, or None to load the model alone.

    Returns:
        The state that was saved with it.

    Raises:
        RunError: If the file is missing or damaged, or belongs to a model of another recipe; the
            model and the optimizer are as they were then.
    """
    arrays = _read(path)
    wanted = _named("model", model_variables(model))
    if optimizer is not None:
        wanted |= _named("optimizer", optimizer.variables)
    _check(path, arrays, wanted, alone=optimizer is None)
    for key, variable in wanted.items():
        variable.assign(arrays[key])
    return read_state(path)


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, without its arrays.

    Raises:
        RunError: If the file is missing or damaged.
    """
    state: dict[str, Any] = json.loads(str(_read(path, only=_STATE)[_STATE]))
    return state


def model_variables(model: keras.Model) -> list[Any]:
    """Weights and seed generator states, but not the running means of Keras' own metrics."""
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def _named(owner: str, variables: Sequence[Any]) -> dict[str, Any]:
    # Paths are not unique in nested models, and count up when a process builds a second model;
    # an optimizer's slots carry such paths in their names. The ordinal stays the same.
    return {
        f"{owner}/{index:05d}" + (f"/{variable.name}" if owner == "model" else ""): variable
        for index, variable in enumerate(variables)
    }


def _read(path: Path, only: str | None = None) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if only in (None, key)}
    except FileNotFoundError:
        raise RunError(f"There is no checkpoint {path}: the run can't be resumed.") from None
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise RunError(f"The checkpoint {path} is damaged: {error}.") from None


def _check(path: Path, arrays: Arrays, wanted: Mapping[str, Any], alone: bool) -> None:
    found = {key for key in arrays if key != _STATE and not (alone and key[:6] != "model/")}
    differing = sorted(found ^ set(wanted)) or [
        f"{key} has shape {arrays[key].shape}, the model {tuple(variable.shape)}"
        for key, variable in wanted.items()
        if arrays[key].shape != tuple(variable.shape)
    ]
    if differing:
        raise RunError(
            f"The checkpoint {path} belongs to another network: {differing[0]} "
            f"({len(differing)} differences). Resume with the recipe that the run was started "
            "with, or start a new run."
        )
