"""What a model was compiled with, read from its file: the optimizer's settings and the loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normwise.keras_format.archive import MAX_METADATA_BYTES, hdf5_attribute
from normwise.keras_format.archive_file import DAMAGED

STEPS = "gradient_accumulation_steps"
"""What Keras calls the batches whose gradients are added before a step."""
SETTINGS = ("weight_decay", STEPS)
"""What is read of an optimizer. Variables that are left out of the decay stand in no file."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"adamw": {"weight_decay": 0.004}}
"""Of optimizers that a configuration may tell by their names alone."""
_MOST_WRAPPERS = 4


@dataclass(frozen=True)
class Compiled:
    """What a file says of a training; empty where it wasn't compiled or nothing is said.

    Attributes:
        optimizer: `SETTINGS` of the optimizer, those that are told.
        loss: Name of the loss, None for several or none.
    """

    optimizer: Mapping[str, Any] = field(default_factory=dict)
    loss: str | None = None


def compiled_of(config: Mapping[str, Any], path: Path) -> Compiled:
    """What a model was compiled with.

    What is damaged counts as not said: whether the model can be read doesn't depend on it.

    Args:
        config: The file's model configuration.
        path: The file, for the forms that keep it beside the configuration.
    """
    told = config.get("compile_config")
    if isinstance(told, Mapping):
        return Compiled(_settings(told.get("optimizer")), _name(told.get("loss")))
    told = _beside(path)
    return Compiled(_settings(told.get("optimizer_config")), _name(told.get("loss")))


def _beside(path: Path) -> Mapping[str, Any]:
    """The attribute of an HDF5 file in which it stands."""
    if path.suffix.lower() not in (".h5", ".hdf5"):
        return {}
    try:
        text = hdf5_attribute(path, "training_config")
        told = json.loads(text) if text is not None and len(text) <= MAX_METADATA_BYTES else {}
    except (*DAMAGED, KeyError, TypeError, IndexError, RecursionError):
        return {}
    return told if isinstance(told, Mapping) else {}


def _settings(told: Any) -> Mapping[str, Any]:
    """Settings of an optimizer; one that scales the loss holds the one that is meant."""
    for _ in range(_MOST_WRAPPERS):
        if isinstance(told, str):
            return dict(_DEFAULTS.get(told.lower(), {}))
        config = told.get("config") if isinstance(told, Mapping) else None
        if not isinstance(config, Mapping):
            return {}
        if "inner_optimizer" not in config:
            return {name: config[name] for name in SETTINGS if _is_number(config.get(name))}
        told = config["inner_optimizer"]
    return {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name(told: Any) -> str | None:
    if isinstance(told, Mapping):
        config = told.get("config")
        told = config if isinstance(config, str) else told.get("class_name")
    return told if isinstance(told, str) else None
