"""Amounts of memory and time as people write them."""

import re
from typing import Final

from normwise.errors import NormwiseError, RecipeError

_UNITS: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY: Final = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_SECONDS: Final = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_TIME: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)?\s*")


def bytes_of(amount: int | str | None) -> int | None:
    """Bytes from a number or a text such as `"4GB"`, `"1.5 GiB"` or `"800M"`; None stays.

    Raises:
        NormwiseError: It is no amount above 0.
    """
    if amount is None:
        return None
    found = _AMOUNT.fullmatch(str(amount))
    number = 0
    if found is not None:
        unit = found[2].lower()
        number = int(float(found[1]) * (_BINARY if found[3] and unit else _UNITS)[unit])
    if number < 1:
        raise NormwiseError(f"memory is {amount!r}; expected an amount such as 4GB or 800MB.")
    return number


def seconds_of(budget: str | float) -> float:
    """Seconds of a time such as `"10min"`, `"90s"`, `"1.5h"` or `600`.

    Raises:
        RecipeError: If it is no time, or none above 0.
    """
    found = _TIME.fullmatch(str(budget))
    seconds = float(found[1]) * _SECONDS[found[2] or ""] if found else 0.0
    if seconds <= 0:
        raise RecipeError(
            f"the budget is {budget!r}; expected a time above 0, for example 10min, 90s or 1h."
        )
    return seconds
