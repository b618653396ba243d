"""Reads the weights of single layers from a model file, without reading the others.

Layers are named by their full paths, as in an opened graph: `encoder/conv1` is the layer `conv1` of
the nested model `encoder`. Nothing of a file's code runs, and no model is built.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from normwise.errors import ModelReadError, WeightsTooLargeError
from normwise.keras_format.archive_file import DAMAGED
from normwise.keras_format.file_bytes import FileBytes
from normwise.keras_format.plain_hdf5 import Dataset, Group, UnusualError, open_plain
from normwise.keras_format.weights_member import MAX_LAYER_NUMBERS, stretch


class Values(Protocol):
    """Numbers in a shape: a view of memory, or an array of NumPy."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Sizes of the axes."""
        ...

    def tolist(self) -> Any:
        """The numbers as Python's."""
        ...


MAX_NUMBERS = 2**22
"""What is read of all layers that are asked for, however often the same bytes stand for several.
More is left unread.
"""
MOST_STATED = 2**28
"""Numbers that a layer can have: a batch normalization of 67 million channels. Beyond it a file is
refused.
"""
MAX_GROUPS, MAX_NESTING, MAX_WEIGHTS = 20_000, 128, 200_000
_UNREADABLE = (*DAMAGED, KeyError, TypeError, AttributeError, IndexError, OverflowError)


class WeightsFile:
    """The weights in a file, read a layer at a time; opened when the first one is asked for.

    Args:
        path: A `.keras` archive, a whole-model `.h5` of Keras 2 or 3, or a `.weights.h5`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = ExitStack()
        self._index: Mapping[str, _Datasets] | None = None
        self._left, self._size = MAX_NUMBERS, 0
        self._open: Callable[[Path, ExitStack], tuple[Group, int]] = _plain

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def of(self, layer: str) -> tuple[Values, ...] | None:
        """The arrays of a layer in Keras' order, None if the file names no such layer.

        Args:
            layer: Its full path.

        Raises:
            WeightsTooLargeError: They are more than is read; other layers still are.
            ModelReadError: The file is damaged, or states more than any layer has.
        """
        try:
            return self._of(layer)
        except UnusualError:
            self._opened.close()
            self._open, self._index = _copied, None
        try:
            return self._of(layer)
        except UnusualError as error:
            raise ModelReadError(f"{self._path}: it holds {error}, which isn't read.") from error

    def _of(self, layer: str) -> tuple[Values, ...] | None:
        if self._index is None:
            self._index = self._read_index()
        found = self._index.get(layer)
        if found is None:
            return None
        try:
            datasets = found()
            count = sum(dataset.count for dataset in datasets)
            if not self._is_read(datasets, count):
                raise WeightsTooLargeError(
                    f"{self._path}: the weights of layer {layer!r} are {count:,} numbers; they "
                    "are left unread."
                )
            read = tuple(_numbers(dataset) for dataset in datasets)
        except _UNREADABLE as error:
            raise ModelReadError(
                f"{self._path}: the weights of layer {layer!r} can't be read ({error})."
            ) from error
        self._left -= count
        return read

    def _is_read(self, datasets: Sequence[Dataset], count: int) -> bool:
        """Whether a layer is no wider than what is read.

        Raises:
            ValueError: It is wider than any layer, or than the file has room for.
        """
        if count > MOST_STATED:
            size = sum(dataset.nbytes for dataset in datasets)
            raise ValueError(f"{count:,} numbers, {size:,} bytes, are more than any layer has")
        if count > MAX_LAYER_NUMBERS:
            for dataset in datasets:
                with suppress(UnusualError):  # what is packed may be smaller in the file
                    dataset.place()
            return False
        if count > self._left and MAX_NUMBERS - self._left > self._size:
            raise ValueError(
                f"{count:,} numbers are more than is read of it: its layers share the same ones"
            )
        return count <= self._left

    def _read_index(self) -> Mapping[str, _Datasets]:
        """What opens the datasets of each layer, by its path."""
        try:
            root, self._size = self._open(self._path, self._opened)
            return dict(_legacy(root) if is_legacy(root) else _modern(root))
        except _UNREADABLE as error:
            raise ModelReadError(
                f"{self._path}: no readable weights ({error}); is it truncated?"
            ) from error


def _plain(path: Path, opened: ExitStack) -> tuple[Group, int]:
    """The root of a file that is in plain form, and how many bytes it has."""
    file, start, size = stretch(path)
    opened.enter_context(file)
    return open_plain(FileBytes(file, start, size)), size


def _copied(path: Path, opened: ExitStack) -> tuple[Group, int]:
    from normwise.keras_format.plain_copy import plain_copy  # noqa: PLC0415 - seldom needed

    return _plain(opened.enter_context(plain_copy(path)), opened)


_Datasets = Callable[[], Sequence[Dataset]]


def is_legacy(root: Group) -> bool:
    """Whether Keras 2 wrote a file, or Keras 3 in its form."""
    return "model_weights" in root or any(k.startswith("layer_names") for k in root.attributes)


def _modern(root: Group) -> Iterator[tuple[str, _Datasets]]:
    """As Keras 3 writes: each layer's group holds `vars`, which says its name."""
    pending, seen = [(root, "", 0)], {root.address}
    while pending:
        group, prefix, depth = pending.pop()
        if len(seen) > MAX_GROUPS or depth > MAX_NESTING:
            raise ValueError("its groups are nested without end")
        own = _group(group, "vars") if "vars" in group and group is not root else None
        told = own.texts("name") if own is not None else None
        inside = prefix
        if own is not None and told:
            inside = f"{prefix}{told[0]}/"
            if len(own):
                yield inside[:-1], partial(_numbered, own)
        for key in group:
            if key in ("vars", "optimizer", "seed_generator"):
                continue
            part = group.member(key)
            if isinstance(part, Dataset):
                continue
            if part.address in seen:
                raise ValueError("its groups are linked in circles, nested without end")
            seen.add(part.address)
            pending.append((part, inside, depth + 1))


