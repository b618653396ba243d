"""Files are written whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from normwise.errors import NormwiseError, OutputExistsError
from normwise.files import refuse_existing, whole_file, whole_folder, write_text


def test_a_file_appears_with_its_whole_content_and_folder(tmp_path: Path) -> None:
    target = tmp_path / "run" / "recipe.yaml"
    with whole_file(target) as temporary:
        assert temporary.suffix == ".yaml"
        assert temporary.parent == target.parent
        temporary.write_bytes(b"a: 1")
        assert not target.exists()
    assert target.read_bytes() == b"a: 1"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "model.keras"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_refused_before_the_work_begins(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputExistsError, match=r"a\.txt exists already"):
        write_text(target, "new", overwrite=False)
    assert target.read_text() == "old"
    write_text(target, "new")
    assert target.read_text() == "new"


def test_a_folder_that_may_not_be_looked_into_is_named(
    tmp_path: Path, forbid: Callable[[Path], None]
) -> None:
    forbid(tmp_path / "closed")
    for signs in (None, ()):
        with pytest.raises(NormwiseError, match=r"closed: may not be looked into.*permissions"):
            refuse_existing(tmp_path / "closed" / "a.txt", True, signs)
    (tmp_path / "scene.zarr").mkdir()
    forbid(tmp_path / "scene.zarr")
    with pytest.raises(NormwiseError, match=r"scene\.zarr: may not be looked into"):
        refuse_existing(tmp_path / "scene.zarr", True, ("zarr.json",))


@pytest.mark.parametrize("signs", [None, ()])
def test_a_folder_that_may_not_be_written_to_is_named_before_the_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signs: tuple[str, ...] | None
) -> None:
    access = os.access  # which denies nothing to root
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != tmp_path / "theirs" and access(path, mode)
    )
    (tmp_path / "theirs").mkdir()
    refuse_existing(tmp_path / "mine" / "a.txt", False, signs)
    for place in ("theirs", "theirs/new/deep"):
        with pytest.raises(NormwiseError, match=r"theirs: may not be written to; check its"):
            refuse_existing(tmp_path / place / "a.txt", True, signs)
    assert list(tmp_path.iterdir()) == [tmp_path / "theirs"]


def test_a_file_is_written_where_nobody_may_list_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def denied(path: Path, *options: Any, **named: Any) -> int:
        if path == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *options, **named)

    monkeypatch.setattr(os, "open", denied)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_file_written_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(OutputExistsError), whole_file(target, overwrite=False) as temporary:
        temporary.write_text("mine")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for place, told in (("notes", "a file"), ("notes/deeper", "a file"), ("lost", "a link that")):
        wanted = rf"{place.split('/')[0]} is {told}.* not a folder to write to"
        for whole in (whole_file, whole_folder):
            with pytest.raises(OutputExistsError, match=wanted), whole(tmp_path / place / "a.zarr"):
                raise AssertionError("work began")
        with pytest.raises(OutputExistsError, match=wanted):
            refuse_existing(tmp_path / place / "a", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lost", "notes"]
    refuse_existing(tmp_path / "new" / "deeper" / "a", overwrite=False)


def test_a_folder_is_only_replaced_by_its_like(tmp_path: Path) -> None:
    target = tmp_path / "scene.zarr"

    def write(content: str) -> None:
        with whole_folder(target, signs=("zarr.json", ".zarray")) as temporary:
            temporary.mkdir()
            (temporary / "zarr.json").write_text(content)

    for content in ("first", "second"):
        write(content)
        assert (target / "zarr.json").read_text() == content
    (target / "zarr.json").rename(target / "notes.txt")
    with pytest.raises(OutputExistsError, match=r"notes\.txt\).* zarr\.json or \.zarray"):
        write("third")
    assert (target / "notes.txt").read_text() == "second"
    (target / "notes.txt").unlink()
    write("fourth")
    with pytest.raises(OutputExistsError, match="is a folder; the output is a file"):
        write_text(target, "text")
    (tmp_path / "file.zarr").write_text("mine")
    with (
        pytest.raises(OutputExistsError, match="is a file; the output is a folder"),
        whole_folder(tmp_path / "file.zarr"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.zarr", "scene.zarr"]


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "µm\n".encode()
