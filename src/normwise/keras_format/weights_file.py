"""Reads the weights of single layers from a model file, without reading the others.

Layers are named by their full paths, as in an opened graph: `encoder/conv1` is the layer `conv1` of
the nested model `encoder`. Nothing of a file's code runs, and no model is built.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from normwise.errors import ModelReadError
from normwise.keras_format.archive import DAMAGED
from normwise.keras_format.hdf5 import is_legacy, listed, member, refuse_elsewhere, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[Any], ...]

MAX_UNPACKED_BYTES = 512 * 2**20
"""Compressed weights have to be unpacked in memory; Keras stores them as they are."""
MAX_ARRAY_BYTES = 512 * 2**20
MAX_GROUPS, MAX_NESTING = 50_000, 128
_INSIDE = "model.weights.h5"
_UNREADABLE = (*DAMAGED, KeyError, TypeError, AttributeError)


class WeightsFile:
    """The weights in a file, read a layer at a time; opened when the first one is asked for.

    Args:
        path: A `.keras` archive, a whole-model `.h5` of Keras 2 or 3, or a `.weights.h5`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[Any] = []

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in reversed(self._opened):
            file.close()
        self._opened.clear()

    def of(self, layer: str) -> Arrays | None:
        """The arrays of a layer in Keras' order, None if the file names no such layer.

        Args:
            layer: Its full path.

        Raises:
            ModelReadError: The file is damaged, or asks for more memory than any layer needs.
        """
        found = self._index.get(layer)
        if found is None:
            return None
        try:
            return tuple(_array(dataset, self._path) for dataset in found())
        except _UNREADABLE as error:
            raise ModelReadError(
                f"{self._path}: the weights of layer {layer!r} can't be read ({error})."
            ) from error

    @cached_property
    def _index(self) -> Mapping[str, _Datasets]:
        """What opens the datasets of each layer, by its path."""
        import h5py  # noqa: PLC0415 - only where weights are needed

        try:
            source = _source(self._path)
            self._opened += [] if isinstance(source, Path) else [source]
            file = h5py.File(source, "r")
            self._opened.append(file)
            return dict(_legacy(file) if is_legacy(file) else _modern(file, self._path))
        except _UNREADABLE as error:
            raise ModelReadError(
                f"{self._path}: no readable weights ({error}); is it truncated?"
            ) from error


class _Part(io.RawIOBase):
    """A stretch of a file as a file: a member that an archive stores as it is."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _source(path: Path) -> Any:
    """What HDF5 can open: the path itself, or the weights inside an archive."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(_INSIDE)
        if info.compress_type == zipfile.ZIP_STORED:
            return _stored(path, info)
        if info.file_size > MAX_UNPACKED_BYTES:
            raise ModelReadError(f"{path}: the weights are packed, and too large to unpack.")
        with archive.open(info) as member:
            return io.BytesIO(member.read(MAX_UNPACKED_BYTES))


def _stored(path: Path, info: zipfile.ZipInfo) -> _Part:
    file = path.open("rb")
    # The local header: 30 bytes that end in the lengths of the name and of an extra field.
    file.seek(info.header_offset + 26)
    lengths = file.read(4)
    name, extra = (int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
    return _Part(file, info.header_offset + 30 + name + extra, info.file_size)


_Datasets = Callable[[], tuple[Any, ...]]


def _modern(file: Any, path: Path) -> Iterator[tuple[str, _Datasets]]:
    """As Keras 3 writes: each layer's group holds `vars`, which says its name."""
    pending, seen = [(file, "", 0)], 0
    while pending:
        group, prefix, depth = pending.pop()
        seen += 1
        if seen > MAX_GROUPS or depth > MAX_NESTING:
            raise ModelReadError(f"{path}: its groups of weights are nested without end.")
        keys = list(group)
        own = member(group, "vars") if "vars" in keys else None
        told = None if own is None or group is file else own.attrs.get("name")
        inside = prefix
        if own is not None and told is not None:
            name = f"{prefix}{text_of(told)}"
            inside = f"{name}/"
            if len(own):
                yield name, partial(_numbered, own)
        for key in keys:
            if key in ("vars", "optimizer", "seed_generator"):
                continue
            part = member(group, key)
            if hasattr(part, "keys"):
                pending.append((part, inside, depth + 1))


def _numbered(group: Any) -> tuple[Any, ...]:
    return tuple(member(group, key) for key in sorted(group, key=int))


def _legacy(file: Any) -> Iterator[tuple[str, _Datasets]]:
    """As Keras 2 writes: a group for each layer of the model, with the names of its weights."""
    root = member(file, "model_weights") if "model_weights" in file else file
    for layer in listed(root, "layer_names"):
        group = member(root, layer)
        owners: dict[str, list[Any]] = {}
        for weight in listed(group, "weight_names"):
            owners.setdefault(weight.rpartition("/")[0], []).append(member(group, weight))
        if len(owners) == 1:
            yield layer, partial(tuple, *owners.values())
        for owner, datasets in owners.items():
            # Inside a nested model; some versions write its own path before the layer's.
            yield f"{layer}/{owner}", partial(tuple, datasets)
            yield f"{layer}/{owner.rpartition('/')[2]}", partial(tuple, datasets)


def _array(dataset: Any, path: Path) -> NDArray[Any]:
    refuse_elsewhere(dataset)
    if dataset.nbytes > MAX_ARRAY_BYTES:
        raise ModelReadError(f"{path}: {dataset.name} has {dataset.nbytes:,} bytes.")
    import numpy as np  # noqa: PLC0415 - only where weights are needed

    values = np.asarray(dataset)
    if text_of(dataset.attrs.get("dtype", "")) == "bfloat16":
        # The upper half of a float32.
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if values.dtype.kind not in "fiub":
        raise ModelReadError(f"{path}: {dataset.name} holds no numbers ({values.dtype}).")
    return values
