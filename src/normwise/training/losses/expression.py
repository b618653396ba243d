"""How a recipe names a loss: `dice`, `cross-entropy+dice`, `0.5*focal+dice`.

This file imports no Keras: a recipe can be read and mended without a backend.
"""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

SEGMENTATION: Final = ("cross-entropy", "dice", "focal", "tversky")
REGRESSION: Final = (
    "mean-squared", "mean-absolute", "huber", "log-cosh", "quantile", "gaussian",
)  # fmt: skip
ALIASES: Final = {
    "cross-entropy-dice": "cross-entropy+dice",
    "mse": "mean-squared",
    "mae": "mean-absolute",
}
"""Other spellings, and what they mean."""

DISTRIBUTIONS: Final = ("quantile", "gaussian")
"""Losses of several outputs for each target: nothing else can be measured on those."""

DEFAULTS: Final = {"segmentation": "cross-entropy+dice", "regression": "mean-squared"}
"""The loss of a task unless the recipe names one."""


@dataclass(frozen=True)
class Term:
    """One loss of a sum and its factor."""

    name: str
    factor: float = 1.0

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor:g}*{self.name}"


def parse_loss(text: str) -> tuple[Term, ...]:
    """Reads a loss or a sum of losses.

    Args:
        text: Names joined by `+`, each with an optional factor before a `*`.

    Returns:
        The terms in their order; `str` of each joined by `+` parses back to them.

    Raises:
        ValueError: If a name is unknown or stands twice, a factor is no positive number, or the
            losses can't be added.

    Example:
        ```python
        parse_loss("0.5*focal+dice")  # (Term("focal", 0.5), Term("dice"))
        ```
    """
    terms = tuple(term for part in text.split("+") for term in _terms(part.strip(), text))
    names = [term.name for term in terms]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{text!r} has {twice[0]} twice; give it one factor instead.")
    if len({task_of(name) for name in names}) > 1:
        raise ValueError(
            f"{text!r} adds losses of classes ({', '.join(SEGMENTATION)}) to losses of values "
            f"({', '.join(REGRESSION)})."
        )
    alone = [name for name in names if name in DISTRIBUTIONS]
    if alone and len(names) > 1:
        raise ValueError(
            f"{text!r} adds another loss to {alone[0]}, which has outputs of its own and stands "
            "alone."
        )
    return terms


def canonical_loss(text: str) -> str:
    """A loss as recipes are compared by: `cross-entropy-dice` is `cross-entropy+dice`."""
    return "+".join(str(term) for term in parse_loss(text))


def task_of(name: str) -> str:
    """The task that a loss is for: `segmentation` or `regression`."""
    return "segmentation" if name in SEGMENTATION else "regression"


def _terms(part: str, text: str) -> tuple[Term, ...]:
    factor, times, name = part.rpartition("*")
    name = name.strip()
    if name in ALIASES:
        inner = ALIASES[name].split("+")
        return tuple(Term(each, _factor(factor, times, text)) for each in inner)
    if name not in (*SEGMENTATION, *REGRESSION):
        raise ValueError(_unknown(name, text))
    return (Term(name, _factor(factor, times, text)),)


def _factor(factor: str, times: str, text: str) -> float:
    if not times:
        return 1.0
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{text!r} has the factor {factor.strip()!r}; expected a positive number.")
    return number


def _unknown(name: str, text: str) -> str:
    known = (*SEGMENTATION, *REGRESSION, *ALIASES)
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    told = f"received {text!r}" if name == text else f"received {name!r} in {text!r}"
    return f"{told}; allowed: {', '.join(known)}, and sums such as 0.5*focal+dice.{hint}"
