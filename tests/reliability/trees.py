"""The whole content of a file, or of a folder."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path


def content_of(path: Path) -> dict[str, bytes]:
    """A hash of each file, by its name in the folder; of a single file by an empty name.

    Raises:
        OSError: There is nothing, or it vanishes meanwhile.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {str(file.relative_to(path)): sha256(file.read_bytes()).digest() for file in files}
    return {"": sha256(path.read_bytes()).digest()}
