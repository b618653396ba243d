"""Our reader of HDF5 gives what the HDF5 library gives, or leaves it to the library."""

import io
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from normwise.errors import ModelReadError
from normwise.keras_format import plain_copy
from normwise.keras_format.file_bytes import FileBytes
from normwise.keras_format.plain_hdf5 import Group, UnusualError, open_plain
from normwise.keras_format.weights_file import WeightsFile

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def opened(path: Path) -> Group:
    return open_plain(FileBytes(path.open("rb"), 0, path.stat().st_size))


def filled(path: Path, **settings: Any) -> Path:
    """A file with everything that Keras writes, and more groups than a node of a tree holds."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w", **settings) as file:
        for index in range(70):
            group = file.create_group(f"layers/conv_{index}/vars")
            group.attrs["name"] = f"Schicht ä {index}"
            group["0"] = draw.normal(size=(2, 3)).astype("f4")
        for dtype in DTYPES:
            file[f"types/{dtype}"] = draw.integers(0, 100, (3, 2)).astype(dtype)
        file["types/scalar"], file["types/none"] = np.float32(3), np.zeros((0, 4), "f4")
        file.attrs["text"], file.attrs["long"] = "text", "x" * 100_000
        file.attrs["bytes"], file.attrs["list"] = b"ab", [b"a", b"bcd"]
        file.attrs["texts"] = np.array(["a", "bé"], dtype=h5py.string_dtype())
        file.attrs["number"], file.attrs["nothing"] = 3, []
    return path


def texts(value: Any) -> list[str] | None:
    """The texts in an attribute, as h5py gives it."""
    if isinstance(value, (str, bytes)):
        value = np.array([value])
    if not np.size(value):
        return []
    listed = [t.decode() if isinstance(t, bytes) else t for t in np.ravel(value).tolist()]
    return listed if isinstance(listed[0], str) else None


def compare(ours: Any, theirs: Any) -> int:
    """Compares all members, in order, and all texts in attributes; returns how many there are."""
    assert sorted(ours.attributes) == sorted(theirs.attrs)
    for name, value in theirs.attrs.items():
        assert ours.texts(name) == texts(value)
    if isinstance(theirs, h5py.Dataset):
        values = np.asarray(ours.values())
        np.testing.assert_array_equal(values.ravel(), np.ravel(theirs[()]))
        assert ours.nbytes == theirs.nbytes and ours.shape == theirs.shape
        return 1
    assert list(ours) == list(theirs) and len(ours) == len(theirs)
    return 1 + sum(compare(ours.member(name), theirs[name]) for name in theirs)


def test_everything_is_what_the_library_reads(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.h5")
    with h5py.File(path) as file:
        assert compare(opened(path), file) > 220
        assert opened(path).texts("gone") is None


def test_values_are_compared(tmp_path: Path) -> None:
    ours = opened(filled(tmp_path / "a.h5")).member("types")
    with h5py.File(filled(tmp_path / "b.h5"), "r+") as file:
        compare(ours, file["types"])
        file["types/f4"][0, 0] = -1
        with pytest.raises(AssertionError):
            compare(ours, file["types"])


def unusual(file: Any, kind: str) -> None:
    """Puts something into a file that Keras doesn't write."""
    group = file.create_group("layers/bn/vars")
    group.attrs["name"] = "bn"
    values = np.arange(4, dtype="f4")
    if kind == "packed":
        group.create_dataset("0", data=values, chunks=(2,), compression="gzip")
    elif kind == "in pieces":
        group.create_dataset("0", data=values, chunks=(2,))
    elif kind == "big-endian":
        group["0"] = values.astype(">f4")
    elif kind == "linked":
        file["values"] = values
        group["0"] = h5py.SoftLink("/values")
    elif kind == "named":
        file.create_group("\u00e9/x")["0"] = values
        group["0"] = values
    elif kind == "ordered":
        file.create_group("more", track_order=True)["0"] = values
        group["0"] = values
    else:
        group["0"] = values


KINDS = ["packed", "in pieces", "big-endian", "linked", "named", "ordered", "latest", "userblock"]


