"""A small part of `make reliability`, and that each fault would be seen."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from normwise.errors import RasterError
from tests.reliability import full_disk, independent
from tests.reliability.corruptions import Broken, broken
from tests.reliability.healthy import NODATA, write_all
from tests.reliability.judge import REFUSED, SAME, FaultError, Judge
from tests.reliability.kills import Job, ten_kills
from tests.reliability.trees import content_of

ROOT = Path(__file__).parents[2]
INPUTS = 40


@pytest.fixture(scope="module")
def judge():
    return Judge.of()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("healthy"))


def test_healthy_inputs_are_predicted_as_they_are_read_independently(healthy, judge, tmp_path):
    for place, (name, path) in enumerate(healthy.items()):
        folder = tmp_path / name
        folder.mkdir()
        case = Broken(0, path, name, "nothing", (None, 16)[place % 2], (".tif", ".npy")[place % 2])
        assert judge.judge(case, folder) == SAME
    seen = independent.read(healthy["masked.tif"])
    assert seen.missing[30:, 40:].all() and seen.missing[:9, :20].all()
    assert independent.read(healthy["deep.png"]).pixels[0, 0].tolist() == [NODATA * 9] * 3


def test_broken_inputs_are_refused_or_predicted_as_they_are(healthy, judge, tmp_path):
    came = []
    for number in range(INPUTS):
        (tmp_path / "out" / str(number)).mkdir(parents=True)
        case = broken(number, healthy, tmp_path / "in")
        came.append(judge.judge(case, tmp_path / "out" / str(number)))
    assert came.count(REFUSED) > INPUTS / 4 and came.count(SAME) > INPUTS / 8


def test_an_input_is_a_function_of_its_number(healthy, tmp_path):
    once, again = (
        [broken(number, healthy, tmp_path / name) for number in range(20)] for name in "ab"
    )
    for one, two in zip(once, again, strict=True):
        assert content_of(one.path) == content_of(two.path)
        assert replace(one, path=two.path) == two
    changed = [case for case in once if content_of(case.path) != content_of(healthy[case.kind])]
    assert len(changed) > len(once) * 3 / 4 and {case.kind for case in once} == set(healthy)


def test_a_wrong_output_is_seen(healthy, judge, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    case = Broken(0, healthy["deflated.tif"], "deflated.tif", "nothing", None, ".npy")
    seen = independent.read(case.path)
    full = replace(seen, missing=np.zeros_like(seen.missing))
    right = np.array(judge.model.predict_on_batch(seen.pixels.astype(np.float32)[None])[0])
    judge.compare(right, full)
    with pytest.raises(FaultError, match="is off by"):
        judge.compare(right + np.float32(0.01), full)
    with pytest.raises(FaultError, match="shape"):
        judge.compare(right[1:], full)
    with pytest.raises(FaultError, match="without data have values"):
        judge.compare(right, seen)
    monkeypatch.setattr("normwise.workflows.prediction_images.missing_in", lambda *_: None)
    with pytest.raises(FaultError):
        judge.judge(case, tmp_path / "out")


def test_an_error_without_the_name_of_the_file_is_seen(healthy, judge, tmp_path, monkeypatch):
    def unclear(*_, **__):
        raise RasterError("can't be read")

    monkeypatch.setattr("tests.reliability.judge.nw.predict", unclear)
    case = Broken(0, healthy["floats.npy"], "floats.npy", "nothing", None, ".npy")
    with pytest.raises(FaultError, match="doesn't name the file"):
        judge.judge(case, tmp_path)
    (tmp_path / "out.npy").write_bytes(b"half")
    with pytest.raises(FaultError, match="and yet there is an output"):
        judge.judge(case, tmp_path)


def test_without_room_nothing_is_left_and_with_room_it_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("resource")
    monkeypatch.setattr(full_disk, "SHARES", (0.0, 0.3, 6.0))
    monkeypatch.setattr(full_disk, "SUFFIXES", (".tif", ".zarr"))
    monkeypatch.setattr(full_disk, "SIZE", (90, 120))
    trials = list(full_disk.trials(tmp_path, full_disk.limit))
    assert {trial["came"] for trial in trials} == {"refused", "whole"}, trials
    # The control: an output that is left is seen.
    monkeypatch.setattr(full_disk.nw, "predict", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError):
        list(full_disk.trials(tmp_path, full_disk.limit))


STEPS = """
import sys, time
from pathlib import Path
import numpy as np
from normwise.files import whole_file
from normwise.rasters import partial
from normwise.rasters.partial import PartialImage, partial_folder
print("begin", flush=True)
out, sloppy = Path(sys.argv[1]), len(sys.argv) > 2
partial._SECONDS = 0.0
if not out.exists():
    image = PartialImage(partial_folder(out), (64, 64, 1), np.float32, {}, resume=True)
    for row in range(64):
        if str(row) not in image.done:
            image.write((slice(row, row + 1), slice(0, 64)), np.full((1, 64, 1), row), str(row))
            time.sleep(0.004)
    image.sync()
    if sloppy:
        out.write_bytes(b"half")
        time.sleep(0.05)
        out.write_bytes(image.pixels.read_bytes())
    else:
        with whole_file(out) as temporary:
            image.pixels.replace(temporary)
    image.close()
partial.remove_pieces(partial_folder(out))
"""


@pytest.mark.parametrize("sloppy", [False, True])
def test_kills_leave_what_can_be_gone_on_with(tmp_path, sloppy):
    """With a process that needs no Keras; a sloppy one is seen."""
    out = tmp_path / "out.npy"
    job = Job([sys.executable, "-c", STEPS, str(out), *["sloppy"] * sloppy], out)
    came = ten_kills(job, np.random.default_rng(0), kills=0 if sloppy else 3)
    if sloppy:
        assert "something else than the whole output stood under its name" in came["faults"]
    else:
        assert came["faults"] == [] and came["kills"] >= 3 and max(came["kept"]) > 0


def test_the_summary_tells_all_parts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import reliability

    found = {
        "inputs": {"came": {"refused": 3, "too long": 1},
                   "by_kind": {"a.tif": {"refused": 3, "fault": 1}}},
        "disk": {"came": {"limit": {"refused": 2, "whole": 1}}, "small_disk": "not mounted: no"},
        "kills": {"formats": {".tif": {"kills": 10, "outputs": 2, "kept": [0, 7]}},
                  "faults": [{"format": ".tif", "fault": "x"}]},
    }  # fmt: skip
    lines = reliability.summary(found)
    assert "| broken `a.tif` | 4 | 3 | 0 | 1 |" in lines
    assert "| killed while `.tif` was made | 10 kills | - | 2 whole outputs | 1 |" in lines
    assert any("between 0 and 7 finished tiles" in line for line in lines)
