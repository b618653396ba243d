"""All files that an image is read from, also those that nobody names, and whether they changed."""

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from normwise.rasters.raster import ImageFiles
from normwise.rasters.reading import suffix_of
from normwise.rasters.side_files import files_beside
from normwise.rasters.vrt import sources_of

Stamp = tuple[str, int, int | str]


def all_files(path: ImageFiles) -> Iterator[Path]:
    """The file or files of an image, what they are made of, and what lies beside any of these.

    A VRT may be made of others; sources that are missing are left out.

    Args:
        path: The file, or the files of its bands.

    Raises:
        RasterError: If a VRT is no text.
    """
    for file in _made_of([path] if isinstance(path, Path) else list(path)):
        yield file
        yield from files_beside(file)


def _made_of(files: list[Path]) -> list[Path]:
    """Files, and after them the sources of all VRTs among them and these, each once."""
    known = set(files)
    found = list(dict.fromkeys(files))
    for file in found:  # it grows meanwhile
        if suffix_of(file) == ".vrt":
            new = [part for part in sources_of(file) if part not in known and part.exists()]
            known.update(new)
            found += new
    return found


def stamps_of(path: ImageFiles) -> list[Stamp]:
    """What changes with an image: see `stamp_of`, of each of its files.

    To be asked before it is opened: so what takes its place meanwhile is another one later. It
    ends with a file that can't be looked at; who opens the image says so.

    Args:
        path: The file, or the files of its bands.

    Raises:
        RasterError: If a VRT is no text.
    """
    found: list[Stamp] = []
    with suppress(OSError):
        found.extend(map(stamp_of, all_files(path)))
    return found


def stamp_of(path: Path) -> Stamp:
    """What changes when a file, or any file in a folder of chunks, is written or replaced.

    The time of a folder tells of the names in it alone, not of what is written deeper inside or
    into the files that it has.

    Args:
        path: A file or folder that is there.

    Returns:
        Where it really is, its bytes, and its time; of a folder a hash of all times in it.
    """
    place = str(path.resolve())
    if not path.is_dir():
        state = path.stat()
        return place, state.st_size, state.st_mtime_ns
    found, size = sha256(), 0
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        state = file.stat()
        size += state.st_size
        found.update(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return place, size, found.hexdigest()[:16]
