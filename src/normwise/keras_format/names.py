"""Layer names that Keras made up: they count the layers of a session, not those of a model.

The same code gives `conv2d` in one session and `conv2d_94` in the next; only their order is
the same.
"""

import re
from collections.abc import Iterable, Mapping

_COUNTED = re.compile(r"(.+?)(?:_(\d+))?")


def made_up_base(name: str, class_name: str) -> str | None:
    """`conv2d` for a `Conv2D` named `conv2d_7`, None where somebody chose the name."""
    base = _split(name)[0]
    return base if base.replace("_", "") == class_name.lower() else None


def as_in_a_new_session(names: Iterable[str], bases: Iterable[str]) -> Mapping[str, str]:
    """What each made-up name would be if its layers were the first of a session.

    Args:
        names: Layer names; those that count on none of the bases are kept.
        bases: Made-up names without their count, see `made_up_base`.

    Returns:
        For each name the new one: of each base in the old order `conv2d`, `conv2d_1`, ...
    """
    known, counted = frozenset(bases), {}
    for name in names:
        base, number = _split(name)
        counted[name] = (base, number) if base in known else None
    renamed = {name: name for name in counted}
    for base in known:
        own = [(found[1], name) for name, found in counted.items() if found and found[0] == base]
        for rank, (_, name) in enumerate(sorted(own)):
            renamed[name] = f"{base}_{rank}" if rank else base
    return renamed


def _split(name: str) -> tuple[str, int]:
    match = _COUNTED.fullmatch(name)
    assert match is not None or not name
    if match is None:
        return name, -1
    return match[1], int(match[2]) if match[2] else -1