@pytest.mark.parametrize("kind", KINDS)
def test_other_forms_are_read_by_the_library(kind: str, tmp_path: Path) -> None:
    path, settings = tmp_path / "a.weights.h5", {}
    if kind == "latest":
        settings = {"libver": "latest"}
    elif kind == "userblock":
        settings = {"userblock_size": 512}
    with h5py.File(path, "w", **settings) as file:
        unusual(file, kind)
    with pytest.raises(UnusualError):
        everything(opened(path))
    with WeightsFile(path) as stored:
        found = stored.of("bn")
        assert found is not None and found[0].tolist() == [0, 1, 2, 3]


def test_what_the_library_cannot_read_within_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w", libver="latest") as file:
        unusual(file, "latest")
    path.write_bytes(path.read_bytes()[:100])
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="truncated"):
        stored.of("bn")
    monkeypatch.setattr(plain_copy, "PATIENCE", 0.01)
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match="takes too long"):
        stored.of("bn")


@pytest.mark.parametrize("kind", ["circle", "large", "nowhere"])
def test_copies_have_bounds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        unusual(file, "packed")
        if kind != "large":
            file["layers/again"] = h5py.SoftLink("/layers" if kind == "circle" else "/nowhere")
    monkeypatch.setattr(plain_copy, "_set_bounds", lambda: None)
    if kind == "large":
        monkeypatch.setattr(plain_copy, "MAX_BYTES", 10)
    with pytest.raises(SystemExit, match="3"):
        plain_copy.main(str(path), str(tmp_path / "copy.h5"))
    told = {"circle": "in circles", "large": "16 bytes", "nowhere": "again leads nowhere"}[kind]
    assert told in capsys.readouterr().out


def everything(part: Any) -> None:
    assert isinstance(part.attributes, tuple)
    for name in part if hasattr(part, "member") else ():
        everything(part.member(name))
    if not hasattr(part, "member"):
        part.values()


def test_the_usual_form_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        unusual(file, "nothing")
    monkeypatch.setattr(h5py, "File", None)
    with WeightsFile(path) as stored:
        assert stored.of("bn")[0].tolist() == [0, 1, 2, 3]


# Damage. -------------------------------------------------------------------------------------


def patched(path: Path, mark: bytes, place: int, content: bytes, which: int = 0) -> None:
    """Overwrites bytes behind a mark."""
    data, at = bytearray(path.read_bytes()), -1
    for _ in range(which + 1):
        at = data.index(mark, at + 1)
    data[at + place : at + place + len(content)] = content
    path.write_bytes(data)


DAMAGE = {
    "a tree that is its own child": (b"TREE", 5, b"\x01"),
    "a tree of too many levels": (b"TREE", 5, b"\xff"),
    "a tree of something else": (b"TREE", 4, b"\x01"),
    "a tree with too many children": (b"TREE", 6, b"\xff\xff"),
    "a leaf with too many entries": (b"SNOD", 6, b"\xff\xff"),
    "names beyond the end": (b"HEAP", 24, b"\xff" * 8),
    "names without an end": (b"HEAP", 8, b"\xff" * 7),
    "a member beyond the end": (b"SNOD", 16, b"\xff" * 6),
    "no tree": (b"TREE", 0, b"EERT"),
    "no leaf": (b"SNOD", 0, b"DONS"),
    "no names": (b"HEAP", 0, b"PAEH"),
    "no texts": (b"GCOL", 0, b"LOCG"),
    "another text": (b"GCOL", 16, b"\x09"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_ends_in_a_clear_error(damage: str, tmp_path: Path) -> None:
    mark, place, content = DAMAGE[damage]
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        unusual(file, "nothing")
    if damage == "a tree that is its own child":
        data = path.read_bytes()
        tree = data.index(b"TREE")
        patched(path, b"TREE", 32, struct.pack("<Q", tree))
    patched(path, mark, place, content)
    with WeightsFile(path) as stored, pytest.raises(ModelReadError, match=r"a\.weights\.h5"):
        stored.of("bn")


def test_places_that_are_read_without_end_are_given_up() -> None:
    data = FileBytes(io.BytesIO(bytes(100)), 10, 50)
    assert data.at(0, 50) == bytes(50)
    for offset, size in ((0, 51), (-1, 2), (50, 1)):
        with pytest.raises(ValueError, match="referred to"):
            data.at(offset, size)
    with pytest.raises(ValueError, match="without end"):
        for _ in range(10**7):
            data.at(0, 50)
    with pytest.raises(ValueError, match="truncated"):
        FileBytes(io.BytesIO(bytes(20)), 10, 50).at(0, 50)
