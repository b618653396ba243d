"""Opens model files and hands over their JSON, without Keras and within bounds."""

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from normwise.errors import ModelReadError, NoModelError
from normwise.keras_format.archive_file import DAMAGED, open_archive, read_member
from normwise.keras_format.file_bytes import FileBytes
from normwise.keras_format.plain_hdf5 import UnusualError, open_plain

MAX_CONFIG_BYTES = 32 * 2**20
"""The largest configuration that is read; EfficientNetB7's has 1.6 MB."""
MAX_VALUES = 1_000_000
"""The most values in one; EfficientNetB7's has 90,000. Each takes a hundred bytes or more."""
MAX_METADATA_BYTES = 2**16
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")


def read_config(path: Path) -> Mapping[str, Any]:
    """The model configuration in a `.keras`, `.h5`, `.hdf5` or `.json` file.

    Raises:
        ModelReadError: The file is missing, broken, or holds no configuration.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelReadError(
            f"{path}: not a model file. Expected one that ends in {', '.join(READERS)}, or a run "
            "folder."
        )
    if not path.is_file():
        raise ModelReadError(f"{path}: no such file.")
    text = reader(path)
    if len(text) > MAX_CONFIG_BYTES:
        raise ModelReadError(f"{path}: the configuration is over {MAX_CONFIG_BYTES >> 20} MiB.")
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ModelReadError(f"{path}: the configuration has over {MAX_VALUES:,} values.")
    return _parse(text, path)


_ANY_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 20
"""A number of so many digits, once every digit is written as 0: many times faster than a pattern.
"""


def _parse(text: bytes, path: Path) -> Mapping[str, Any]:
    # Without zero bytes, which UTF-16 has between digits.
    whole = _refuse_long if _LONG_NUMBER in text.translate(_ANY_DIGIT, b"\0") else None
    try:
        config = json.loads(text, parse_int=whole)
    except RecursionError as error:
        raise ModelReadError(f"{path}: the configuration is nested too deeply.") from error
    except ValueError as error:
        raise ModelReadError(f"{path}: the configuration is no valid JSON: {error}.") from error
    if not isinstance(config, Mapping):
        raise ModelReadError(
            f"{path}: expected a model configuration, a mapping with `class_name`, got "
            f"{type(config).__name__}."
        )
    return config


def _refuse_long(number: str) -> int:
    """Whole numbers of a hundred digits are no setting, and computing with them takes hours."""
    if len(number) > 20:
        raise ValueError(f"the number {number[:20]}... has {len(number)} digits")
    return int(number)


_HDF5 = b"\x89HDF"


def _read_keras(path: Path) -> bytes:
    if _starts_with(path, _HDF5):
        return _read_hdf5(path)  # an .h5 file under another name
    try:
        with open_archive(path) as archive:
            return read_member(archive, "config.json", MAX_CONFIG_BYTES + 1)
    except KeyError as error:
        raise ModelReadError(
            f"{path}: the archive has no config.json; it wasn't written by model.save()."
        ) from error
    except DAMAGED as error:
        raise ModelReadError(
            f"{path}: no readable .keras archive ({error}); it may be truncated. Save the model "
            "again."
        ) from error


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def hdf5_attribute(path: Path, name: str) -> str | None:
    """A text in an attribute of an HDF5 file, None where it isn't there.

    Raises:
        ValueError, OSError: And others of `DAMAGED`: it is damaged.
    """
    try:
        told = _texts(path, name)
    except UnusualError:
        from normwise.keras_format.plain_copy import plain_copy  # noqa: PLC0415 - seldom needed

        try:
            with plain_copy(path) as copy:
                told = _texts(copy, name)
        except UnusualError as error:
            raise ValueError(f"it holds {error}") from error
    return told[0] if told else None


def _texts(path: Path, name: str) -> list[str] | None:
    with path.open("rb") as file:
        return open_plain(FileBytes(file, 0, path.stat().st_size)).texts(name)


def _read_hdf5(path: Path) -> bytes:
    try:
        config = hdf5_attribute(path, "model_config")
    except (*DAMAGED, KeyError, TypeError, IndexError) as error:
        raise ModelReadError(
            f"{path}: no readable HDF5 file ({error}); it may be truncated."
        ) from error
    if config is None:
        raise NoModelError(
            f"{path}: the file has no model configuration; it holds only weights, or other data. "
            "Save the whole model with model.save()."
        )
    return config.encode(errors="replace")


def _read_json(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ModelReadError(f"{path}: can't be read ({error.strerror}).") from error


READERS: Mapping[str, Callable[[Path], bytes]] = {
    ".keras": _read_keras,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".json": _read_json,
}


def read_keras_version(path: Path) -> tuple[int, ...] | None:
    """The version of the Keras that wrote a model file, such as `(3, 15, 1)`.

    Returns:
        None where the file doesn't say, as an architecture in JSON, or can't be read.
    """
    try:
        if zipfile.is_zipfile(path):
            with open_archive(path) as archive:
                metadata = json.loads(read_member(archive, "metadata.json", MAX_METADATA_BYTES))
            told = metadata.get("keras_version")
        else:
            told = hdf5_attribute(path, "keras_version")
    except (*DAMAGED, KeyError, TypeError, AttributeError, IndexError):
        return None
    return version_of(str(told))


def version_of(text: str) -> tuple[int, ...] | None:
    """A version as numbers, None for what is none."""
    parts = _VERSION.match(text)
    return tuple(int(part) for part in parts.groups() if part) if parts else None
