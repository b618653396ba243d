"""Images written piece by piece: what an interruption leaves, and what goes on with it."""

import os
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import open_raster, own_file
from normwise.rasters.partial import PartialImage, begun_with, partial_folder, remove_pieces

SHAPE, ABOUT = (7, 9, 2), {"image": "a.tif", "model": "m"}
VALUES = np.arange(126, dtype=np.float32).reshape(SHAPE)
PIECES = {
    "0-4_0-5": (slice(0, 4), slice(0, 5)), "0-4_5-9": (slice(0, 4), slice(5, 9)),
    "4-7_0-9": (slice(4, 7), slice(0, 9)),
}  # fmt: skip


def begun(folder, **options):
    return PartialImage(folder, SHAPE, np.float32, ABOUT, **options)


def write(partial, name):
    partial.write(PIECES[name], VALUES[PIECES[name]], name)


def kept(folder):
    """What counts as done for who goes on."""
    with closing(begun(folder, resume=True)) as partial:
        return partial.done


@pytest.fixture
def folder(tmp_path):
    return partial_folder(tmp_path / "out.tif")


def test_pieces_make_the_image(folder):
    partial = begun(folder)
    for name, region in PIECES.items():
        partial.write(region, VALUES[region], name)
    partial.sync()
    assert partial.done == set(PIECES)
    with open_raster(partial.pixels) as image:
        np.testing.assert_array_equal(image.read(), VALUES)
        assert image.info.shape == SHAPE[:2]
    partial.close()
    partial.remove()
    assert not folder.exists()


def test_what_is_done_is_kept_and_the_rest_goes_on(folder):
    partial = begun(folder)
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.close()
    with (folder / "done.txt").open("a") as journal:
        journal.write("4-7_0-")  # cut off in the middle of a line
    with pytest.raises(OutputExistsError, match="--resume"):
        begun(folder)
    again = begun(folder, resume=True)
    assert again.done == {"0-4_0-5"}
    again.write(PIECES["4-7_0-9"], VALUES[PIECES["4-7_0-9"]], "4-7_0-9")
    again.close()
    assert kept(folder) == {"0-4_0-5", "4-7_0-9"}
    fresh = begun(folder, overwrite=True)
    assert fresh.done == frozenset()
    fresh.close()
    assert not folder.exists()  # nothing was done


def test_pieces_of_another_image_are_refused(folder):
    partial = begun(folder)
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.close()
    with pytest.raises(RasterError, match=r'another model \("m" before, "n" now\)\. Give'):
        PartialImage(folder, SHAPE, np.float32, {**ABOUT, "model": "n"}, resume=True)
    long = {**ABOUT, "image": "a" * 99, "model": float("nan")}
    with pytest.raises(RasterError, match=r'another image, model \("m" before, NaN now\)\. Give'):
        PartialImage(folder, SHAPE, np.float32, long, resume=True)
    # A file that was cut, which about.json can't tell.
    os.truncate(folder / "pixels.npy", 100)
    with pytest.raises(RasterError, match="damaged; begin anew"):
        begun(folder, resume=True)
    (folder / "about.json").write_text("{")
    with pytest.raises(RasterError, match="begin anew"):
        begun(folder, resume=True)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("about.json", b"[]"),
        ("about.json", b"{"),
        ("about.json", b"\xff\xfe"),
        ("found.json", b'["onnx'),
        ("found.json", b"\xff"),
        ("done.txt", b"0-4_0-5\n\x80\xff\n"),
        ("done.txt", b"0-4_0-5\nsome words\n"),
        ("done.txt", b"\0\0\n"),
    ],
)
def test_damaged_files_are_named_and_begun_anew(folder, file, content):
    partial = begun(folder)
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.close()
    (folder / file).write_bytes(content)
    with pytest.raises(RasterError, match=rf"{file}: can't be read .*begin anew with --overwrite"):
        begun(folder, resume=True)
    assert (folder / file).read_bytes() == content
    again = begun(folder, resume=True, overwrite=True)
    assert again.done == frozenset() and again.found is None
    again.close()


def test_nan_is_like_itself_and_what_turned_out_is_kept(folder):
    about = {"fill": [float("nan"), 1.5], "bands": (0, 1)}
    partial = PartialImage(folder, SHAPE, np.float32, about)
    assert partial.found is None
    partial.remember(["onnx float32"])
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.close()
    again = PartialImage(folder, SHAPE, np.float32, about, resume=True)
    assert again.found == ["onnx float32"] and again.done == {"0-4_0-5"}
    again.close()
    # With both it goes on where it can, and begins anew where it can't.
    both = {"resume": True, "overwrite": True}
    same = PartialImage(folder, SHAPE, np.float32, about, **both)
    assert same.done == {"0-4_0-5"}
    same.close()
    other = PartialImage(folder, SHAPE, np.float32, {**about, "bands": (1, 0)}, **both)
    assert other.done == frozenset() and other.found is None
    other.close()


def test_what_is_being_removed_is_no_image_any_more(folder):
    partial = begun(folder)
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.close()
    # As an interruption of `remove_pieces` leaves it.
    (folder / "about.json").unlink()
    assert begun_with(folder) == {}
    again = begun(folder)
    assert again.done == frozenset()
    again.close()


def test_no_room_for_the_first_piece_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("normwise.rasters.partial.write_text", full)
    with pytest.raises(RasterError, match=r"out\.tif.*No space left on device"):
        begun(folder)
    assert not folder.exists()


