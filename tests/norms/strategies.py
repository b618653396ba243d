"""Plans to generate: every kind, region, position, suffix and argument."""

from hypothesis import strategies as st

from normwise.graph.regions import REGIONS
from normwise.norms.kinds import KINDS, NormSpec, Value
from normwise.norms.plan import INPUT, POSITIONS, TAKES_RAW_SKIP, Clause, Position

_SMALL = st.floats(1e-9, 0.5, allow_subnormal=False)
_VALUES: dict[str, st.SearchStrategy[Value]] = {
    "momentum": st.floats(0, 0.999),
    "renorm_momentum": st.floats(0, 0.999),
    "epsilon": _SMALL,
    "rmin": st.floats(1e-3, 1),
    "rmax": st.floats(1, 9),
    "dmax": st.floats(0, 9),
    "center": st.booleans(),
    "scale": st.booleans(),
    "groups": st.integers(1, 64),
}


@st.composite
def specs(draw: st.DrawFn, at_input: bool = False) -> NormSpec:
    kind = draw(st.sampled_from([k for k in KINDS if at_input or not KINDS[k].input_only]))
    names = (
        draw(st.sets(st.sampled_from(sorted(KINDS[kind].defaults)))) if KINDS[kind].defaults else ()
    )
    return NormSpec(kind, tuple((name, draw(_VALUES[name])) for name in sorted(names)))


ALL_POSITIONS = [
    Position(where, region, raw)
    for where in POSITIONS
    for region in ((None,) if where == INPUT else (None, *REGIONS))
    for raw in ((False, True) if where in TAKES_RAW_SKIP else (False,))
]


@st.composite
def clauses(draw: st.DrawFn) -> list[Clause]:
    """Clauses that may contradict each other."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        chosen = draw(st.lists(st.sampled_from(ALL_POSITIONS), min_size=1, max_size=4))
        at_input = {p.where for p in chosen} == {INPUT}
        found.append(Clause(draw(specs(at_input)), tuple(chosen)))
    return found
