"""What killed processes left of an output goes when it is written again, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from normwise import leftovers
from normwise.errors import OutputExistsError
from normwise.files import whole_folder, write_text
from normwise.leftovers import place, remove_leftovers, temporary_stem

pytestmark = pytest.mark.skipif(place() is None, reason="needs Linux' /proc")

HALF = """
import sys, time
from pathlib import Path
from normwise.files import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    temporary.with_name(f"{temporary.stem}.plain.tif").write_bytes(b"beside it")
    print("begun", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def begun():
    """Processes that have half written an output."""
    processes = []

    def begin(path):
        words = [sys.executable, "-c", HALF, str(path)]
        processes.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout.readline() == "begun\n"
        return processes[-1]

    yield begin
    for process in processes:
        kill(process)


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """Folders are listed each time."""
    monkeypatch.setattr(leftovers, "_REST", 0)
    leftovers._listed.clear()


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


def left(path, owner=None, end=".part.tif"):
    """A leftover of some owner, (place, process, start); by default of one that is dead."""
    own = place() if owner is None else owner[0]
    process, start = (2**22 + 1, 5) if owner is None else owner[1:]
    *beginning, _, _, _, token = temporary_stem(path).split("-")
    name = f"{'-'.join(beginning)}-{own}-{process}-{start}-{token}{end}"
    path.with_name(name).write_bytes(b"half")
    return name


def test_what_a_killed_process_left_goes_with_the_next_writing(tmp_path, begun):
    out, other = tmp_path / "a.tif", tmp_path / "b.tif"
    for path in (out, other):
        kill(begun(path))
    assert len(hidden(tmp_path)) == 4
    lives = begun(out)
    its = {name for name in hidden(tmp_path) if f"-{lives.pid}-" in name}
    others = {name for name in hidden(tmp_path) if name.startswith(".b-")}
    assert len(its) == len(others) == 2
    write_text(out, "whole")
    assert hidden(tmp_path) == its | others
    kill(lives)
    write_text(out, "whole again")
    assert hidden(tmp_path) == others
    write_text(other, "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.tif", "b.tif"}


def test_only_what_is_surely_dead_goes(tmp_path, monkeypatch):
    out, own, me = tmp_path / "a.tif", place(), os.getpid()
    started = leftovers._started(me)
    stays = {
        left(out, ("0" * 12, 2**22 + 1, 5)),  # of another machine, container or boot
        left(out, (own, me, started)),  # of another thread
        left(out, (own, 10**30, 5)),  # no process at all
        left(out, end=".draft.tif"),
        left(tmp_path / "a.npy"),
        left(tmp_path / "a-b.tif"),
        left(out, ("nowhere", 2**22 + 1, 5)),
    }
    dead = left(out), left(out, (own, me, started - 1)), left(out, end=".part.plain.tif")
    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "place", lambda: None)
        unknown = temporary_stem(out)
        assert remove_leftovers(out) == []
        assert hidden(tmp_path) == stays | set(dead)
    assert own not in unknown and own in temporary_stem(out) != temporary_stem(out)
    with monkeypatch.context() as patch:
        # Of another user, whose processes may be invisible but for this.
        patch.setattr(os, "kill", lambda process, signal: (_ for _ in ()).throw(PermissionError))
        remove_leftovers(out)
        assert hidden(tmp_path) == stays | set(dead)
    assert remove_leftovers(out) == []
    assert hidden(tmp_path) == stays


def test_long_names_are_told_apart(tmp_path):
    one, other = (tmp_path / f"{'ö' * 60}{number}.tif" for number in (1, 2))
    name = left(one)
    write_text(other, "whole")
    assert hidden(tmp_path) == {name} and len(os.fsencode(name)) < 200
    write_text(one, "whole")
    assert hidden(tmp_path) == set()


def test_an_old_folder_stays_until_there_is_a_new_one(tmp_path):
    out = tmp_path / "a.zarr"
    name = left(out, end=".old.zarr")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    (tmp_path / name / "0").write_text("all that there is")
    left(out, end=".part.zarr")
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as temporary:
        temporary.mkdir()
        raise KeyboardInterrupt
    assert hidden(tmp_path) == {name}
    with whole_folder(out) as temporary:
        temporary.mkdir()
        assert (tmp_path / name / "0").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    left(out, end=".old.zarr")
    with pytest.raises(OutputExistsError), whole_folder(out, overwrite=False):
        pass
    with whole_folder(out) as temporary:
        assert hidden(tmp_path) == set()
        temporary.mkdir()


def test_a_large_folder_is_listed_in_a_share_of_the_time_alone(tmp_path, monkeypatch):
    out = tmp_path / "a.tif"
    monkeypatch.setattr(leftovers, "_REST", 1e12)
    write_text(out, "whole")
    name = left(out)
    write_text(out, "whole")
    assert hidden(tmp_path) == {name}
    leftovers._listed.clear()
    write_text(out, "whole")
    assert hidden(tmp_path) == set()
    monkeypatch.setattr(leftovers, "_KNOWN", 2)
    for number in range(4):
        write_text(tmp_path / f"{number}" / "b.tif", "whole")
    assert len(leftovers._listed) <= 2
