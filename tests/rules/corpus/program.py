"""What a program of the corpus is: a public model's structure, its source, what is known of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from normwise.rules import Context

Outcome = Literal["reported", "noted", "missed"]
"""What became of a fault: a warning or error of its rule, a note of its rule, nothing."""


@dataclass(frozen=True)
class Program:
    """A public Keras model, drawn anew in its structure, narrower than the original.

    Attributes:
        name: What it is called here.
        source: Where the code or the thread is.
        known: What is known of it, and from whom.
        draw: Draws it, with what is known of its training.
        fault: The rule that is named after its fault; None for a model without a known fault.
        confirmed: Who confirmed the fault: its maintainer, its author, a merged change; else "".
        warnings: The rules of all warnings and errors that are expected, in the report's order.
        layers: The layers that the findings of the fault's rule name, all together.
        outcome: What becomes of the fault.
        why: Why it isn't reported, where it isn't; what is to be said of a warning that nobody
            asked for.
        shown: Whether what such warnings say was measured in the program's layers.
    """

    name: str
    source: str
    known: str
    draw: Callable[[], Context]
    fault: str | None = None
    confirmed: str = ""
    warnings: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    outcome: Outcome = "reported"
    why: str = ""
    shown: bool = False