def test_a_full_disk_keeps_what_is_done(folder, monkeypatch):
    partial = begun(folder)
    partial.write(PIECES["0-4_0-5"], VALUES[PIECES["0-4_0-5"]], "0-4_0-5")
    partial.sync()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RasterError, match="No space left on device"):
        partial.write(PIECES["4-7_0-9"], VALUES[PIECES["4-7_0-9"]], "4-7_0-9")
    partial.close()
    assert kept(folder) == {"0-4_0-5"}


def test_a_list_that_a_full_disk_cut_is_written_anew(folder, monkeypatch):
    partial, before = begun(folder), os.pwrite
    first, second, third = PIECES
    write(partial, first)
    partial.sync()

    def nearly_full(file, data, place):
        if len(data) <= 4:
            raise OSError(28, "No space left on device")
        return before(file, data[:4], place)

    write(partial, second)
    monkeypatch.setattr(os, "pwrite", nearly_full)
    with pytest.raises(RasterError, match="No space left on device"):
        partial.sync()
    assert (folder / "done.txt").read_text() == f"{first}\n0-4_"
    monkeypatch.undo()
    write(partial, third)
    partial.close()
    assert (folder / "done.txt").read_text() == f"{first}\n{second}\n{third}\n"
    assert kept(folder) == set(PIECES)


HOW = [{}, {"resume": True}, {"overwrite": True}, {"resume": True, "overwrite": True}]


@pytest.mark.parametrize("options", HOW)
def test_pieces_that_a_process_writes_are_left_to_it(folder, options):
    """A lock is of an open file: within a process as between two."""
    one = begun(folder)
    write(one, "0-4_0-5")
    with pytest.raises(RasterError, match="another process is writing this prediction"):
        begun(folder, **options)
    remove_pieces(folder)
    for name in ("0-4_5-9", "4-7_0-9"):
        write(one, name)
    one.close()
    # The control: now they can be had.
    assert kept(folder) == set(PIECES)
    with open_raster(folder / "pixels.npy") as image:
        np.testing.assert_array_equal(image.read(), VALUES)
    remove_pieces(folder)
    assert not folder.exists()


def test_pieces_that_are_just_begun_are_left_to_their_process(folder):
    """Before it is told what they are made from."""
    folder.mkdir()
    (folder / "pixels.npy").touch()
    with closing(own_file.OwnFile(folder / "pixels.npy")):
        with pytest.raises(RasterError, match="another process is writing"):
            begun(folder)
        remove_pieces(folder)
        assert (folder / "pixels.npy").is_file()
    begun(folder).close()


@pytest.fixture
def no_locks(monkeypatch):
    """As on some file systems of networks."""
    monkeypatch.setattr(own_file, "_lock", lambda _: None)


@pytest.mark.parametrize("begin", ["overwrite", "removed"])
def test_without_locks_nothing_of_two_processes_is_mixed(folder, no_locks, begin):
    one = begun(folder)
    write(one, "0-4_0-5")
    one.sync()
    if begin == "removed":
        remove_pieces(folder)
        other = begun(folder)
    else:
        other = begun(folder, overwrite=True)
    write(one, "0-4_5-9")
    for task in (one.sync, one.refuse_lost, lambda: one.remember(["onnx"])):
        with pytest.raises(RasterError, match="another process removed or replaced"):
            task()
    one.close()
    assert {path.name for path in folder.iterdir()} == {"pixels.npy", "about.json", "done.txt"}
    assert (folder / "done.txt").read_text() == ""
    write(other, "4-7_0-9")
    other.close()
    assert kept(folder) == {"4-7_0-9"}
    with open_raster(folder / "pixels.npy") as image:
        pixels = image.read()
    np.testing.assert_array_equal(pixels[4:], VALUES[4:])
    assert not pixels[:4].any()


def test_what_a_process_lost_before_it_had_done_anything_stays(folder, no_locks):
    one = begun(folder)
    other = begun(folder, overwrite=True)
    one.close()
    write(other, "0-4_0-5")
    other.close()
    assert kept(folder) == {"0-4_0-5"}


def test_file_systems_without_locks_do(folder, monkeypatch):
    import fcntl

    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    begun(folder).close()
    assert not folder.exists()


def test_resuming_without_pieces_begins(folder):
    partial = begun(folder, resume=True)
    assert partial.done == frozenset()
    partial.close()


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from normwise.rasters import partial
partial._SECONDS = 0.0
image = partial.PartialImage(Path(sys.argv[1]), (64, 64, 1), np.float32, {}, resume=True)
for row in range(64):
    if str(row) not in image.done:
        region = slice(row, row + 1), slice(0, 64)
        image.write(region, np.full((1, 64, 1), row + 0.5), str(row))
        time.sleep(0.002)
image.close()
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_counts_as_done_after_a_kill_is_done(folder, seed):
    rng, done = np.random.default_rng(seed), 0
    while done < 64:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() - begin < 20:
            journal = folder / "done.txt"
            if journal.is_file() and len(journal.read_text().splitlines()) > done + 10:
                time.sleep(rng.uniform(0, 0.01))
                process.kill()
        process.wait()
        image = PartialImage(folder, (64, 64, 1), np.float32, {}, resume=True)
        with open_raster(image.pixels) as pixels:
            rows = pixels.read()[..., 0]
        assert len(image.done) > done
        done = len(image.done)
        for name in image.done:
            assert (rows[int(name)] == int(name) + 0.5).all()
        image.close()
