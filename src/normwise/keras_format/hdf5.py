"""What the readers of Keras' HDF5 files have in common: names, and nothing from other files."""

from __future__ import annotations

from typing import Any


def is_legacy(file: Any) -> bool:
    """Whether Keras 2 wrote a file, or Keras 3 in its form."""
    return "model_weights" in file or any(k.startswith("layer_names") for k in file.attrs)


def listed(group: Any, attribute: str) -> list[str]:
    """A list of names, which HDF5 may hold in numbered pieces."""
    if attribute in group.attrs:
        return [text_of(name) for name in group.attrs[attribute]]
    pieces, found = 0, []
    while f"{attribute}{pieces}" in group.attrs:
        found += [text_of(name) for name in group.attrs[f"{attribute}{pieces}"]]
        pieces += 1
    return found


def member(group: Any, path: str) -> Any:
    """A group or dataset inside a group; links into other files are not followed.

    Args:
        group: The outer group.
        path: Names joined by `/`; each may be a link.

    Raises:
        ValueError: A part of it lies in another file.
        KeyError: There is no such member.
    """
    import h5py  # noqa: PLC0415 - only where such a file is read

    found = group
    for part in path.split("/"):
        if isinstance(found.get(part, getlink=True), h5py.ExternalLink):
            raise ValueError(f"{path} lies in another file, which isn't read")
        found = found[part]
    return found


def address_of(part: Any) -> int:
    """What tells a group or dataset apart from all others in its file, by whatever path."""
    import h5py  # noqa: PLC0415 - only where such a file is read

    return int(h5py.h5o.get_info(part.id).addr)


def refuse_elsewhere(dataset: Any) -> None:
    """Refuses a dataset whose values lie in another file.

    Raises:
        ValueError: They do.
    """
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file, which isn't read")


def text_of(value: Any) -> str:
    """A name, which HDF5 may hold as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
