"""Saves a model so that older Keras 3 and a machine without normwise can load it."""

import json
import zipfile
from pathlib import Path
from typing import Any

from normwise.files import whole_file

NEWER_DEFAULTS = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
"""What Keras 3.15 writes into every BatchNormalization and older Keras 3 refuses to read."""


def save_model(model: Any, path: Path, *, overwrite: bool = False) -> None:
    """Writes a `.keras` file, whole or not at all.

    Args:
        model: A built `keras.Model`.
        path: Where to; must end in `.keras`.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and `overwrite` is False.
    """
    with whole_file(path, overwrite=overwrite) as temporary:
        model.save(temporary)
        _drop_newer_defaults(temporary)


def _drop_newer_defaults(path: Path) -> None:
    stripped = path.with_name(f"{path.name}.stripped")
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(stripped, "w") as new:
            for entry in old.infolist():
                content = old.read(entry)
                if entry.filename == "config.json":
                    content = json.dumps(without_newer_defaults(json.loads(content))).encode()
                new.writestr(entry, content)
        stripped.replace(path)
    finally:
        stripped.unlink(missing_ok=True)


def without_newer_defaults(config: Any) -> Any:
    """A configuration without the keys that say no more than that renormalization is off."""
    if isinstance(config, list):
        return [without_newer_defaults(part) for part in config]
    if not isinstance(config, dict):
        return config
    drop = set(NEWER_DEFAULTS) if config.get("renorm") is False else set()
    return {k: without_newer_defaults(v) for k, v in config.items() if k not in drop}
