"""The short way of `normwise check MODEL...` without options, as hooks and loops call it.

Loading all verbs, and what reads their options, takes as long as a check itself.
"""

from collections.abc import Sequence

from normwise.cli.check import check
from normwise.cli.ending import StoppedError, run

VERB = "check"


def models_in(arguments: Sequence[str]) -> list[str] | None:
    """The models of a check without any option, None for any other command."""
    verb, *models = arguments or [""]
    if verb != VERB or not models or any(not m or m.startswith("-") for m in models):
        return None
    return models


def run_check(models: list[str]) -> None:
    """Checks them, as the verb does."""

    def checked() -> None:
        try:
            check(models)
        except KeyboardInterrupt as stop:
            raise StoppedError("Stopped.") from stop

    run(checked)