def _numbered(group: Group) -> Sequence[Dataset]:
    return [_dataset(group, key) for key in sorted(group, key=int)]


def _legacy(root: Group) -> Iterator[tuple[str, _Datasets]]:
    """As Keras 2 writes: a group for each layer of the model, with the names of its weights."""
    root, left = _group(root, "model_weights") if "model_weights" in root else root, MAX_WEIGHTS
    for layer in dict.fromkeys(_listed(root, "layer_names")):
        group = _group(root, layer)
        owners: dict[str, list[str]] = {}
        for weight in dict.fromkeys(_listed(group, "weight_names")):
            owners.setdefault(weight.rpartition("/")[0], []).append(weight)
            left -= 1
        if left < 0:
            raise ValueError(f"it names over {MAX_WEIGHTS} weights")
        for owner, weights in owners.items():
            datasets = partial(_named, group, weights)
            if len(owners) == 1:
                yield layer, datasets
            # Inside a nested model; some versions write its own path before the layer's.
            yield f"{layer}/{owner}", datasets
            yield f"{layer}/{owner.rpartition('/')[2]}", datasets


def _listed(group: Group, attribute: str) -> list[str]:
    """A list of names, which may be kept in numbered pieces."""
    found, pieces = group.texts(attribute), 0
    if found is not None:
        return found
    found = []
    while (piece := group.texts(f"{attribute}{pieces}")) is not None:
        found += piece
        pieces += 1
    return found


def _named(group: Group, weights: Sequence[str]) -> Sequence[Dataset]:
    return [_dataset(group, weight) for weight in weights]


def _member(group: Group, path: str) -> Group | Dataset:
    found: Group | Dataset = group
    for part in path.split("/"):
        if isinstance(found, Dataset):
            raise ValueError(f"{found.name} is no group")
        found = found.member(part)
    return found


def _group(group: Group, path: str) -> Group:
    found = _member(group, path)
    if isinstance(found, Dataset):
        raise ValueError(f"{found.name} is no group")
    return found


def _dataset(group: Group, path: str) -> Dataset:
    found = _member(group, path)
    if isinstance(found, Group):
        raise ValueError(f"{found.name} is no array")
    return found


def _numbers(dataset: Dataset) -> Values:
    if dataset.texts("dtype") == ["bfloat16"]:
        # The upper half of a float32.
        halves: Any = dataset.values("H")
        if halves is None:
            raise ValueError(f"{dataset.name} holds no numbers")
        wide = array("I", (half << 16 for half in halves.cast("B").cast("H")))
        widened: memoryview[float] = memoryview(wide).cast("B").cast("f", halves.shape)
        return widened
    values = dataset.values()
    if values is None:
        raise ValueError(f"{dataset.name} holds no numbers")
    return values
