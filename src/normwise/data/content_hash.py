"""A short name of what a data set holds, for those who want to repeat what was made of it."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from normwise.data.dataset import Dataset

_END: Final = 65536


def content_hash(dataset: Dataset) -> str:
    """A hash of the names of all items, the sizes of their files, and 64 KiB at both ends of each.

    Files are not read whole, for data may be large: a change in the middle of a file that keeps
    its size goes unnoticed. Where the files stand doesn't matter.
    """
    digest = sha256()
    for item in sorted(dataset.items, key=lambda item: (item.name, item.origin)):
        digest.update(_bytes(f"{item.name} {item.origin}\n"))
        images = item.image if isinstance(item.image, tuple) else (item.image,)
        for path in (*images, item.label, item.weight):
            for file in _files(path):
                for part in _parts(file):
                    digest.update(part)
    return digest.hexdigest()[:16]


def _files(path: Path | None) -> Iterator[Path]:
    if path is None:
        return
    if path.is_dir():  # Zarr
        yield from sorted(file for file in path.rglob("*") if file.is_file())
    else:
        yield path


def _parts(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    yield _bytes(f"{path.name} {size}\n")
    with path.open("rb") as file:
        yield file.read(_END)
        if size > 2 * _END:
            file.seek(-_END, 2)
        yield file.read(_END)


def _bytes(text: str) -> bytes:
    # A file's name may be any bytes: those that are not UTF-8 come back as they are on disk.
    return text.encode("utf-8", "surrogateescape")
