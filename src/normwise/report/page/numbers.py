"""How numbers are written on the page."""

import math
from typing import Final

MISSING: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"
_LEAST: Final = 0.001


def number(value: float, form: str) -> str:
    """A number in a format such as `{:,.1f} s`, a dash for NaN."""
    return form.format(value) if math.isfinite(value) else MISSING


def signed(value: float) -> str:
    """A difference with its sign, a dash for NaN."""
    return number(value, "{:+.3g}").replace("-", MINUS)


def span(ends: tuple[float, float]) -> str:
    """An interval, a dash where there is none."""
    known = all(map(math.isfinite, ends))
    return f"{signed(ends[0])} to {signed(ends[1])}" if known else MISSING


def small(value: float) -> str:
    """A share of 0 and more: what rounds to nothing is said to be less, a dash for NaN."""
    return f"< {_LEAST}" if 0 < value < _LEAST else number(value, "{:.2g}")
