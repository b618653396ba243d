"""What a data folder itself says of its images: their splits, their groups, what values mean."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from normwise.data.dataset import Labels
from normwise.data.description import read_description
from normwise.data.layout import find_layout
from normwise.data.manifest import manifest_of, read_manifest
from normwise.data.splitting import divide


@dataclass(frozen=True)
class Told:
    """What a data folder says beside its pixels; no setting of a recipe plays a part.

    Attributes:
        splits: The same for the same images in the same splits and groups. Those that a recipe
            lets validate are training images here.
        description: The entries of `dataset.yaml`, as JSON has them, but for its colours.
    """

    splits: str
    description: Mapping[str, Any]


def told_by(data: Path, labels: Labels | None = None) -> Told:
    """Reads the tables, the names of files and `dataset.yaml` of a data folder, and no pixels.

    Args:
        data: The folder, or a CSV file of paths.
        labels: `masks` or `targets`, where it has both.

    Raises:
        DataError: If it is no data folder, or its tables can't be read.
    """
    manifest = manifest_of(data)
    root = manifest.parent if manifest is not None else data
    description = read_description(root)
    if manifest is not None:
        layout = read_manifest(manifest, labels, description.bands)
    else:
        layout = find_layout(root, labels, description)
    pairs = divide(layout, validation=0.0, seed=0).pairs
    lines = sorted(json.dumps([pair.name, pair.split, pair.group]) for pair in pairs)
    splits = sha256("\n".join(lines).encode()).hexdigest()[:16]
    return Told(splits, _plain(description.model_dump_json(exclude_none=True, exclude={"colours"})))


def _plain(text: str) -> dict[str, Any]:
    return dict(json.loads(text))
