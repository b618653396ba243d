"""Reads the weights in a file by the names of the layers they belong to.

Keras itself puts weights back by their position among the layers of a class, so that one layer
more on one side shifts all that follow. Every format names the layers; only these names count
here. Nothing of a file's code runs, and no model is built.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.errors import ModelReadError
from normwise.keras_format.archive_file import DAMAGED
from normwise.keras_format.hdf5 import (
    address_of,
    is_legacy,
    listed,
    member,
    refuse_elsewhere,
    text_of,
)

Array = NDArray[Any]
Arrays = tuple[Array, ...]

SUFFIXES = (".weights.h5", ".keras", ".h5", ".hdf5")
MAX_WEIGHTS_BYTES = 4 * 2**30
_INSIDE = "model.weights.h5"


def read_weights(path: Path) -> Mapping[str, Arrays]:
    """The weights of each layer in a file.

    Args:
        path: A `.keras` archive, the `.weights.h5` of Keras 3, or an `.h5` of Keras 2 or 3 with
            a whole model or with weights alone, such as those of `keras.applications`.

    Returns:
        For each layer with weights, nested ones included, its arrays in Keras' order.

    Raises:
        ModelReadError: The file is missing or damaged, doesn't name its layers, or names two
            alike.
    """
    import h5py  # noqa: PLC0415 - only where such a file is read

    if not path.is_file():
        raise ModelReadError(f"{path}: no such file.")
    if not path.name.endswith(SUFFIXES):
        raise ModelReadError(f"{path}: no weights file; expected one in {', '.join(SUFFIXES)}.")
    try:
        with h5py.File(_opened(path), "r") as file:
            pairs = list(_legacy(file) if is_legacy(file) else _modern(file, path))
    except DAMAGED as error:
        raise ModelReadError(f"{path}: no readable weights ({error}); is it truncated?") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelReadError(
            f"{path}: not in a form in which Keras saves weights ({type(error).__name__}: {error})."
        ) from error
    return _unique(pairs, path)


def read_layer_weights(path: Path) -> Mapping[str, tuple[tuple[str, Array], ...]]:
    """The weights of each layer of the outermost model in a file of Keras 2.

    Args:
        path: An `.h5` or `.hdf5` with a whole model.

    Returns:
        For each layer, nested models included, the names of its weights with their arrays, in the
        order in which Keras 2 wrote them.

    Raises:
        ModelReadError: The file is damaged, or of another form.
    """
    import h5py  # noqa: PLC0415

    try:
        with h5py.File(path, "r") as file:
            root = member(file, "model_weights")
            layers = {layer: member(root, layer) for layer in listed(root, "layer_names")}
            return {
                layer: tuple((name, _read(group, name)) for name in listed(group, "weight_names"))
                for layer, group in layers.items()
            }
    except (*DAMAGED, KeyError, TypeError, AttributeError) as error:
        raise ModelReadError(
            f"{path}: no readable weights of Keras 2 ({type(error).__name__}: {error})."
        ) from error


def _opened(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if _INSIDE not in archive.namelist():
            raise ModelReadError(f"{path}: the archive holds no {_INSIDE}.")
        if archive.getinfo(_INSIDE).file_size > MAX_WEIGHTS_BYTES:
            raise ModelReadError(f"{path}: the weights are over {MAX_WEIGHTS_BYTES >> 30} GiB.")
        return io.BytesIO(archive.read(_INSIDE))


def _unique(pairs: list[tuple[str, Arrays]], path: Path) -> Mapping[str, Arrays]:
    found: dict[str, Arrays] = {}
    for name, arrays in pairs:
        if name in found:
            raise ModelReadError(f"{path}: two layers are named {name!r}; names must be unique.")
        found[name] = arrays
    if not found:
        raise ModelReadError(f"{path}: holds no weights.")
    return found


def _modern(file: Any, path: Path) -> Iterator[tuple[str, Arrays]]:
    for group in _variables(file):
        if "name" not in group.attrs:
            raise ModelReadError(
                f"{path}: {group.name} doesn't name its layer; Keras before 3.4 wrote such files. "
                "Load it there with its model, and save the model as `.keras` with a newer Keras."
            )
        yield (
            text_of(group.attrs["name"]),
            tuple(_read(group, k) for k in sorted(group, key=int)),
        )


def _variables(group: Any) -> Iterator[Any]:
    """The groups that hold variables of layers; optimizers and random seeds are left out."""
    pending, seen = [group], {address_of(group)}
    while pending:
        outer, inner = pending.pop(), []
        for key in outer:
            part = member(outer, key)
            if not hasattr(part, "keys") or key in ("optimizer", "seed_generator"):
                continue
            if key == "vars":
                if len(part):
                    yield part
            elif address_of(part) not in seen:  # links may lead in a circle
                seen.add(address_of(part))
                inner.append(part)
        pending += reversed(inner)


def _legacy(file: Any) -> Iterator[tuple[str, Arrays]]:
    root = member(file, "model_weights") if "model_weights" in file else file
    for layer in listed(root, "layer_names"):
        group = member(root, layer)
        parts: dict[str, list[Array]] = {}
        for weight in listed(group, "weight_names"):
            parts.setdefault(_owner(weight), []).append(_read(group, weight))
        if len(parts) > 1:
            yield from ((owner, tuple(arrays)) for owner, arrays in parts.items())
        elif parts:
            yield layer, tuple(*parts.values())


def _owner(weight: str) -> str:
    """`conv` of `stem/conv/kernel:0`; a layer with one owner keeps its own name."""
    return weight.split("/")[-2] if "/" in weight else ""


def _read(group: Any, name: str) -> Array:
    dataset = member(group, name)
    refuse_elsewhere(dataset)
    values = np.asarray(dataset)
    if values.dtype.kind not in "fiub":
        raise ModelReadError(f"{dataset.name} holds no numbers that can be read ({values.dtype}).")
    return values
