"""Copies what a check needs of an unusual HDF5 file into the plain form, by the HDF5 library.

A damaged file can lead the library into a loop without end, or let it crash. So it works in a
process of its own, with bounds on its time and memory, and the copy is read by `plain_hdf5`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from normwise.keras_format.archive_file import DAMAGED
from normwise.keras_format.hdf5 import address_of, member, refuse_elsewhere
from normwise.keras_format.weights_member import MAX_LAYER_NUMBERS, as_file, stretch

SECONDS, PATIENCE = 2, 30
"""Of processor time, and until nobody waits any longer."""
MEMORY = 2**29
"""Bytes beyond what the library takes itself."""
MAX_GROUPS, MAX_DEPTH, MAX_BYTES = 5_000, 128, 2**26
LEFT_OUT = b"left out"
"""Stands for arrays of several axes, which are no weights of normalizations."""
_REFUSED = 3


@contextmanager
def plain_copy(path: Path) -> Iterator[Path]:
    """A file in plain form with the groups, texts and one-dimensional numbers of another.

    Args:
        path: An HDF5 file, or an archive with one.

    Yields:
        The copy, which is gone behind the `with` block.

    Raises:
        ValueError: The library can't read the file, or not within its bounds.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.h5"
        # -P: nothing in the working folder may stand in for a module.
        command = [sys.executable, "-P", "-m", __name__, str(path), str(copy)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
                env=environment,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError("the HDF5 library takes too long for it") from error
        if done.returncode == _REFUSED:
            raise ValueError(done.stdout.strip()[:300])
        if done.returncode:
            raise ValueError("the HDF5 library fails on it, or takes too long or too much memory")
        yield copy


def main(source: str, target: str) -> None:
    """Makes the copy; what is wrong with the file goes to standard output."""
    import h5py  # noqa: PLC0415 - only in a process of its own

    _set_bounds()
    file, start, size = stretch(Path(source))
    try:
        with (
            file,
            h5py.File(as_file(file, start, size), "r") as old,
            h5py.File(target, "w") as new,
        ):
            _Copier().copy(old, new)
    except (*DAMAGED, KeyError, TypeError, AttributeError, IndexError) as error:
        print(error)  # noqa: T201 - read by the process that waits
        sys.exit(_REFUSED)


def _set_bounds() -> None:
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - not on Windows

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.RLIM_INFINITY))


class _Copier:
    """Copies a tree of groups, each once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._left = MAX_BYTES

    def copy(self, old: Any, new: Any, depth: int = 0) -> None:
        """Copies what is in a group."""
        self._seen.add(address_of(old))
        if depth > MAX_DEPTH or len(self._seen) > MAX_GROUPS:
            raise ValueError("its groups are nested without end")
        _copy_texts(old, new)
        for name in old:
            part = _member(old, name)
            if not hasattr(part, "keys"):
                self._copy_numbers(part, new, name)
            elif address_of(part) in self._seen:
                raise ValueError("its groups are linked in circles, nested without end")
            else:
                self.copy(part, new.create_group(_NEW), depth + 1)
                _rename(new, name)

    def _copy_numbers(self, dataset: Any, new: Any, name: str) -> None:
        import numpy as np  # noqa: PLC0415

        few = len(dataset.shape or ()) == 1 and dataset.dtype.kind in "fiuV"
        if few:
            refuse_elsewhere(dataset)
        if few and dataset.size > MAX_LAYER_NUMBERS:
            # Nobody reads it: its size is enough, and takes no room.
            new.create_dataset(_NEW, dataset.shape, dataset.dtype.newbyteorder("<"))
        elif few:
            self._left -= dataset.nbytes
            if self._left < 0:
                raise ValueError(f"{dataset.name} has {dataset.nbytes:,} bytes")
            values = np.asarray(dataset)
            new[_NEW] = values.astype(values.dtype.newbyteorder("<"))
        else:
            new[_NEW] = LEFT_OUT
        _copy_texts(dataset, new[_NEW])
        _rename(new, name)


_NEW = "new"


def _rename(group: Any, name: str) -> None:
    """Gives what was made last its name; h5py itself makes a newer group for one beyond ASCII."""
    group.id.links.move(_NEW.encode(), group.id, name.encode(errors="surrogateescape"))


def _member(group: Any, name: str) -> Any:
    try:
        return member(group, name)
    except KeyError as error:
        raise ValueError(f"{group.name.rstrip('/')}/{name} leads nowhere") from error


def _copy_texts(old: Any, new: Any) -> None:
    import h5py  # noqa: PLC0415

    for name in old.attrs:
        value = old.attrs[name]
        if isinstance(value, (str, bytes)):
            new.attrs[name] = _text(value)
        elif getattr(value, "size", 1) == 0:
            new.attrs[name] = ()  # a list of names without any
        elif getattr(value, "ndim", 0) and value.dtype.kind in "OS":
            texts = [_text(part) for part in value.flat]
            new.attrs.create(name, texts, dtype=h5py.string_dtype())


def _text(value: Any) -> str:
    """A text, which may be marked as ASCII although it is none."""
    data = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    return data.decode(errors="replace")


if __name__ == "__main__":
    main(*sys.argv[1:])
