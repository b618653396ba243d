"""Files made to take all memory or time end in a clear error, or in a report, soon.

Looks are counted, not seconds: each function call is one.
"""

import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from normwise.errors import ModelReadError
from normwise.keras_format import archive, archive_file, weights_member
from normwise.rules import Report
from normwise.workflows.check import check
from normwise.workflows.show import show
from tests.keras_format.configurations import call, entry, layer, model, nest, tensor

MOST_LOOKS = 1_000_000
"""What a check of any of these may take; about half a second."""


def looked(work: Callable[[], Any]) -> tuple[Any, int]:
    """What some work returns or raises, and how many functions it calls."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(trace)
    try:
        came = work()
    except ModelReadError as error:
        came = error
    finally:
        sys.setprofile(None)
    return came, count


def checked(path: Path) -> Report | ModelReadError:
    """The report on a file, or why it is refused, after few looks and in few words."""
    came, looks = looked(lambda: check(path, batch_size=2, samples=5, epochs=1))
    assert looks < MOST_LOOKS
    if isinstance(came, ModelReadError):
        assert path.name in str(came) and len(str(came)) < 1000
    return came


def refused(path: Path, *words: str) -> None:
    came = checked(path)
    assert isinstance(came, ModelReadError)
    for word in words:
        assert word in str(came)


def written(config: Any, folder: Path) -> Path:
    path = folder / "hostile.json"
    path.write_text(json.dumps(config))
    return path


def conv(name: str, reads: str, **config: Any) -> dict[str, Any]:
    made = layer(name, call(tensor(reads)))
    settings = {"name": name, "filters": 2, "kernel_size": [3, 3], "padding": "same", **config}
    return {**made, "class_name": "Conv2D", "config": settings}


# Configurations. -----------------------------------------------------------------------------


def test_models_that_double_are_refused(tmp_path: Path) -> None:
    refused(written(nest(50, calls=2), tmp_path), "nested models opened")


def test_many_calls_deep_inside_are_refused(tmp_path: Path) -> None:
    chain = [conv("c0", "x"), *(conv(f"c{i}", f"c{i - 1}") for i in range(1, 2500))]
    inner = model(entry(), *chain, ends=("c2499", 0, 0), name="inner")
    for _ in range(45):
        within = {**inner, "name": "inner", "inbound_nodes": [call(tensor("x"))]}
        inner = model(entry(), within, ends=("inner", 1, 0), name="inner")
    path = written(inner, tmp_path)
    with pytest.raises(ModelReadError, match="by depth"):
        check(path)


def test_a_model_inside_models_is_inferred_once_for_what_it_reads(tmp_path: Path) -> None:
    half, whole = (
        looked(lambda depth=depth: check(written(nest(depth), tmp_path)))[1] for depth in (16, 32)
    )
    assert whole < 2.5 * half


@pytest.mark.parametrize("inbound", ["x" * 50_000, [[["x", 0, 0, {}]]] * 20_000])
def test_a_layer_that_is_called_without_end_is_refused(inbound: Any, tmp_path: Path) -> None:
    refused(written(model(entry(), {**layer("y"), "inbound_nodes": inbound}), tmp_path), "calls")
    modern = [call(tensor("x"))] * 13_000
    path = written(model(entry(), {**layer("y"), "inbound_nodes": modern}), tmp_path)
    with pytest.raises(ModelReadError, match="over 10500 calls"):
        check(path)


def test_long_names_are_refused(tmp_path: Path) -> None:
    name = "n" * 100_000
    refused(written(model(entry(), layer(name, call(tensor("x")))), tmp_path), "100000 characters")


def test_many_outputs_are_refused(tmp_path: Path) -> None:
    readers = []
    for index in range(12):
        readers += [layer(f"a{index}", call(tensor("x")))]
        readers += [layer(f"b{index}", call(tensor(f"a{index}", 0, 4000)))]
    refused(written(model(entry(), *readers, ends=("b0", 0, 0)), tmp_path), "outputs of calls")


@pytest.mark.parametrize("shape", [[None] * 10**5, [None, 10**19, 10**19, 3], [-1, -5, -5, -3]])
def test_shapes_that_no_tensor_has_are_unknown(shape: list[Any], tmp_path: Path) -> None:
    start = entry()
    start["config"]["batch_shape"] = shape
    chain = [conv("c0", "x"), *(layer(f"r{i}", call(tensor("c0"))) for i in range(20))]
    came = checked(written(model(start, *chain, ends=("r19", 0, 0)), tmp_path))
    assert isinstance(came, Report)


@pytest.mark.parametrize("strides", [0, -1, 2, 10**15, [0, 0], [10**18, 1], [1, 2, 3], None, "a"])
@pytest.mark.parametrize(
    "class_name", ["Conv2D", "Conv2DTranspose", "MaxPooling2D", "UpSampling2D"]
)
def test_strides_that_no_layer_has(class_name: str, strides: Any, tmp_path: Path) -> None:
    settings = {"strides": strides, "pool_size": strides, "size": strides}
    chain = [conv("c0", "x", **settings)]
    chain += [conv(f"c{i}", f"c{i - 1}", **settings) for i in range(1, 60)]
    for made in chain:
        made["class_name"] = class_name
    came = checked(written(model(entry(), *chain, ends=("c59", 0, 0)), tmp_path))
    assert isinstance(came, Report)


@pytest.mark.parametrize("shape", [[], [8]])
@pytest.mark.parametrize("form", ["channels_first", "channels_last"])
def test_shapes_without_the_axis_of_channels(form: str, shape: list[int], tmp_path: Path) -> None:
    told = tensor("c")
    told["config"]["shape"] = shape
    norm = layer("n", call(told), class_name="BatchNormalization")
    made = model(entry(), conv("c", "x", data_format=form), norm, ends=("n", 0, 0))
    assert isinstance(checked(written(made, tmp_path)), Report)


def test_more_axes_than_space_has_are_shown(tmp_path: Path) -> None:
    start = entry()
    start["config"]["batch_shape"] = [None, None, 4, 4, 4, 2]
    told = tensor("x")
    told["config"]["shape"] = [None, None, 4, 4, 4, 2]
    norm = layer("n", call(told), class_name="BatchNormalization")
    table = show(written(model(start, norm, ends=("n", 0, 0)), tmp_path))
    assert table.rows[-1].elements_text == "?"


def test_long_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    for code in ("utf-8", "utf-16", "utf-32"):
        path.write_text(json.dumps(model(entry(), conv("y", "x", filters=10**300))), code)
        refused(path, "301 digits")
    path.write_text(json.dumps(model(entry(), conv("y", "x", filters=10**18))))
    assert isinstance(checked(path), Report)


@pytest.mark.parametrize("depth", [60, 100, 400])
@pytest.mark.parametrize("place", ["settings", "arguments", "ends", "inputs"])
def test_values_in_values(place: str, depth: int, tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    made = model(entry(), layer("y", call(tensor("x"))))
    if place == "settings":
        made["config"]["layers"][1]["config"]["deep"] = deep
    elif place == "arguments":
        made["config"]["layers"][1]["inbound_nodes"][0]["args"].append(deep)
    else:
        made["config"]["output_layers" if place == "ends" else "input_layers"] = deep
    path = written(made, tmp_path)
    if depth > 64:
        refused(path, "nested more than 64 deep")
    else:
        checked(path)


def test_many_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_VALUES", 1000)
    path = tmp_path / "many.json"
    path.write_text("[" + "[]," * 2000 + "[]]")
    refused(path, "over 1,000 values")


def test_names_that_a_terminal_would_obey_are_written_out(tmp_path: Path) -> None:
    start = layer("\x1b[2J\ud800", call(tensor("gone")))
    refused(written(model(entry(), start), tmp_path), "x1b[2J", "ud800")


# Archives. -----------------------------------------------------------------------------------


def packed(path: Path, way: int, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", way) as new:
        for name, content in members.items():
            new.writestr(name.replace("_", "."), content)
    return path


GOOD = json.dumps(model(entry(), layer("y", call(tensor("x")))))


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_in_slow_ways_are_refused(way: int, tmp_path: Path) -> None:
    refused(packed(tmp_path / "a.keras", way, config_json=GOOD), "a way that Keras doesn't use")


def test_a_configuration_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "a.keras", zipfile.ZIP_DEFLATED, config_json=b" " * (40 * 2**20))
    assert bomb.stat().st_size < 100_000
    refused(bomb, "over 32 MiB")


@pytest.mark.parametrize("comment", [b"", b"a comment"])
@pytest.mark.parametrize("large", [False, True])
def test_a_directory_without_end_is_refused(comment: bytes, large: bool, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", zipfile.ZIP_STORED, config_json=GOOD)
    data = path.read_bytes()
    end = data.rfind(b"PK\x05\x06")
    told = 2**32 - 1 if large else 2**30
    tail = data[end : end + 12] + struct.pack("<I", told) + data[end + 16 : end + 20]
    # The record of large archives, and where it stands.
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    before = record + b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1) if large else b""
    path.write_bytes(data[:end] + before + tail + struct.pack("<H", len(comment)) + comment)
    refused(path, "its directory has")


def test_members_that_are_encrypted_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", zipfile.ZIP_STORED, config_json=GOOD)
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + place] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_weights_that_are_packed_and_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_member, "MAX_UNPACKED_BYTES", 1000)
    config = json.loads(GOOD)
    config["config"]["layers"][1]["class_name"] = "BatchNormalization"
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("config.json", json.dumps(config))
        new.writestr("model.weights.h5", bytes(2000))
    refused(path, "too large to unpack")


def test_an_archive_as_large_as_any_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("config.json", GOOD)
        for index in range(500):
            new.writestr(f"assets/{index}.txt", "")
    assert path.stat().st_size < archive_file.MAX_DIRECTORY_BYTES
    assert isinstance(checked(path), Report)


def test_two_members_of_a_name_are_read_as_keras_does(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", zipfile.ZIP_STORED, config_json="{}")
    with zipfile.ZipFile(path, "a") as more, pytest.warns(UserWarning, match="Duplicate"):
        more.writestr("config.json", GOOD)
    assert isinstance(checked(path), Report)


# Paths. --------------------------------------------------------------------------------------


def test_links_and_pipes_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "circle.keras").symlink_to(tmp_path / "circle.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "zeros.json").symlink_to("/dev/zero")
    for name in ("circle.keras", "pipe.keras", "zeros.json"):
        refused(tmp_path / name, "no such file")


def test_a_link_to_a_model_is_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(GOOD)
    (tmp_path / "link.json").symlink_to(tmp_path / "model.json")
    assert isinstance(checked(tmp_path / "link.json"), Report)


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig", "latin-1"])
def test_texts_in_other_encodings(code: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    text = json.dumps(model(entry(), layer("y", call(tensor("x"))), name="é"), ensure_ascii=False)
    path.write_bytes(text.encode(code))
    came = checked(path)
    assert isinstance(came, ModelReadError) == (code == "latin-1")


def test_the_counter_of_looks_counts() -> None:
    assert looked(lambda: [abs(i) for i in range(1000)])[1] > 1000


WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")


def test_weights_that_stand_for_many_norms_are_counted_each_time(tmp_path: Path) -> None:
    """A small file whose norms all link to one array, which would be read again and again."""
    channels, norms = 2**17, 9
    start = entry()
    start["config"]["batch_shape"] = [None, 4, 4, channels]
    names = [f"b{index}" for index in range(norms)]
    chain = [layer(b, call(tensor(a))) for a, b in zip(["x", *names], names, strict=False)]
    for norm in chain:
        norm["class_name"] = "BatchNormalization"
        norm["config"] = {"name": norm["name"], "axis": -1}
    path = tmp_path / "linked.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model(start, *chain, ends=(names[-1], 0, 0)))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = names
        data = group.create_dataset("data", data=np.ones(channels, "float32"))
        for name in names:
            weights = [f"{name}/{weight}" for weight in WEIGHTS]
            own = group.create_group(name)
            own.attrs["weight_names"] = weights
            for weight in weights:
                own[weight] = data
    refused(path, "are more than is read of it")
