"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from normwise.errors import NormwiseError, OutputExistsError
from normwise.leftovers import remove, remove_leftovers, temporary_stem

Ready = Callable[[Path], None]
"""Is called with the temporary path when all is on the disk, right before it gets its name."""


@contextmanager
def whole_file(path: Path, overwrite: bool = True, ready: Ready | None = None) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends without an exception.

    A reader never sees half a file, and an interrupted run leaves the old file as it was: the
    temporary file stands in the same folder, is flushed to disk and then renamed. What a process
    that was killed left of the same file is removed first, where that is safe; see `leftovers`.

    Args:
        path: The file to write. Its folder is made if it is missing.
        overwrite: Whether an existing `path` may be replaced.
        ready: See `Ready`; what it raises leaves the old file.

    Yields:
        A path with the suffix of `path` that does not exist yet. The block creates the file.

    Raises:
        OutputExistsError: If `path` exists and `overwrite` is False, before the block runs or
            when it ends; if it is a folder, whatever `overwrite` says.

    Example:
        ```python
        with whole_file(Path("metrics.json")) as temporary:
            temporary.write_text("{}")
        ```
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = path.with_name(f"{temporary_stem(path)}.part{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        # Work can take hours: somebody else may have written the file meanwhile.
        refuse_existing(path, overwrite)
        if ready is not None:
            ready(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def without_new_folders(path: Path) -> Iterator[None]:
    """Takes away the folders that a block made for a path if it ends with an exception.

    Only for outputs of which nobody writes others into the same new folder meanwhile.
    """
    parents = [path.parent, *path.parent.parents]
    new = [folder for folder in parents if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # it isn't there, or something is in it
                folder.rmdir()
        raise


@contextmanager
def whole_folder(
    path: Path, overwrite: bool = True, signs: Sequence[str] = (), ready: Ready | None = None
) -> Iterator[Path]:
    """A temporary path that becomes the folder `path` when the block ends without an exception.

    Args:
        path: The folder to write. Its parent is made if it is missing.
        overwrite: Whether an existing `path` may be replaced.
        signs: As for `refuse_existing`.
        ready: As for `whole_file`.

    Yields:
        A path with the suffix of `path` that does not exist yet. The block creates the folder.

    Raises:
        OutputExistsError: As for `whole_file`.
    """
    path = Path(path)
    refuse_existing(path, overwrite, signs)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside, stem = remove_leftovers(path), temporary_stem(path)
    temporary, old = (path.with_name(f"{stem}.{part}{path.suffix}") for part in ("part", "old"))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        refuse_existing(path, overwrite, signs)
        if ready is not None:
            ready(temporary)
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


@contextmanager
def permitted(folder: Path) -> Iterator[None]:
    """Turns what a folder raises that may not be looked into into an error that names it.

    Args:
        folder: What the block lists, or looks something up in.

    Raises:
        NormwiseError: It may be neither.
    """
    try:
        yield
    except PermissionError as error:
        raise NormwiseError(
            f"{folder}: may not be looked into ({error}); check its permissions, and those of the "
            "folders above it."
        ) from error


def refuse_existing(path: Path, overwrite: bool, signs: Sequence[str] | None = None) -> None:
    """Refuses an output that would replace what must not be replaced.

    A folder goes with all that is in it, so one that isn't empty is only replaced by a folder, and
    only where a file in it tells that it is of the kind that is written.

    Args:
        path: The output.
        overwrite: Whether what is there may be replaced.
        signs: For an output that is a folder: the names of files of which such a folder has one.
            None: the output is a file.

    Raises:
        OutputExistsError: It exists and `overwrite` is False, or is no such output; or it would lie
            in a file.
        NormwiseError: Its folder may not be looked into, or not be written to.
    """
    refuse_no_folder(path.parent)
    with permitted(path.parent):
        if not path.exists():
            return
    if signs is None and path.is_dir():
        raise OutputExistsError(f"{path} is a folder; the output is a file. Name another one.")
    if signs is not None:
        _refuse_other_folder(path, signs)
    if not overwrite:
        raise OutputExistsError(
            f"{path} exists already. Name another output, or replace it with `--overwrite`."
        )


def refuse_no_folder(folder: Path) -> None:
    """Refuses a folder to write into that can't be one, or be made.

    Args:
        folder: The folder, which need not be there.

    Raises:
        OutputExistsError: It is a file, or lies in one; or is a link that leads nowhere.
        NormwiseError: Its folder may not be looked into, or not be written to.
    """
    for path in (folder, *folder.parents):
        with permitted(path):
            if path.is_dir():
                _refuse_unwritable(path)
                return
            if path.exists() or path.is_symlink():
                what = "a file" if path.exists() else "a link that leads nowhere"
                raise OutputExistsError(
                    f"{path} is {what}, not a folder to write to; name another."
                )


def _refuse_unwritable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NormwiseError(
            f"{folder}: may not be written to; check its permissions, or name another place."
        )


def _refuse_other_folder(path: Path, signs: Sequence[str]) -> None:
    if not path.is_dir():
        raise OutputExistsError(f"{path} is a file; the output is a folder. Name another one.")
    with permitted(path):
        held = sorted(entry.name for entry in path.iterdir())
    if held and not any(sign in held for sign in signs):
        raise OutputExistsError(
            f"{path} holds something else ({held[0]}), which would be lost; of what may be "
            f"replaced it would hold {' or '.join(signs) or 'nothing'}. Name another output."
        )


def _sync(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder; where folders can't be opened, or this one may not be
    # listed, only this step is lost.
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
