"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from normwise.errors import OutputExistsError
from normwise.leftovers import remove, remove_leftovers, temporary_stem


@contextmanager
def whole_file(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends without an exception.

    A reader never sees half a file, and an interrupted run leaves the old file as it was: the
    temporary file stands in the same folder, is flushed to disk and then renamed. What a process
    that was killed left of the same file is removed first, where that is safe; see `leftovers`.

    Args:
        path: The file to write. Its folder is made if it is missing.
        overwrite: Whether an existing `path` may be replaced.

    Yields:
        A path with the suffix of `path` that does not exist yet. The block creates the file.

    Raises:
        OutputExistsError: If `path` exists and `overwrite` is False, before the block runs or
            when it ends.

    Example:
        ```python
        with whole_file(Path("metrics.json")) as temporary:
            temporary.write_text("{}")
        ```
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = path.with_name(f"{temporary_stem(path)}.part{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        # Work can take hours: somebody else may have written the file meanwhile.
        _refuse_existing(path, overwrite)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path that becomes the folder `path` when the block ends without an exception.

    Args:
        path: The folder to write. Its parent is made if it is missing.
        overwrite: Whether an existing `path` may be replaced.

    Yields:
        A path with the suffix of `path` that does not exist yet. The block creates the folder.

    Raises:
        OutputExistsError: As for `whole_file`.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside, stem = remove_leftovers(path), temporary_stem(path)
    temporary, old = (path.with_name(f"{stem}.{part}{path.suffix}") for part in ("part", "old"))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        _refuse_existing(path, overwrite)
        if path.exists():
            # A folder can't be renamed onto another one that is not empty.
            path.replace(old)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():
            old.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    for folder in aside:
        remove(folder)
    _sync_folder(path.parent)


def write_text(path: Path, text: str, overwrite: bool = True) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    Args:
        path: The file to write.
        text: Its whole content.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: If `path` exists and `overwrite` is False.
    """
    with whole_file(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def as_utf8(text: str) -> str:
    """Text with escapes, such as `\\udce9`, for what UTF-8 has no bytes for.

    Names of files that are not UTF-8 hold such characters. In JSON the escape stands for the very
    character, so that a name comes back as it was.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists already. Name another output, or replace it with `--overwrite`."
        )


def _sync(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder; systems that can't open folders lose only this step.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
