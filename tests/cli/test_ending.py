"""How commands end: exit codes, and one line for what the system says no to."""

import errno
import os

import pytest

from normwise.cli.ending import run


def raising(error):
    def command():
        raise error

    return command


def system(number, name):
    return OSError(number, os.strerror(number), *(() if name is None else (name,)))


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "Error: data/a.tif: Permission denied; check its permissions, and"),
        (errno.EROFS, "Error: data/a.tif: Read-only file system; name a place that can be"),
        (errno.ENOSPC, "Error: data/a.tif: No space left on device; make room, or name"),
    ],
)
def test_what_the_system_says_no_to_is_no_fault_of_ours(capsys, number, told):
    with pytest.raises(SystemExit) as end:
        run(raising(system(number, "data/a.tif")))
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith(told) and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [system(errno.EACCES, None), system(errno.ENOTDIR, "a"), FileNotFoundError("a"), KeyError("a")],
)
def test_all_else_is_to_be_reported(capsys, error):
    with pytest.raises(SystemExit) as end:
        run(raising(error))
    assert end.value.code == 2 and "This is a fault of normwise" in capsys.readouterr().err


def test_a_traceback_is_printed_with_debug_only():
    with pytest.raises(PermissionError):
        run(raising(system(errno.EACCES, "a")), debug=True)
