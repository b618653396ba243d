"""Breaks HDF5 files of models: with HDF5's own means, in their configuration, in their bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import h5py
import numpy as np

from tests.fuzz import configurations, contents


def broken(original: bytes, choose: Random) -> bytes:
    """A whole-model `.h5`, or weights, as something that still begins like one."""
    if choose.random() < 0.4:
        return contents.broken(original, choose)
    file = io.BytesIO(original)
    with warnings.catch_warnings(), h5py.File(file, "r+") as opened:
        warnings.simplefilter("ignore")
        for _ in range(choose.choice((1, 1, 2, 4))):
            _change(opened, choose)
    return file.getvalue()


def _change(file: Any, choose: Random) -> None:
    if "model_config" in file.attrs and choose.random() < 0.5:
        _configuration(file, choose)
        return
    names: list[str] = []
    file.visit(names.append)
    if names:
        name = choose.choice(names)
        # Not all is possible everywhere, such as an attribute that is too large.
        with suppress(ValueError, KeyError, TypeError, RuntimeError, OSError):
            choose.choice(CHANGES)(file, name, choose)


def _configuration(file: Any, choose: Random) -> None:
    told = file.attrs["model_config"]
    text = told if isinstance(told, str) else bytes(told).decode(errors="replace")
    with suppress(ValueError):  # it may be broken already
        if choose.random() < 0.1:
            other = (3, b"\xff\xfe", "", np.ones(3), [text] * 2)
            file.attrs["model_config"] = choose.choice(other)
        else:
            file.attrs["model_config"] = configurations.broken(text, choose)


def _attribute(file: Any, name: str, choose: Random) -> None:
    part = file[name]
    key = choose.choice([*part.attrs, "name", "layer_names", "weight_names", "dtype"])
    part.attrs[key] = choose.choice(
        ("x", b"\xff", "", 3, 1.5, np.ones(3), [b"a", b"a/b:0"], ["x" * 1000] * 3, "bfloat16",
         np.void(b"abc"), h5py.Empty("f"))
    )  # fmt: skip


def _values(file: Any, name: str, choose: Random) -> None:
    del file[name]
    value = choose.choice((0.0, -1.0, 1.0, 1e-30, 3e38, np.nan, np.inf, -np.inf))
    file[name] = np.full(choose.choice((1, 2, 4, 4, 4, 8)), value, choose.choice("fde"))


def _kind(file: Any, name: str, choose: Random) -> None:
    """Another type, another number of axes, nothing at all."""
    del file[name]
    file[name] = choose.choice(
        (np.array([b"a", b"b"]), np.zeros((2, 2, 2), "i8"), np.float32(3), np.zeros(0, "f"),
         np.zeros(3, "i4,f8"), np.zeros(4, "c8"), np.ones(4, ">f4"), np.ones(4, bool), b"text",
         np.zeros(4, "u1"), np.zeros(4, "f2"), h5py.Empty("f"))
    )  # fmt: skip


def _huge(file: Any, name: str, choose: Random) -> None:
    """Datasets that state more than they hold: never filled, or packed."""
    del file[name]
    shape = choose.choice(((10**9,), (10**5, 10**5), (4, 2**40), (2**20,)))
    chunks = tuple(min(size, 10**3) for size in shape)
    file.create_dataset(name, shape, "f4", chunks=chunks, compression=choose.choice((None, "gzip")))


def _link(file: Any, name: str, choose: Random) -> None:
    """Links that lead outside, in a circle or nowhere."""
    target = name.rpartition("/")[0] or "/"
    del file[name]
    file[name] = choose.choice(
        (h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/nowhere"), h5py.SoftLink("/"),
         h5py.SoftLink(f"/{name}"), h5py.SoftLink(f"/{target}"))
    )  # fmt: skip


def _circle(file: Any, name: str, choose: Random) -> None:
    file[f"{name}/again"] = file[name.rpartition("/")[0] or "/"]


def _elsewhere(file: Any, name: str, choose: Random) -> None:
    del file[name]
    if choose.random() < 0.5:
        file.create_dataset(name, (4,), "f4", external=[("other.bin", 0, 16)])
        return
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset(name, layout)


def _delete(file: Any, name: str, choose: Random) -> None:
    del file[name]


def _group(file: Any, name: str, choose: Random) -> None:
    """A group in the place of a dataset, or many in a group."""
    if isinstance(file[name], h5py.Dataset):
        del file[name]
    for index in range(choose.choice((1, 300))):
        file.require_group(f"{name}/{index}/vars").attrs["name"] = f"layer{index}"


def _move(file: Any, name: str, choose: Random) -> None:
    file.move(name, f"{name}{choose.choice(('x', 'é', '/0', '/vars'))}")


Change = Callable[[Any, str, Random], None]
PLAIN: tuple[Change, ...] = (
    _attribute, _attribute, _values, _values, _kind, _circle, _delete, _group, _move,
)  # fmt: skip
UNUSUAL: tuple[Change, ...] = (_huge, _link, _elsewhere)
"""What only the library reads, in a process of its own that takes a hundred times as long."""
CHANGES = PLAIN * 3 + UNUSUAL
