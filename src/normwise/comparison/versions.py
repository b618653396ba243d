"""Which versions made the trials of a comparison."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from normwise.comparison.outcome import Outcome
from normwise.environment import MISSING


def versions_of(outcomes: Iterable[Outcome]) -> dict[str, tuple[str, ...]]:
    """By name every version that trials were made with; nothing where none says so."""
    told = [one.versions for one in outcomes if one.versions]
    names = dict.fromkeys(name for own in told for name in own)
    return {name: tuple(dict.fromkeys(own.get(name, MISSING) for own in told)) for name in names}


def mixed(outcomes: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """A sentence where trials were made with several versions of what computes them.

    Args:
        outcomes: For each variant's name what its trials gave, in the same order.
    """
    several = _several(one for own in outcomes.values() for one in own)
    if not several:
        return
    paired = any(_several(block) for block in zip(*outcomes.values(), strict=True))
    yield f"Trials were made with different versions: {', '.join(several)}. " + (
        "So were trials of one seed, whose differences may come of that."
        if paired
        else "Those of one seed were made with the same."
    )


def _several(outcomes: Iterable[Outcome]) -> list[str]:
    found = versions_of(outcomes)
    backend = found.get("backend", ("",))[0]
    names = ("normwise", "keras", "numpy", backend, f"{backend}-cpu")
    return [f"{name} {' and '.join(found[name])}" for name in names if len(found.get(name, ())) > 1]
