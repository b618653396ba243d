"""What an output is made from stands beside it, whenever a process is killed."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from normwise.errors import RasterError
from normwise.files import whole_file, whole_folder
from normwise.rasters import output_records, read_raster, write_raster
from normwise.rasters.output_records import FOLDER, remember, remembered


class KilledError(Exception):
    pass


def killed(_):
    raise KilledError


def written(out, about, then=None):
    def ready(whole):
        remember(out, whole, {"model": about})
        if then is not None:
            then(whole)

    write_raster(out, np.full((8, 9, 1), 3, np.uint8), overwrite=True, ready=ready)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.nii.gz", "a.zarr"])
def test_an_output_is_known_from_the_moment_that_it_has_its_name(tmp_path, name):
    out = tmp_path / name
    assert not remembered(out)
    written(out, "first", lambda whole: not out.exists() or killed(whole))
    assert remembered(out) == [{"model": "first"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FOLDER, name])
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [f"{name}.json"]
    out.rename(tmp_path / "b")
    assert not remembered(out)


@pytest.mark.parametrize("name", ["a.npy", "a.zarr"])
def test_the_output_before_is_known_until_it_is_replaced(tmp_path, name):
    out = tmp_path / name
    for deaths in range(3):
        with pytest.raises(RasterError):
            written(out, f"never {deaths}", killed)
        assert not out.exists() and not remembered(out)
    written(out, "first")
    for deaths in range(3):
        with pytest.raises(RasterError):
            written(out, f"never {deaths}", killed)
        assert remembered(out) == [{"model": "first"}]
    assert len(json.loads((tmp_path / FOLDER / f"{name}.json").read_text())) == 2
    written(out, "second")
    assert remembered(out) == [{"model": "second"}]


STEPS = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from normwise.rasters import read_raster, write_raster
from normwise.rasters.output_records import remember
out = Path(sys.argv[1])
for number in count(int(sys.argv[2])):
    def ready(whole):
        remember(out, whole, {"model": number})
    write_raster(out, np.full((8, 9, 1), number, np.uint16), overwrite=True, ready=ready)
    print("written", flush=True)
"""


@pytest.mark.parametrize("name", ["a.npy", "a.zarr"])
def test_after_a_kill_the_record_tells_what_stands_there(tmp_path, name):
    out, chance = tmp_path / name, np.random.default_rng(0)
    for kill in range(4):
        words = [sys.executable, "-c", STEPS, str(out), str(1000 * kill)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
            process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.1))
            process.kill()
        if not out.exists():
            continue  # a folder is put aside before another one takes its place
        (found,) = {int(value) for value in read_raster(out).flat}
        assert {"model": found} in remembered(out) and found >= 1000 * kill
    assert found > 0


def test_what_somebody_else_wrote_is_unknown(tmp_path):
    out = tmp_path / "a.npy"
    written(out, "first")
    content, time = out.read_bytes(), out.stat().st_mtime_ns
    out.write_bytes(content)
    os.utime(out, ns=(time, time + 1))
    assert not remembered(out)
    os.utime(out, ns=(time, time))
    assert remembered(out)
    out.write_bytes(content + b" ")
    os.utime(out, ns=(time, time))
    assert not remembered(out)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"output": 1}]', '{"a": {}}', "\x00"])
def test_a_damaged_record_tells_nothing(tmp_path, text):
    out = tmp_path / "a.npy"
    written(out, "first")
    (tmp_path / FOLDER / "a.npy.json").write_text(text)
    assert not remembered(out)
    written(out, "second")
    assert remembered(out) == [{"model": "second"}]


def test_two_outputs_of_the_same_time_are_both_possible(tmp_path):
    """On file systems that tell times in seconds."""
    out = tmp_path / "a.npy"

    def coarse(path):
        os.utime(path, ns=(10**18, 10**18))

    with whole_file(out) as temporary:
        temporary.write_bytes(b"one")
        coarse(temporary)
        remember(out, temporary, {"model": "one"})
    with whole_file(out) as temporary:
        temporary.write_bytes(b"two")
        coarse(temporary)
        remember(out, temporary, {"model": "two"})
    assert remembered(out) == [{"model": "two"}, {"model": "one"}]


def test_a_folder_of_records_that_is_somebody_elses_stops_nothing(tmp_path, monkeypatch, caplog):
    def protected(*_):
        raise PermissionError(13, "Permission denied")

    written(tmp_path / "a.npy", "first")
    monkeypatch.setattr(output_records, "write_text", protected)
    for name in ("a.npy", "b.npy"):
        written(tmp_path / name, "second")
        assert (tmp_path / name).exists() and not remembered(tmp_path / name)
    (said,) = caplog.messages
    assert ".normwise: can't be written to ([Errno 13] Permission denied), so that --resume" in said
    monkeypatch.undo()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / FOLDER).write_text("a file")
    written(tmp_path / "deeper" / "a.npy", "third")
    assert (tmp_path / "deeper" / "a.npy").exists()
    assert ".normwise is a file, not a folder to write to" in caplog.messages[-1]


def test_names_of_any_length_have_a_record(tmp_path):
    for name in ("a" * 251 + ".npy", os.fsdecode(b"\xe9.npy")):
        out = tmp_path / name
        written(out, name)
        assert remembered(out) == [{"model": name}]


def test_what_is_done_before_a_name_is_given_can_refuse_it(tmp_path):
    for whole, name in ((whole_file, "a"), (whole_folder, "b")):
        with pytest.raises(KilledError), whole(tmp_path / name, ready=killed) as temporary:
            temporary.touch() if name == "a" else temporary.mkdir()
    assert not list(tmp_path.iterdir())
